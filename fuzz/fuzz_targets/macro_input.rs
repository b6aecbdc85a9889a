//! See `asyncify_fuzz::macro_input`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| asyncify_fuzz::macro_input::run(data));

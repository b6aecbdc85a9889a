//! See `asyncify_fuzz::guests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| asyncify_fuzz::guests::run(data));

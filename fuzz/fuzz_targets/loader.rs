//! See `asyncify_fuzz::loader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| asyncify_fuzz::loader::run(data));

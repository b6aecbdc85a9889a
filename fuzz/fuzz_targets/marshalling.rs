//! See `asyncify_fuzz::marshalling`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| asyncify_fuzz::marshalling::run(data));

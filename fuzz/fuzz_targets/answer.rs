//! See `byway_core::fuzz::answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byway_core::fuzz::answer(data));

//! See `byway_wire::fuzz::scan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byway_wire::fuzz::scan(data));

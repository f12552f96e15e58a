//! See `byway_wire::fuzz::chunks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byway_wire::fuzz::chunks(data));

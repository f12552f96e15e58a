//! See `byway_wire::fuzz::round_trip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byway_wire::fuzz::round_trip(data));

//! See `byway_wire::fuzz::relay_call`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| byway_wire::fuzz::relay_call(data));

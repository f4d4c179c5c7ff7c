#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::entry::worker::run(data));

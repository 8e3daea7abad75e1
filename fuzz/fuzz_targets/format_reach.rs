//! Any bytes through `lacre_format::exercise::reach`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lacre_format::exercise::reach(bytes));

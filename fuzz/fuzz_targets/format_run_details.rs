//! Any bytes through `lacre_format::exercise::run_details`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lacre_format::exercise::run_details(bytes));

//! Any bytes through `lacre_dump::exercise::rules`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lacre_dump::exercise::rules(bytes));

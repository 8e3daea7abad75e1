//! Any bytes through `lacre_dump::exercise::copy_statement`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lacre_dump::exercise::copy_statement(bytes));

//! The integration suite: everything that is tested from outside, through the binary and against real parts, in one program.
//!
//! A file here is a topic; `support/` is shared. Each test makes its own cluster and its own sandbox and may run beside any other.
#![cfg(test)]

mod support;

mod commands;
mod driver;
mod fixtures;
mod operate;
mod stores;
mod tidy;

//! Placeholder.

pub mod cut;
pub mod files;
pub mod retention;
pub mod squeeze;
pub mod store;

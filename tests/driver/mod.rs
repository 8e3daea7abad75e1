//! The PostgreSQL driver against real servers: dumped into memory, restored from memory.

mod backup;
mod connect;
mod faults;
mod memory;
mod restore;
mod vault;

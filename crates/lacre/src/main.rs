//! The `lacre` program: everything happens in the library, so that tests and the generated reference use the same parts.

use std::process::ExitCode;

fn main() -> ExitCode {
    lacre::app::run(std::env::args_os().collect())
}

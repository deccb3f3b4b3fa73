//! The `firstlight` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    firstlight::cli::main()
}

//! `cargo run -p testbed -- up`, `down`, `status` and `env`.

use std::process::ExitCode;

fn main() -> ExitCode {
    testbed::run()
}

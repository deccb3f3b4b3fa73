//! The `firstlight` program.
fn main() {}

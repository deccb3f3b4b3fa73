//! Measures firstlight beside the tools that people use instead.
//!
//! `bench PROGRAM FOLDER kubernetes [SIZE…]`: the release build of firstlight, where the results
//! go, and how many objects there are in a case.

mod controller;
mod kubernetes;
mod load;
mod meter;
mod results;
mod tool;

use std::error::Error;
use std::path::PathBuf;

/// Anything that ends a benchmark: it has no callers who could tell errors apart.
type Failure = Box<dyn Error + Send + Sync>;

const SIZES: [usize; 3] = [100, 500, 2000];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("{what} is missing"));
    let program = PathBuf::from(next("the program")?);
    let folder = PathBuf::from(next("the folder of results")?);
    let what = next("what to measure")?;
    if what != "kubernetes" {
        return Err(format!("{what} cannot be measured; kubernetes can").into());
    }
    let sizes: Vec<usize> = arguments
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() {
        SIZES.to_vec()
    } else {
        sizes
    };
    // Fails only if it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cases = kubernetes::measure(&program, &sizes).await?;
    results::keep(&folder, &what, &cases)
}

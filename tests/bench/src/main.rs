//! Measures firstlight beside the tools that people use instead.
//!
//! `bench PROGRAM FOLDER kubernetes|postgres|telemetry [SIZE…]`: the release build of firstlight,
//! where the results go, and how many objects or files there are in a case. Telemetry is also
//! measured in the quickstart, for which size 0 stands.
//! `bench alone FOLDER DATABASE`: what the second starts to measure the step of migrations alone.

mod alone;
mod controller;
mod kubernetes;
mod load;
mod meter;
mod migrations;
mod postgres;
mod quickstart;
mod results;
mod spans;
mod telemetry;
mod tool;
mod watched;

use std::error::Error;
use std::path::{Path, PathBuf};

/// Anything that ends a benchmark: it has no callers who could tell errors apart.
type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Fails only if it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("{what} is missing"));
    let program = PathBuf::from(next("the program")?);
    if program == Path::new("alone") {
        return alone::migrate(Path::new(&next("the folder")?), &next("the database")?).await;
    }
    let folder = PathBuf::from(next("the folder of results")?);
    let what = next("what to measure")?;
    let sizes: Vec<usize> = arguments
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let or = |usual: &[usize]| {
        if sizes.is_empty() {
            usual.to_vec()
        } else {
            sizes
        }
    };
    let cases = match what.as_str() {
        "kubernetes" => kubernetes::measure(&program, &or(&[100, 500, 2000])).await?,
        "postgres" => postgres::measure(&program, &or(&[1, 100, 1000]))?,
        "telemetry" => telemetry::measure(&program, &or(&[500, 5000, 0])).await?,
        _ => {
            let what = format!("{what} cannot be measured; kubernetes, postgres and telemetry can");
            return Err(what.into());
        }
    };
    results::keep(&folder, &what, &cases)
}

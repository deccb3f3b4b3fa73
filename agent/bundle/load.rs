//! The one way from files to a [`Bundle`].

use std::path::{Path, PathBuf};

use super::Bundle;
use super::files::Files;
use super::mistakes::{Found, Mistake, Mistakes, Place};

/// What a bundle is loaded from.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder that holds `manifests/bundle.yaml`.
    pub root: PathBuf,
    /// The profile to use, a file in `manifests/profiles`.
    pub profile: Option<String>,
    /// Files of values, which win over the profile; the later over the earlier.
    pub values_files: Vec<PathBuf>,
    /// Single values (`a.b=c`), which win over all files; the later over the earlier.
    pub set: Vec<String>,
    /// The namespace of the installation.
    pub namespace: String,
}

impl Bundle {
    /// Reads a bundle and everything it names, and checks all of it.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn load(options: &Options) -> Result<Self, Mistakes> {
        todo!()
    }
}

//! The environment.

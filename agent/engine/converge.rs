//! stub
use std::time::Duration;
/// Whether a run changes things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Makes every step current.
    Apply,
    /// Says what would be changed.
    Preview,
}
/// How often to look.
#[derive(Debug, Clone)]
pub struct Pacing {
    /// x
    pub first_pause: Duration,
}
pub(super) trait Converge: Send + Sync {}
impl<R: super::Resource> Converge for R {}

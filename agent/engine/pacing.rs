//! How often is looked, and for how long.

use std::time::Duration;

/// How often the loop looks and how patient it is.
#[derive(Debug, Clone)]
pub struct Pacing {
    /// The first pause between two looks; each further one is twice as long.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// How much longer than that a pause may be, in percent, drawn anew for each: those who were in
    /// each other's way shall not meet again at once.
    pub jitter: u32,
    /// No two looks at one thing are closer.
    pub between_looks: Duration,
    /// How often all changes are made before the step is called unsettled.
    pub rounds: u32,
    /// How long a diagnosis may take.
    pub diagnosis: Duration,
    /// How long a change that is being made may go on when the run is told to stop.
    pub grace: Duration,
}

impl Pacing {
    /// A pause of about this length.
    pub(super) fn about(&self, pause: Duration) -> Duration {
        pause + pause * rand::random_range(0..=self.jitter) / 100
    }
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            jitter: 25,
            between_looks: Duration::from_millis(100),
            rounds: 5,
            diagnosis: Duration::from_secs(5),
            grace: Duration::from_secs(20),
        }
    }
}

//! What became of the telemetry itself.

use super::spool::Tally;
use std::fmt;
use tracing::{debug, warn};

/// How much of what was made has arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Each signal that was to be exported.
    pub signals: Vec<Delivered>,
}

/// How much of one signal has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Of what: `spans`.
    pub what: &'static str,
    /// Where it was to go, without credentials.
    pub endpoint: String,
    /// How much.
    pub tally: Tally,
    /// Why not all of it did, as far as is known.
    pub trouble: Option<String>,
}

impl Delivery {
    /// Whether nothing was lost.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.signals.iter().all(Delivered::is_complete)
    }

    /// One line in the log: a warning if something was lost.
    pub(super) fn tell(&self) {
        if self.signals.is_empty() {
            return;
        }
        if self.is_complete() {
            debug!(name: "telemetry.delivered", target: "firstlight", "{self}");
        } else {
            warn!(name: "telemetry.lost", target: "firstlight", "{self}");
        }
    }
}

impl Delivered {
    fn is_complete(&self) -> bool {
        self.tally.delivered == self.tally.made
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("telemetry: ")?;
        for (at, signal) in self.signals.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{signal}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            made,
            delivered,
            refused,
            dropped,
        } = self.tally;
        match self.what {
            "metrics" if self.is_complete() => f.write_str("metrics delivered")?,
            "metrics" => f.write_str("the last metrics not delivered")?,
            what => write!(f, "{delivered} of {made} {what} delivered")?,
        }
        if self.is_complete() {
            return Ok(());
        }
        write!(f, " to {}", self.endpoint)?;
        if dropped > 0 {
            write!(f, ", {dropped} dropped because the spool was full")?;
        }
        if refused > 0 && self.what != "metrics" {
            write!(f, ", {refused} refused")?;
        }
        match &self.trouble {
            Some(trouble) => write!(f, ": {trouble}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(what: &'static str, tally: Tally, trouble: Option<&str>) -> Delivered {
        Delivered {
            what,
            endpoint: "http://collector:4318".to_owned(),
            tally,
            trouble: trouble.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn says_how_much_arrived_and_why_not_all() {
        let all = Tally {
            made: 412,
            delivered: 412,
            ..Tally::default()
        };
        let some = Tally {
            made: 80,
            delivered: 60,
            refused: 5,
            dropped: 15,
        };
        let none = Tally {
            made: 1,
            ..Tally::default()
        };
        let complete = Delivery {
            signals: vec![
                delivered("spans", all, None),
                delivered("metrics", Tally::default(), None),
            ],
        };
        assert!(complete.is_complete());
        assert_eq!(
            complete.to_string(),
            "telemetry: 412 of 412 spans delivered; metrics delivered"
        );
        let lost = Delivery {
            signals: vec![
                delivered("log records", some, Some("answered 400 Bad Request")),
                delivered("metrics", none, Some("connection refused")),
            ],
        };
        assert!(!lost.is_complete());
        assert_eq!(
            lost.to_string(),
            "telemetry: 60 of 80 log records delivered to http://collector:4318, 15 dropped because the \
             spool was full, 5 refused: answered 400 Bad Request; the last metrics not delivered to \
             http://collector:4318: connection refused"
        );
    }
}

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

    /// Whether no span is left that may still arrive.
    #[must_use]
    pub fn has_all_spans(&self) -> bool {
        let spans = self.signals.iter().filter(|signal| signal.what == "spans");
        let left = |it: Tally| it.made - it.delivered - it.refused;
        spans.map(|signal| left(signal.tally)).sum::<u64>() == 0
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
        if self.signals.is_empty() {
            return f.write_str("telemetry: not exported");
        }
        f.write_str("telemetry: ")?;
        list(f, self.signals.iter())?;
        let mut troubles: Vec<_> = self.signals.iter().filter_map(Delivered::told).collect();
        troubles.dedup();
        if troubles.is_empty() {
            return Ok(());
        }
        f.write_str(" (")?;
        list(f, troubles.into_iter())?;
        f.write_str(")")
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = impl fmt::Display>) -> fmt::Result {
    for (at, item) in items.enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        write!(f, "{separator}{item}")?;
    }
    Ok(())
}

impl Delivered {
    /// Why not all of it arrived.
    fn told(&self) -> Option<String> {
        let trouble = self
            .trouble
            .as_deref()
            .unwrap_or("no answer within the grace");
        (!self.is_complete()).then(|| format!("{}: {trouble}", self.endpoint))
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
        if self.what == "metrics" {
            let not = if self.is_complete() { "" } else { "not " };
            return write!(f, "metrics {not}delivered");
        }
        write!(f, "{delivered} of {made} {} delivered", self.what)?;
        if refused > 0 {
            write!(f, " and {refused} refused")?;
        }
        if dropped > 0 {
            write!(f, " and {dropped} dropped for want of room")?;
        }
        Ok(())
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
            "telemetry: 412 of 412 spans delivered, metrics delivered"
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
            "telemetry: 60 of 80 log records delivered and 5 refused and 15 dropped for want of room, \
             metrics not delivered (http://collector:4318: answered 400 Bad Request, \
             http://collector:4318: connection refused)"
        );
        let alike = Delivery {
            signals: vec![
                delivered("spans", none, None),
                delivered("metrics", none, None),
            ],
        };
        assert_eq!(
            alike.to_string(),
            "telemetry: 0 of 1 spans delivered, metrics not delivered \
             (http://collector:4318: no answer within the grace)"
        );
        assert_eq!(Delivery::default().to_string(), "telemetry: not exported");
    }
}

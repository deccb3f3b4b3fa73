//! What became of the telemetry itself.

use super::spool::{Late, Tally};
use super::undelivered::Left;
use crate::engine::Took;
use crate::record::{SignalRecord, TelemetryRecord};
use std::fmt;
use std::time::Duration;
use tracing::{debug, info, warn};

/// What arrives later than this after it was made is late: a server that is there takes it before.
const LATE: Duration = Duration::from_secs(5);

/// How much of what was made has arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Each signal that was to be exported.
    pub signals: Vec<Delivered>,
    /// What became of the rest.
    pub left: Left,
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
    /// Why there was no room for what was dropped.
    pub shortage: Option<String>,
    /// How late.
    pub late: Late,
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
        spans.map(|signal| signal.tally.left()).sum::<u64>() == 0
    }

    /// One line in the log: a warning if not all of it arrived.
    pub(super) fn tell(&self) {
        if self.signals.is_empty() {
            return;
        }
        if !self.is_complete() {
            warn!(name: "telemetry.lost", target: "firstlight", "{self}");
        } else if self.is_late() {
            info!(name: "telemetry.late", target: "firstlight", "{self}");
        } else {
            debug!(name: "telemetry.delivered", target: "firstlight", "{self}");
        }
    }

    fn is_late(&self) -> bool {
        self.signals.iter().any(|it| it.late.longest >= LATE)
    }

    /// For the record of the run; none if nothing was to be exported.
    #[must_use]
    pub fn record(&self) -> Option<TelemetryRecord> {
        (!self.signals.is_empty()).then(|| TelemetryRecord {
            sentence: self.to_string(),
            signals: self.signals.iter().map(Delivered::record).collect(),
            left: match &self.left {
                Left::In(path) => Some(path.display().to_string()),
                Left::Nowhere | Left::Failed { .. } => None,
            },
        })
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
        let mut troubles: Vec<_> = self.signals.iter().flat_map(Delivered::told).collect();
        troubles.dedup();
        if !troubles.is_empty() {
            f.write_str(" (")?;
            list(f, troubles.into_iter())?;
            f.write_str(")")?;
        }
        match &self.left {
            Left::Nowhere => Ok(()),
            Left::In(path) => {
                let path = path.display();
                write!(
                    f,
                    "; the rest is in {path}, and `firstlight replay` sends it"
                )
            }
            Left::Failed { path, why } => {
                write!(
                    f,
                    "; the rest could not be left in {}: {why}",
                    path.display()
                )
            }
        }
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
    fn told(&self) -> Vec<String> {
        let lost = self.tally.made - self.tally.delivered;
        let mut told = Vec::new();
        if lost > self.tally.dropped + self.tally.handed_on {
            let trouble = self.trouble.as_deref();
            let trouble = trouble.unwrap_or("no answer within the grace");
            told.push(format!("{}: {trouble}", self.endpoint));
        }
        told.extend(self.shortage.clone());
        told
    }

    fn record(&self) -> SignalRecord {
        SignalRecord {
            what: self.what.to_owned(),
            made: self.tally.made,
            delivered: self.tally.delivered,
            refused: self.tally.refused,
            dropped: self.tally.dropped,
            handed_on: self.tally.handed_on,
            late: (self.late.longest.as_secs_f64() * 1000.0).round() / 1000.0,
        }
    }
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            made,
            delivered,
            refused,
            dropped,
            taken_up,
            handed_on,
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
        if handed_on > 0 {
            write!(f, " and {handed_on} left to the run that has the lock next")?;
        }
        if taken_up > 0 {
            write!(f, ", {taken_up} of them left by an earlier process")?;
        }
        // Of one trace and its logs this is much the same; once says enough.
        if self.what != "spans" || self.late.longest < LATE {
            return Ok(());
        }
        match self.late.first {
            Some(first) if first >= LATE => write!(f, ", the first {} late", Took(first)),
            _ => write!(f, ", some up to {} late", Took(self.late.longest)),
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
            shortage: None,
            late: Late::default(),
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
            taken_up: 0,
            handed_on: 0,
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
            left: Left::Nowhere,
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
            left: Left::Nowhere,
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
            left: Left::In("/spool/undelivered-1.jsonl".into()),
        };
        assert_eq!(
            alike.to_string(),
            "telemetry: 0 of 1 spans delivered, metrics not delivered \
             (http://collector:4318: no answer within the grace); the rest is in \
             /spool/undelivered-1.jsonl, and `firstlight replay` sends it"
        );
        assert_eq!(Delivery::default().to_string(), "telemetry: not exported");
    }

    #[test]
    fn says_how_late_and_what_had_no_room() {
        let all = Tally {
            made: 412,
            delivered: 412,
            taken_up: 12,
            ..Tally::default()
        };
        let with = |tally: Tally, first: u64, longest: u64| {
            let mut spans = delivered("spans", tally, Some("connection refused"));
            spans.late = Late {
                first: Some(Duration::from_secs(first)),
                longest: Duration::from_secs(longest),
            };
            if tally.dropped > 0 {
                spans.shortage = Some("failed to write to /spool: no space left".to_owned());
            }
            Delivery {
                signals: vec![spans],
                left: Left::Nowhere,
            }
            .to_string()
        };
        assert_eq!(
            with(all, 190, 190),
            "telemetry: 412 of 412 spans delivered, 12 of them left by an earlier process, \
             the first 3m10s late"
        );
        let most = Tally {
            made: 412,
            delivered: 400,
            handed_on: 12,
            ..Tally::default()
        };
        assert_eq!(
            with(most, 0, 0),
            "telemetry: 400 of 412 spans delivered and 12 left to the run that has the lock next"
        );
        let some = Tally {
            made: 412,
            delivered: 400,
            dropped: 12,
            ..Tally::default()
        };
        assert_eq!(
            with(some, 1, 40),
            "telemetry: 400 of 412 spans delivered and 12 dropped for want of room, \
             some up to 40.0s late (failed to write to /spool: no space left)"
        );
    }
}

//! What happened inside of a step, from the spans below its own.

use super::otlp::Span;
use super::trace::Trace;
use super::{Moment, Work};

const ATTEMPT: &str = "attempt";
const WAIT: &str = "wait";
const WAIT_TARGET: &str = "firstlight.wait.target";
const WAIT_REASON: &str = "firstlight.wait.reason";
/// What an attempt ended with, if not with an error.
const WAITING: &str = "waiting";
/// A mark that something has begun; it tells of no time.
const MARK: &str = "started";
/// Shorter pauses between two looks are nobody's waiting.
const PAUSE: f64 = 0.001;

/// What happened in a step, in the order in which it began. It may have a span for each pod.
pub(super) fn of_step(trace: &Trace<'_>, spans: &[&Span]) -> Vec<Moment> {
    let mut all: Vec<Moment> = Vec::new();
    for span in spans {
        let below = trace.below(span).iter().filter(|span| span.name != MARK);
        let mut moments: Vec<Moment> = below.map(|span| moment(trace, span, 0)).collect();
        if !moments.iter().any(|moment| moment.work == Work::Wait) {
            moments.extend(waits(&moments));
            moments.sort_by(|one, other| one.begin.total_cmp(&other.begin));
        }
        all.extend(moments);
    }
    let attempts = all.iter_mut().filter(|one| one.work == Work::Attempt);
    for (at, attempt) in attempts.enumerate() {
        attempt.name = format!("{ATTEMPT} {}", at + 1);
    }
    all
}

/// How many seconds the step itself was at work; its attempts come in the order in which they began.
pub(super) fn worked(moments: &[Moment]) -> f64 {
    let mut until = 0.0_f64;
    let mut sum = 0.0;
    for moment in attempts(moments) {
        let begin = moment.begin.max(until);
        sum += (moment.end - begin).max(0.0);
        until = until.max(moment.end);
    }
    sum
}

/// The attempts among them.
pub(super) fn attempts(moments: &[Moment]) -> impl Iterator<Item = &Moment> {
    moments.iter().filter(|one| one.work == Work::Attempt)
}

/// How deep calls are followed; broken telemetry may go in circles.
const DEPTH: usize = 8;

fn moment(trace: &Trace<'_>, span: &Span, depth: usize) -> Moment {
    let work = match span.name.as_str() {
        _ if span.attributes.contains_key(WAIT_TARGET) => Work::Wait,
        WAIT => Work::Wait,
        ATTEMPT => Work::Attempt,
        _ => Work::Call,
    };
    let failed = span.status.is_error();
    let message = Some(span.status.message.clone()).filter(|said| failed && !said.is_empty());
    let said = message.or_else(|| match work {
        Work::Wait => waited_for(span),
        Work::Attempt | Work::Call => span.attributes.get(WAITING).cloned(),
    });
    let inside = if depth < DEPTH {
        trace.below(span)
    } else {
        &[]
    };
    let inside = inside.iter().filter(|span| span.name != MARK);
    Moment {
        name: span.name.clone(),
        work,
        begin: trace.seconds(span.start_time_unix_nano),
        end: trace.seconds(span.end_time_unix_nano.max(span.start_time_unix_nano)),
        said,
        failed,
        inside: inside.map(|span| moment(trace, span, depth + 1)).collect(),
    }
}

/// The last reason, which was the true one in the end.
fn waited_for(span: &Span) -> Option<String> {
    let events = span.events.iter().rev().map(|event| &event.attributes);
    let mut places = events.chain([&span.attributes]);
    let reason = places.find_map(|attributes| attributes.get(WAIT_REASON));
    reason.or_else(|| span.attributes.get(WAIT_TARGET)).cloned()
}

/// Where waits are no spans of their own, they are what lies between two attempts.
fn waits(moments: &[Moment]) -> Vec<Moment> {
    let attempts: Vec<&Moment> = attempts(moments).collect();
    let pairs = attempts.windows(2).map(|pair| (pair[0], pair[1]));
    let pauses = pairs.filter(|(one, next)| next.begin - one.end > PAUSE);
    pauses
        .map(|(one, next)| Moment {
            name: WAIT.to_owned(),
            work: Work::Wait,
            begin: one.end,
            end: next.begin,
            said: one.said.clone(),
            failed: false,
            inside: Vec::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(work: Work, begin: f64, end: f64) -> Moment {
        Moment {
            name: "a".to_owned(),
            work,
            begin,
            end,
            said: Some("pod web-0".to_owned()),
            failed: false,
            inside: Vec::new(),
        }
    }

    #[test]
    fn between_two_attempts_it_is_waited_for_what_the_first_has_seen() {
        let all = waits(&[
            moment(Work::Attempt, 0.0, 0.1),
            moment(Work::Attempt, 0.1004, 0.2),
            moment(Work::Call, 0.5, 0.6),
            moment(Work::Attempt, 1.0, 1.1),
        ]);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].begin, all[0].end), (0.2, 1.0));
        assert_eq!(all[0].said.as_deref(), Some("pod web-0"));
    }

    #[test]
    fn attempts_at_the_same_time_count_once() {
        let worked = worked(&[
            moment(Work::Attempt, 0.0, 1.0),
            moment(Work::Attempt, 0.5, 1.5),
            moment(Work::Wait, 1.5, 2.0),
            moment(Work::Attempt, 2.0, 2.5),
        ]);
        assert!((worked - 2.0).abs() < 1e-9, "{worked}");
    }
}

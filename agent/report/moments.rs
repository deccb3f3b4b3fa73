//! What happened inside of a step, from the spans below its own.

use super::otlp::Span;
use super::trace::Trace;
use super::{Moment, Work};

const ATTEMPT: &str = "attempt";
const WAIT: &str = "wait";
const WAIT_TARGET: &str = "firstlight.wait.target";
const WAIT_REASON: &str = "firstlight.wait.reason";
/// A mark that something has begun; it tells of no time.
const MARK: &str = "started";

/// What happened in a step, in the order in which it began. It may have a span for each pod.
pub(super) fn of_step(trace: &Trace<'_>, spans: &[&Span]) -> Vec<Moment> {
    let mut all: Vec<Moment> = Vec::new();
    for span in spans {
        let below = trace.below(span).iter().filter(|span| span.name != MARK);
        all.extend(below.map(|span| moment(trace, span, 0)));
    }
    let attempts = all.iter_mut().filter(|one| one.work == Work::Attempt);
    for (at, attempt) in attempts.enumerate() {
        attempt.name = format!("{ATTEMPT} {}", at + 1);
    }
    all
}

/// How many seconds it was so at work; the moments come in the order in which they began.
pub(super) fn lasted(moments: &[Moment], work: Work) -> f64 {
    let mut until = 0.0_f64;
    let mut sum = 0.0;
    for moment in of(moments, work) {
        let begin = moment.begin.max(until);
        sum += (moment.end - begin).max(0.0);
        until = until.max(moment.end);
    }
    sum
}

/// Those of one kind.
pub(super) fn of(moments: &[Moment], work: Work) -> impl Iterator<Item = &Moment> {
    moments.iter().filter(move |one| one.work == work)
}

/// How deep calls are followed; broken telemetry may go in circles.
const DEPTH: usize = 8;

fn moment(trace: &Trace<'_>, span: &Span, depth: usize) -> Moment {
    let work = match span.name.as_str() {
        WAIT => Work::Wait,
        ATTEMPT => Work::Attempt,
        _ => Work::Call,
    };
    let failed = span.status.is_error();
    let message = Some(span.status.message.clone()).filter(|said| failed && !said.is_empty());
    let said = message.or_else(|| match work {
        Work::Wait => waited_for(span),
        Work::Attempt | Work::Call => None,
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
    fn attempts_at_the_same_time_count_once() {
        let all = [
            moment(Work::Attempt, 0.0, 1.0),
            moment(Work::Attempt, 0.5, 1.5),
            moment(Work::Wait, 1.5, 2.0),
            moment(Work::Attempt, 2.0, 2.5),
        ];
        for (work, seconds) in [(Work::Attempt, 2.0), (Work::Wait, 0.5)] {
            let lasted = lasted(&all, work);
            assert!((lasted - seconds).abs() < 1e-9, "{lasted}");
        }
    }
}

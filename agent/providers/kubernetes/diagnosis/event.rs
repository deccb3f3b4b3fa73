//! What events say about an object.

use super::super::live::Live;
use super::scene::cut;

/// What is quoted of one event; that of a webhook that refuses may be long.
const QUOTE: usize = 700;

/// The latest warning about an object, of one of these reasons; of any if none is named.
pub(super) fn latest<'a>(events: &'a [Live], about: &Live, reasons: &[&str]) -> Option<&'a Live> {
    warnings(events, about)
        .filter(|event| reasons.is_empty() || reasons.contains(&event.text("/reason")))
        .max_by(|one, other| time(one).cmp(time(other)))
}

/// The latest warning about an object whose message begins so and that is about this container.
pub(super) fn of_container<'a>(
    events: &'a [Live],
    about: &Live,
    container: &str,
    beginning: &str,
) -> Option<&'a Live> {
    let place = format!("{{{container}}}");
    warnings(events, about)
        .filter(|event| event.text("/involvedObject/fieldPath").contains(&place))
        .filter(|event| event.text("/message").starts_with(beginning))
        .max_by(|one, other| time(one).cmp(time(other)))
}

fn warnings<'a>(events: &'a [Live], about: &Live) -> impl Iterator<Item = &'a Live> {
    events.iter().filter(move |event| {
        event.text("/involvedObject/uid") == about.uid() && event.text("/type") == "Warning"
    })
}

/// When it was seen last.
pub(super) fn time(event: &Live) -> &str {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"];
    let times = times.into_iter().map(|time| event.text(time));
    times.max().unwrap_or_default()
}

/// `FailedMount: secret "ca" not found`
pub(super) fn said(event: &Live) -> String {
    let message = event.text("/message").trim();
    format!("{}: {}", event.text("/reason"), cut(message, QUOTE))
}

/// `event FailedMount (Warning, 3 times) on Pod web-0: secret "ca" not found`
pub(super) fn line(event: &Live) -> String {
    let count = event
        .count("/series/count")
        .max(event.count("/count"))
        .max(1);
    let times = if count == 1 {
        String::new()
    } else {
        format!(", {count} times")
    };
    format!(
        "event {} ({}{times}) on {} {}: {}",
        event.text("/reason"),
        event.text("/type"),
        event.text("/involvedObject/kind"),
        event.text("/involvedObject/name"),
        cut(event.text("/message").trim(), QUOTE)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_latest_warning_counts() {
        let event = |kind: &str, reason: &str, at: &str| {
            Live::new(
                json!({ "involvedObject": { "uid": "p", "kind": "Pod", "name": "web-0" },
                "type": kind, "reason": reason, "message": "no\n", "lastTimestamp": at, "count": 3 }),
            )
        };
        let events = [
            event("Warning", "FailedMount", "2026-01-01T00:00:02Z"),
            event("Warning", "BackOff", "2026-01-01T00:00:01Z"),
            event("Normal", "Pulled", "2026-01-01T00:00:03Z"),
        ];
        let pod = Live::new(json!({ "metadata": { "uid": "p" } }));
        let said_of = |reasons: &[&str]| latest(&events, &pod, reasons).map(said);
        assert_eq!(said_of(&[]).as_deref(), Some("FailedMount: no"));
        assert_eq!(said_of(&["BackOff"]).as_deref(), Some("BackOff: no"));
        assert_eq!(said_of(&["Pulled"]), None, "no warning");
        let other = Live::new(json!({ "metadata": { "uid": "q" } }));
        assert_eq!(latest(&events, &other, &[]), None);
        assert_eq!(
            line(&events[0]),
            "event FailedMount (Warning, 3 times) on Pod web-0: no"
        );
    }
}

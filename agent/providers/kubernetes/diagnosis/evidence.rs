//! What a diagnosis was read from, for the report.

use std::collections::BTreeSet;

use super::super::live::Live;
use super::container;
use super::event;
use super::scene::{Scene, cut};

/// How much is kept, so that a report of many failures still fits where it is kept.
const LINES: usize = 24;
const BYTES: usize = 4096;
/// The events of one object.
const EVENTS: usize = 4;

/// From the deepest up: the end of the log, the latest events, what could not be read.
pub(super) fn of(scene: &Scene) -> Vec<String> {
    let mut lines = log(scene);
    lines.extend(deletion(&scene.object));
    if let Some(operator) = &scene.operator {
        lines.extend(operator.evidence());
    }
    let mut levels = scene.levels();
    levels.reverse();
    for live in levels {
        lines.extend(events(scene, live));
    }
    let unread = scene.unread.iter();
    lines.extend(unread.map(|what| format!("could not be read: {what}")));
    bounded(lines)
}

fn log(scene: &Scene) -> Vec<String> {
    let Some(pod) = scene.pod.as_ref().filter(|_| !scene.log.is_empty()) else {
        return Vec::new();
    };
    let container = container::worst(pod);
    let container = container.as_ref().map_or("", |it| it.name());
    let title = format!("log of container {container} of pod {}:", pod.name());
    let lines = scene.log.iter().map(|line| format!("  {line}"));
    std::iter::once(title).chain(lines).collect()
}

fn deletion(object: &Live) -> Option<String> {
    let since = object.at("/metadata/deletionTimestamp")?;
    let finalizers = object.at("/metadata/finalizers")?;
    Some(format!(
        "metadata.deletionTimestamp is {since}, metadata.finalizers are {finalizers}"
    ))
}

fn events(scene: &Scene, live: &Live) -> Vec<String> {
    let about = scene.events.iter();
    let mut about: Vec<&Live> = about
        .filter(|event| event.text("/involvedObject/uid") == live.uid())
        // That a container was made and started is no news beside why it ended.
        .filter(|event| event.text("/type") == "Warning" || live.text("/kind") != "Pod")
        .collect();
    about.sort_by(|one, other| event::time(other).cmp(event::time(one)));
    // Of one reason one: the others differ by a name or a number.
    let mut reasons = BTreeSet::new();
    about.retain(|event| reasons.insert(event.text("/reason")));
    about.into_iter().take(EVENTS).map(event::line).collect()
}

fn bounded(lines: Vec<String>) -> Vec<String> {
    let mut left = BYTES;
    let mut kept = Vec::new();
    for line in lines.into_iter().take(LINES) {
        if left < 80 {
            break;
        }
        let line = cut(&line, left);
        left = left.saturating_sub(line.len());
        kept.push(line);
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_log_comes_first_then_events_from_the_deepest_up() {
        let event = |uid: &str, kind: &str, name: &str, at: &str| {
            Live::new(
                json!({ "type": "Warning", "reason": name, "message": name, "lastTimestamp": at,
                "involvedObject": { "uid": uid, "kind": kind, "name": name } }),
            )
        };
        let set = json!({ "kind": "StatefulSet", "metadata": { "uid": "s", "name": "web" } });
        let mut scene = Scene::of(Live::new(set));
        scene.pod = Some(Live::new(
            json!({ "kind": "Pod", "metadata": { "uid": "p", "name": "web-0" },
            "status": { "containerStatuses": [{ "name": "main",
                "state": { "terminated": { "exitCode": 1 } } }] } }),
        ));
        scene.log = vec!["one".to_owned(), "two".to_owned()];
        scene.events = vec![
            event("s", "StatefulSet", "web", "1"),
            event("p", "Pod", "Old", "1"),
            event("p", "Pod", "New", "2"),
            event("p", "Pod", "New", "1"),
        ];
        scene.unread = vec!["not allowed to list nodes".to_owned()];
        assert_eq!(
            of(&scene),
            [
                "log of container main of pod web-0:",
                "  one",
                "  two",
                "event New (Warning) on Pod New: New",
                "event Old (Warning) on Pod Old: Old",
                "event web (Warning) on StatefulSet web: web",
                "could not be read: not allowed to list nodes",
            ]
        );
    }

    #[test]
    fn it_is_bounded() {
        let kept = bounded(vec!["x".repeat(1000); 30]);
        assert!(kept.iter().map(String::len).sum::<usize>() <= BYTES);
        assert_eq!(kept.len(), 5, "the last one is cut");
        assert_eq!(bounded(vec!["x".to_owned(); 100]).len(), LINES);
    }
}

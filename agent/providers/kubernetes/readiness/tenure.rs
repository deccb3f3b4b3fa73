//! How long a state has held.

use std::time::{Duration, SystemTime};

use super::{Readiness, Sight, Verdict};

/// By how much our clock may go before the API server's, which says when something was written.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// Remembers since when an object is ready or in trouble; the clock is given from outside.
#[derive(Debug, Default)]
pub(in super::super) struct Tenure {
    memory: Option<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// The object and its generation: with new ones, what held before says nothing any more.
    of: (String, Option<i64>),
    ready: Option<SystemTime>,
    trouble: Option<SystemTime>,
    /// Of all pods that were seen: a crash between two looks must not pass for quiet.
    restarts: i64,
}

impl Tenure {
    /// What a verdict means now.
    pub(super) fn settle(
        &mut self,
        verdict: Verdict,
        sight: &Sight<'_>,
        now: SystemTime,
    ) -> Readiness {
        let memory = self.remember(sight);
        let restarts = restarts(sight);
        let quiet = memory.ready.filter(|_| memory.restarts == restarts);
        memory.restarts = restarts;
        memory.ready = verdict.is_ready().then(|| quiet.unwrap_or(now));
        let trouble = matches!(verdict, Verdict::Trouble { .. });
        memory.trouble = trouble.then(|| memory.trouble.unwrap_or(now));
        match verdict {
            Verdict::Ready => Readiness::Ready,
            Verdict::ReadyIfHeld(needed) => {
                let seen = memory.ready.unwrap_or(now);
                // What nobody has written to for a while has held for that while.
                let quiet = last_write(sight).and_then(|it| it.checked_add(CLOCKS_DIFFER));
                let since = quiet.map_or(seen, |quiet| quiet.min(seen));
                if elapsed(since, now) >= needed {
                    Readiness::Ready
                } else {
                    let seconds = needed.as_secs();
                    Readiness::NotReady(format!("ready, if it stays so for {seconds} s"))
                }
            }
            Verdict::NotReady(why) => Readiness::NotReady(why),
            Verdict::Trouble { why, patience } => {
                if elapsed(memory.trouble.unwrap_or(now), now) >= patience {
                    Readiness::Failed(why)
                } else {
                    Readiness::NotReady(why)
                }
            }
            Verdict::Failed(why) => Readiness::Failed(why),
            Verdict::NoRule => Readiness::NoRule,
        }
    }

    fn remember(&mut self, sight: &Sight<'_>) -> &mut Memory {
        let of = (sight.object.uid().to_owned(), sight.object.generation());
        let memory = self.memory.take().filter(|memory| memory.of == of);
        self.memory.insert(memory.unwrap_or(Memory {
            of,
            ready: None,
            trouble: None,
            restarts: 0,
        }))
    }
}

fn restarts(sight: &Sight<'_>) -> i64 {
    let containers = sight
        .all("Pod")
        .flat_map(|pod| pod.list("/status/containerStatuses"));
    containers
        .filter_map(|container| container["restartCount"].as_i64())
        .sum()
}

/// When the newest of all that was seen was written; none where one does not tell.
fn last_write(sight: &Sight<'_>) -> Option<SystemTime> {
    let others = sight.around.iter().filter(|it| it.text("/kind") != "Event");
    let mut newest = None;
    for object in others.chain([sight.object]) {
        let written = object.list("/metadata/managedFields").iter();
        let written =
            written.filter_map(|entry| super::super::time::parse(entry["time"].as_str()?));
        newest = newest.max(Some(written.max()?));
    }
    newest
}

/// A clock that was set back has not run at all.
fn elapsed(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::live::Live;
    use super::*;

    struct Replay {
        tenure: Tenure,
        object: Live,
        around: Vec<Live>,
    }

    impl Replay {
        fn of(object: Value) -> Self {
            Self {
                tenure: Tenure::default(),
                object: Live::new(object),
                around: Vec::new(),
            }
        }

        fn at(&mut self, second: u64, verdict: Verdict) -> Readiness {
            let sight = Sight::new(&self.object, &self.around);
            self.tenure.settle(verdict, &sight, moment(second))
        }
    }

    fn moment(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + second)
    }

    fn generation(number: i64) -> Value {
        json!({ "metadata": { "uid": "u", "generation": number } })
    }

    const HELD: Verdict = Verdict::ReadyIfHeld(Duration::from_secs(5));

    fn settling() -> Readiness {
        Readiness::NotReady("ready, if it stays so for 5 s".to_owned())
    }

    #[test]
    fn a_state_that_must_hold_holds_from_when_it_was_first_seen() {
        let mut replay = Replay::of(generation(1));
        assert_eq!(replay.at(0, HELD), settling());
        assert_eq!(replay.at(4, HELD), settling());
        assert_eq!(replay.at(5, HELD), Readiness::Ready);
        replay.at(6, Verdict::not_ready("1 of 2"));
        assert_eq!(replay.at(7, HELD), settling());
        assert_eq!(replay.at(12, HELD), Readiness::Ready);
        replay.object = Live::new(generation(2));
        assert_eq!(replay.at(13, HELD), settling());
    }

    #[test]
    fn a_restarted_container_begins_anew() {
        let pod = |restarts: i64| {
            Live::new(
                json!({ "kind": "Pod", "status": { "containerStatuses": [{ "restartCount": restarts }] } }),
            )
        };
        let mut replay = Replay::of(generation(1));
        replay.around = vec![pod(0)];
        replay.at(0, HELD);
        replay.around = vec![pod(1)];
        assert_eq!(replay.at(5, HELD), settling());
        assert_eq!(replay.at(10, HELD), Readiness::Ready);
    }

    #[test]
    fn what_nobody_has_written_to_for_long_has_held_for_long() {
        let written = |second: u64| {
            let time = super::super::super::time::rfc3339(moment(second));
            json!({ "metadata": { "uid": "u", "managedFields": [{ "time": time }] } })
        };
        let mut replay = Replay::of(written(0));
        assert_eq!(replay.at(10, HELD), Readiness::Ready);
        replay.around = vec![Live::new(written(3))];
        assert_eq!(
            Replay {
                tenure: Tenure::default(),
                ..replay
            }
            .at(10, HELD),
            settling()
        );
    }

    #[test]
    fn trouble_is_a_failure_only_after_its_time() {
        let mut replay = Replay::of(generation(1));
        let trouble = || Verdict::trouble("no such image", Duration::from_mins(1));
        let waits = Readiness::NotReady("no such image".to_owned());
        assert_eq!(replay.at(0, trouble()), waits);
        assert_eq!(replay.at(59, trouble()), waits);
        replay.at(60, Verdict::not_ready("0 of 1"));
        assert_eq!(replay.at(61, trouble()), waits);
        assert_eq!(
            replay.at(121, trouble()),
            Readiness::Failed("no such image".to_owned())
        );
    }
}

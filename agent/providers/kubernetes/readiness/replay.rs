//! Every recording of a real operator against the rules, line by line, with its own clock.
//!
//! `FIRSTLIGHT_RECORDINGS` names another folder of that form.

mod kstatus;
mod recording;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::super::live::Live;
use super::sight::ROUNDS;
use super::{Need, Readiness, Rule, Sight, Tenure, Verdict, rule_for};
use recording::{Change, Line, Recording};

/// How long after it is truly ready each operator's kinds are called so at the latest.
const SETTLING: [(&str, Duration); 8] = [
    ("fluent-operator", Duration::from_secs(11)),
    ("grafana-operator", Duration::from_secs(11)),
    ("grafana-operator-v5.20.0", Duration::from_secs(11)),
    ("opensearch-operator", Duration::from_secs(11)),
    ("opentelemetry-operator", Duration::from_secs(11)),
    ("pgo", Duration::from_secs(11)),
    ("victoria-metrics-operator", Duration::from_secs(11)),
    ("victoria-metrics-operator-v0.60.0", Duration::from_secs(11)),
];

/// Lines on which nothing in the cluster tells, and the check of a bundle that does.
const DECIDED_BY_THE_SERVER: [(&str, &[usize], &str); 0] = [];

/// How long the clock goes on after the last line, on which nothing changes any more.
const RUN_ON_MS: i64 = 30_000;

fn recordings() -> Vec<Recording> {
    #[expect(clippy::disallowed_methods, reason = "a test reads where its data lie")]
    let named = std::env::var_os("FIRSTLIGHT_RECORDINGS");
    let own = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    recording::all(&named.map_or_else(own, PathBuf::from))
}

fn settling(operator: &str) -> Duration {
    let known = SETTLING.iter().find(|(name, _)| *name == operator);
    known.map_or(Duration::from_secs(15), |(_, settling)| *settling)
}

/// All objects as they stand at a line.
#[derive(Default)]
struct World {
    objects: BTreeMap<(String, String), Live>,
    events: Vec<Live>,
}

impl World {
    fn take(&mut self, line: &Line) {
        let object = &line.object;
        let key = (object.text("/kind").to_owned(), object.name().to_owned());
        match line.change {
            Change::Probe => {}
            Change::Deleted => {
                self.objects.remove(&key);
            }
            Change::Added | Change::Modified if key.0 == "Event" => {
                self.events.push(object.clone());
            }
            Change::Added | Change::Modified => {
                self.objects.insert(key, object.clone());
            }
        }
    }

    fn get(&self, kind: &str, name: &str) -> Option<&Live> {
        self.objects.get(&(kind.to_owned(), name.to_owned()))
    }

    /// Answers as the API server would. A recording holds what belongs to one resource, without
    /// labels, so that a selector matches all of a kind; pods are told by their names.
    fn answer(&self, need: &Need) -> Vec<Live> {
        let of_kind = |kind: &str| {
            let kind = kind.to_owned();
            let all = self.objects.iter();
            all.filter(move |((of, _), _)| *of == kind)
        };
        match need {
            Need::One(target) => {
                let found = self.get(&target.kind.name, &target.name);
                found.into_iter().cloned().collect()
            }
            Need::All { kind, .. } => of_kind(&kind.name).map(|(_, it)| it.clone()).collect(),
            Need::Pods { workload, .. } => {
                let prefix = format!("{workload}-");
                let pods = of_kind("Pod").filter(|((_, name), _)| name.starts_with(&prefix));
                pods.map(|(_, it)| it.clone()).collect()
            }
            Need::Events => self.events.clone(),
        }
    }

    /// What the agent would read beside an object.
    fn around(&self, object: &Live) -> Vec<Live> {
        let Rule::Around { needs, .. } = rule_for(object) else {
            return Vec::new();
        };
        let (mut around, mut asked) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let mut new = needs(&Sight::new(object, &around));
            new.retain(|need| !asked.contains(need));
            around.extend(new.iter().flat_map(|need| self.answer(need)));
            asked.append(&mut new);
        }
        around
    }
}

/// What was found out about one recording.
#[derive(Default)]
struct Findings {
    judged: usize,
    kstatus_wrong: usize,
    wrong: Vec<String>,
    /// Of all stretches that were long enough, how long it took.
    settled: Vec<Duration>,
    stretches: usize,
    named: usize,
    troubled: usize,
}

struct Replay<'a> {
    recording: &'a Recording,
    world: World,
    tenure: Tenure,
    /// When the stretch that is going on began, and whether it has been called ready.
    stretch: Option<(i64, bool)>,
    failed: Option<usize>,
    findings: Findings,
}

fn moment(at_ms: i64) -> SystemTime {
    // Some lines are from before the resource was made.
    let at = u64::try_from(at_ms + 3_600_000).expect("a recording begins within an hour");
    SystemTime::UNIX_EPOCH + Duration::from_millis(at)
}

impl<'a> Replay<'a> {
    fn of(recording: &'a Recording) -> Findings {
        let mut replay = Self {
            recording,
            world: World::default(),
            tenure: Tenure::default(),
            stretch: None,
            failed: None,
            findings: Findings::default(),
        };
        replay.find();
        let mut now = i64::MIN;
        for (number, line) in recording.lines.iter().enumerate() {
            // Of what there was before, the times overlap a little.
            now = now.max(line.at_ms);
            replay.world.take(line);
            let next = recording.lines.get(number + 1);
            let until = next.map_or(now + RUN_ON_MS, |next| next.at_ms);
            replay.line(number, now, until, next.is_none());
        }
        replay.end_stretch(now + RUN_ON_MS);
        replay.findings
    }

    /// A recording of what was there already begins with that; only Secrets come in late.
    fn find(&mut self) {
        let made = self.recording.first_seen_ms();
        let secrets =
            self.recording.lines.iter().filter(|line| {
                line.change == Change::Added && line.object.text("/kind") == "Secret"
            });
        if made > 1000 {
            secrets.for_each(|line| self.world.take(line));
        }
    }

    /// Looks when the line comes, and each second until the next one.
    fn line(&mut self, number: usize, now: i64, until: i64, is_last: bool) {
        let entry = &self.recording.entry;
        let truth = self.recording.was_ready(number);
        let is_changed = self.recording.is_changed_at(number);
        match (truth, self.stretch) {
            (true, None) => self.stretch = Some((now, false)),
            // What is asked has changed, and is true at once: the wait for it begins here.
            (true, Some((_, false))) if is_changed => self.stretch = Some((now, false)),
            (false, Some(_)) => self.end_stretch(now),
            _ => {}
        }
        let Some(object) = self.world.get(&entry.kind, &entry.name).cloned() else {
            return;
        };
        self.findings.judged += 1;
        if kstatus::is_current(&object) && !truth {
            self.findings.kstatus_wrong += 1;
        }
        let around = self.world.around(&object);
        let sight = Sight::new(&object, &around);
        let verdict = verdict(&sight);
        let is_going = object.at("/metadata/deletionTimestamp").is_some();
        if !truth && !is_going && entry.failed_lines.contains(&number) {
            self.trouble(number, &verdict);
        }
        // What comes after the last line nobody has seen, unless it was well.
        let until = if is_last && !truth { now } else { until };
        let mut at = now;
        while at == now || at < until {
            let readiness = self.tenure.settle(verdict.clone(), &sight, moment(at));
            self.compare(number, at, truth, &readiness);
            at += 1000;
        }
    }

    fn compare(&mut self, number: usize, at: i64, truth: bool, readiness: &Readiness) {
        match readiness {
            Readiness::Ready if !truth => {
                self.wrong(number, &format!("called ready at {at} ms"));
            }
            Readiness::Ready => {
                if let Some(failed) = self.failed.take() {
                    self.check_failure(failed, number);
                }
                if let Some((began, called @ false)) = &mut self.stretch {
                    *called = true;
                    let took = u64::try_from(at - *began).unwrap_or_default();
                    let took = Duration::from_millis(took);
                    self.findings.settled.push(took);
                    if took > settling(&self.recording.operator) {
                        self.wrong(number, &format!("called ready only after {took:?}"));
                    }
                }
            }
            Readiness::Failed(_) => self.failed = Some(number),
            Readiness::NotReady(_) => {}
            Readiness::NoRule => self.wrong(number, "there is no rule"),
        }
    }

    /// What was called failed may become ready only if somebody did something about it.
    fn check_failure(&mut self, failed: usize, ready: usize) {
        let entry = &self.recording.entry;
        let acted = entry.actions.iter().any(|it| it.before_line > failed);
        let changed = (failed + 1..=ready).any(|line| self.recording.is_changed_at(line));
        if !acted && !changed {
            let what = format!("called failed, and is ready by itself at line {ready}");
            self.wrong(failed, &what);
        }
    }

    fn end_stretch(&mut self, now: i64) {
        let Some((began, called)) = self.stretch.take() else {
            return;
        };
        self.findings.stretches += 1;
        let lasted = Duration::from_millis(u64::try_from(now - began).unwrap_or_default());
        if !called && lasted > settling(&self.recording.operator) {
            self.wrong(
                0,
                &format!("was ready for {lasted:?} from {began} ms on, never called so"),
            );
        }
    }

    fn trouble(&mut self, number: usize, verdict: &Verdict) {
        self.findings.troubled += 1;
        let why = verdict.why().unwrap_or_default();
        let shown = shown(&self.recording.lines[number].object);
        if shown.iter().any(|words| why.contains(words)) {
            self.findings.named += 1;
        } else {
            self.wrong(number, &format!("says {why:?} and not one of {shown:?}"));
        }
    }

    fn wrong(&mut self, number: usize, what: &str) {
        let label = self.recording.label();
        let known = DECIDED_BY_THE_SERVER
            .iter()
            .any(|(file, lines, _)| *file == label && lines.contains(&number));
        if !known {
            self.findings
                .wrong
                .push(format!("{label}:{number}: {what}"));
        }
    }
}

fn verdict(sight: &Sight<'_>) -> Verdict {
    if sight.object.at("/metadata/deletionTimestamp").is_some() {
        return Verdict::not_ready("is being deleted");
    }
    rule_for(sight.object).verdict(sight)
}

/// The words of trouble that an object carries: one of them must be said.
fn shown(object: &Live) -> Vec<String> {
    let texts = [
        "/status/reason",
        "/status/lastMessage",
        "/status/lastSyncError",
        "/message",
    ];
    let texts = texts.map(|pointer| object.text(pointer).trim().to_owned());
    let conditions = object.conditions().map(|it| it.message.to_owned());
    let mut words: Vec<String> = texts.into_iter().chain(conditions).collect();
    words.retain(|text| !text.is_empty());
    if object.at("/status/NoMatchingInstances").is_some() {
        words.push("no Grafana matches".to_owned());
    }
    if object.text("/kind") == "Pod" {
        // Of several pods in trouble one is named.
        words = vec!["; pod ".to_owned()];
    }
    words
}

#[test]
fn no_recorded_line_is_called_ready_that_was_not() {
    let recordings = recordings();
    assert!(!recordings.is_empty(), "there are no recordings");
    let mut operators: BTreeMap<&str, Vec<Findings>> = BTreeMap::new();
    for recording in &recordings {
        let findings = Replay::of(recording);
        operators
            .entry(&recording.operator)
            .or_default()
            .push(findings);
    }
    println!(
        "operator | recordings | lines | wrong by kstatus (lines, recordings) | wrong by ours | ready stretches: called, all, slowest | trouble named, shown"
    );
    let mut wrong = Vec::new();
    for (operator, all) in &mut operators {
        println!("{}", summary(operator, all));
        wrong.extend(all.iter_mut().flat_map(|it| std::mem::take(&mut it.wrong)));
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn summary(operator: &str, all: &[Findings]) -> String {
    let sum = |count: fn(&Findings) -> usize| all.iter().map(count).sum::<usize>();
    let slowest = all.iter().flat_map(|it| &it.settled).max();
    format!(
        "{operator} | {} | {} | {}, {} | {} | {}, {}, {:.1} s | {}, {}",
        all.len(),
        sum(|it| it.judged),
        sum(|it| it.kstatus_wrong),
        all.iter().filter(|it| it.kstatus_wrong > 0).count(),
        sum(|it| it.wrong.len()),
        sum(|it| it.settled.len()),
        sum(|it| it.stretches),
        slowest.map_or(0.0, Duration::as_secs_f64),
        sum(|it| it.named),
        sum(|it| it.troubled),
    )
}

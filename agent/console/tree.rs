//! The picture of a run: phases, the steps at work in them, what they wait for.

use std::time::{Duration, Instant};

use super::Style;
use crate::engine::{Because, EventKind, Outcome, StepId, Took};
use crate::record;

/// What is known of each node.
pub(super) struct Tree {
    nodes: Vec<Node>,
}

struct Node {
    id: StepId,
    group: bool,
    state: State,
}

enum State {
    Pending,
    Running {
        since: Instant,
        waiting: Option<String>,
        /// Why it takes so long.
        why: Option<String>,
        changes: usize,
    },
    Ended {
        sign: Sign,
        text: String,
        took: Duration,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Good,
    Changed,
    Bad,
    Skipped,
}

/// How many lines of the picture the reason of one wait may take.
const WHY_LINES: usize = 3;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

impl Tree {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new() }
    }

    /// Takes note of an event.
    pub(super) fn note(&mut self, event: &EventKind<'_>, now: Instant) {
        match event {
            EventKind::RunStarted { nodes, .. } => {
                let node = |(id, group): &(StepId, bool)| Node {
                    id: id.clone(),
                    group: *group,
                    state: State::Pending,
                };
                self.nodes = nodes.iter().map(node).collect();
            }
            EventKind::StepStarted { step, .. } => {
                self.set(
                    step,
                    State::Running {
                        since: now,
                        waiting: None,
                        why: None,
                        changes: 0,
                    },
                );
            }
            EventKind::StepWaiting {
                step,
                waiting: wait,
                diagnosis,
                ..
            } => {
                if let Some(State::Running { waiting, why, .. }) = self.state(step) {
                    *waiting = Some(wait.what.clone());
                    *why = diagnosis.map(|diagnosis| diagnosis.sentence.clone());
                }
            }
            EventKind::StepChanged { step, .. } => {
                if let Some(State::Running {
                    changes,
                    waiting,
                    why,
                    ..
                }) = self.state(step)
                {
                    *changes += 1;
                    *waiting = None;
                    *why = None;
                }
            }
            EventKind::StepFinished { report } => {
                let (sign, text) = ending(&report.outcome);
                self.set(
                    &report.id,
                    State::Ended {
                        sign,
                        text,
                        took: report.took,
                    },
                );
            }
            EventKind::GroupFinished {
                step,
                because,
                took,
            } => {
                let sign = match because {
                    None => Sign::Good,
                    Some(Because::Stopped) => Sign::Skipped,
                    Some(Because::Need(_)) => Sign::Bad,
                };
                self.set(
                    step,
                    State::Ended {
                        sign,
                        text: String::new(),
                        took: *took,
                    },
                );
            }
            EventKind::RunStopping { .. } | EventKind::RunFinished { .. } => {}
        }
    }

    fn state(&mut self, id: &StepId) -> Option<&mut State> {
        self.nodes
            .iter_mut()
            .find(|node| node.id == *id)
            .map(|node| &mut node.state)
    }

    fn set(&mut self, id: &StepId, state: State) {
        if let Some(old) = self.state(id) {
            *old = state;
        }
    }

    /// The lines to show: every phase, below it what is at work or failed, and never more than
    /// `height` lines of `width` characters.
    pub(super) fn lines(
        &self,
        now: Instant,
        tick: usize,
        style: Style,
        size: (usize, usize),
    ) -> Vec<String> {
        let (width, height) = size;
        let mut lines = Vec::new();
        for node in &self.nodes {
            let depth = node.id.as_str().matches('/').count();
            if depth > 0 && !node.is_news() {
                continue;
            }
            let inside = if node.group {
                self.members(&node.id)
            } else {
                String::new()
            };
            lines.push(node.line(depth, &inside, (now, tick), style, width));
            lines.extend(node.why(depth, style, width));
        }
        if lines.len() > height {
            let more = lines.len() + 1 - height;
            lines.truncate(height.saturating_sub(1));
            lines.push(style.dim(format!("… and {more} more lines")));
        }
        lines
    }

    /// How far the steps of a group are: ` 3/8`.
    fn members(&self, group: &StepId) -> String {
        let prefix = format!("{group}/");
        let inside = self
            .nodes
            .iter()
            .filter(|node| !node.group && node.id.as_str().starts_with(&prefix));
        let (mut all, mut done) = (0, 0);
        for node in inside {
            all += 1;
            done += usize::from(matches!(node.state, State::Ended { .. }));
        }
        format!(" {done}/{all}")
    }
}

impl Node {
    /// Whether a node below a phase is worth a line.
    fn is_news(&self) -> bool {
        match &self.state {
            State::Pending => false,
            State::Running { .. } => true,
            State::Ended { sign, .. } => *sign == Sign::Bad && !self.group,
        }
    }

    /// Why it takes so long: a sentence that is too long for the rest of the node's own line.
    fn why(&self, depth: usize, style: Style, width: usize) -> Vec<String> {
        let State::Running { why: Some(why), .. } = &self.state else {
            return Vec::new();
        };
        let indent = "  ".repeat(depth + 1);
        let room = width.saturating_sub(indent.len());
        let lines = folded(why, room, WHY_LINES);
        let line = |line: String| format!("{indent}{}", style.change(line));
        lines.into_iter().map(line).collect()
    }

    fn line(
        &self,
        depth: usize,
        inside: &str,
        time: (Instant, usize),
        style: Style,
        width: usize,
    ) -> String {
        let indent = "  ".repeat(depth);
        let name = if depth == 0 {
            self.id.as_str()
        } else {
            self.id.name()
        };
        let head = format!("{indent}  {name}{inside}");
        let room = width.saturating_sub(head.chars().count() + 12);
        match &self.state {
            State::Pending => style.dim(format!("{indent}· {name}{inside}")),
            State::Running {
                since,
                waiting,
                changes,
                ..
            } => {
                let spinner = style.busy(SPINNER[time.1 % SPINNER.len()]);
                let elapsed = style.dim(Took(time.0.saturating_duration_since(*since)));
                let text = waiting.clone().unwrap_or_else(|| working(*changes));
                let text = if text.is_empty() {
                    text
                } else {
                    format!("  {}", cut(&text, room))
                };
                format!(
                    "{indent}{spinner} {name}{inside} {elapsed}{}",
                    style.dim(text)
                )
            }
            State::Ended { sign, text, took } => {
                let took = style.dim(Took(*took));
                let text = cut(text, room);
                format!(
                    "{indent}{} {name}{inside} {took}  {text}",
                    sign.paint(style)
                )
            }
        }
    }
}

impl Sign {
    fn paint(self, style: Style) -> String {
        match self {
            Self::Good => style.good("✓"),
            Self::Changed => style.change("✓"),
            Self::Bad => style.bad("✗"),
            Self::Skipped => style.dim("-"),
        }
    }
}

fn working(changes: usize) -> String {
    match changes {
        0 => String::new(),
        1 => "1 change made".to_owned(),
        _ => format!("{changes} changes made"),
    }
}

fn ending(outcome: &Outcome) -> (Sign, String) {
    match outcome {
        Outcome::Unchanged => (Sign::Good, String::new()),
        Outcome::Changed(_) => (Sign::Changed, String::new()),
        Outcome::Deferred { waiting, .. } => (Sign::Skipped, waiting.what.clone()),
        Outcome::Failed { error, .. } => (Sign::Bad, record::reason(error)),
        Outcome::Skipped { because } => (Sign::Skipped, record::skipped(because)),
    }
}

/// The text in at most so many lines, broken between words.
fn folded(text: &str, room: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let fits = |line: &&mut String| line.chars().count() + 1 + word.chars().count() <= room;
        let full = lines.len() >= most;
        match lines.last_mut().filter(|line| full || fits(line)) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| cut(line, room)).collect()
}

/// The text, cut so that it fits.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{
        Attempt, Because, Class, Diagnosis, Mode, RunInfo, StepError, StepReport, Waiting,
    };

    fn id(path: &str) -> StepId {
        StepId::new(path)
    }

    fn finished(path: &str, outcome: Outcome) -> StepReport {
        StepReport {
            id: id(path),
            kind: "memory",
            outcome,
            optional: false,
            started: None,
            took: Duration::from_millis(1234),
            waited: Duration::ZERO,
            attempts: 1,
            retries: 0,
        }
    }

    #[test]
    fn a_run_reads_as_a_tree() {
        let start = Instant::now();
        let mut tree = Tree::new();
        let info = RunInfo {
            id: "1".to_owned(),
            bundle: "lens".to_owned(),
            profile: None,
            namespace: "lens".to_owned(),
            trace_id: None,
            attempt: Attempt::default(),
        };
        let nodes = [
            (id("workloads"), true),
            (id("workloads/postgres"), false),
            (id("workloads/grafana"), false),
            (id("workloads/jaeger"), false),
            (id("schema"), true),
            (id("schema/migrate"), false),
            (id("search"), true),
        ];
        let mode = Mode::Apply;
        tree.note(
            &EventKind::RunStarted {
                run: &info,
                mode,
                nodes: &nodes,
            },
            start,
        );
        for step in ["workloads", "workloads/postgres", "workloads/grafana"] {
            tree.note(
                &EventKind::StepStarted {
                    step: &id(step),
                    timeout: None,
                },
                start,
            );
        }
        let report = finished("workloads/jaeger", Outcome::Changed(Vec::new()));
        tree.note(&EventKind::StepFinished { report: &report }, start);
        let waiting =
            Waiting::unavailable("Deployment lens/grafana: 0 of 1 pods ready and still not more");
        let diagnosis = Diagnosis {
            sentence: "pod grafana-1: not scheduled: 0/1 nodes are available: 1 Insufficient cpu"
                .to_owned(),
            evidence: Vec::new(),
        };
        let event = EventKind::StepWaiting {
            step: &id("workloads/grafana"),
            waiting: &waiting,
            diagnosis: Some(&diagnosis),
            elapsed: Duration::ZERO,
        };
        tree.note(&event, start);
        let waiting = Waiting {
            what: "x".to_owned(),
            class: Class::Invalid,
        };
        let error = StepError::TimedOut {
            after: Duration::from_secs(3),
            no_progress: false,
            last_seen: waiting,
            diagnosis: None,
            error: None,
        };
        let report = finished(
            "workloads/postgres",
            Outcome::Failed {
                changed: Vec::new(),
                error,
            },
        );
        tree.note(&EventKind::StepFinished { report: &report }, start);
        let because = Because::Need(id("workloads/postgres"));
        let report = finished("schema/migrate", Outcome::Skipped { because });
        tree.note(&EventKind::StepFinished { report: &report }, start);
        let now = start + Duration::from_secs(12);
        let lines = tree.lines(now, 0, Style::Plain, (70, 20)).join("\n");
        insta::assert_snapshot!(lines, @r"
        ⠋ workloads 2/3 12.0s
          ✗ postgres 1.2s  waited 3.0s for: x
          ⠋ grafana 12.0s  Deployment lens/grafana: 0 of 1 pods ready and…
            pod grafana-1: not scheduled: 0/1 nodes are available: 1
            Insufficient cpu
        · schema 1/1
        · search 0/0
        ");
        assert_eq!(tree.lines(now, 0, Style::Plain, (70, 3)).len(), 3);
    }
}

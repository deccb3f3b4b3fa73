//! What the template puts in its place: words and numbers that are ready to be read.

use serde::Serialize;

/// The page.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) head: Head,
    pub(super) failures: List<Failure>,
    pub(super) chart: Chart,
    pub(super) changes_title: &'static str,
    pub(super) changes: List<Changed>,
    pub(super) checks: List<Check>,
    /// Why steps were not tried or cannot be told, each reason once.
    pub(super) set_aside: List<SetAside>,
    pub(super) slowest: Vec<Slow>,
    pub(super) left: List<String>,
    pub(super) remark: String,
    pub(super) notes: Vec<String>,
}

/// Some things, and how many more there are.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    pub(super) more: usize,
}

/// The top of the page.
#[derive(Debug, Serialize)]
pub(super) struct Head {
    pub(super) bundle: String,
    /// `good`, `bad`, `open`: what the badge looks like.
    pub(super) mood: &'static str,
    pub(super) verdict: &'static str,
    pub(super) sentence: String,
    /// What is known besides, each with its name.
    pub(super) facts: Vec<(&'static str, String)>,
}

/// A failed step.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) id: String,
    pub(super) anchor: String,
    pub(super) kind: String,
    pub(super) optional: bool,
    pub(super) error: Option<String>,
    pub(super) reason: String,
    pub(super) excerpt: Option<String>,
    pub(super) evidence: List<String>,
    pub(super) hints: List<String>,
}

/// The waterfall.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    pub(super) ticks: Vec<Tick>,
    /// The distance of the ticks in percent.
    pub(super) grid: String,
    pub(super) attempts: Vec<Row>,
    pub(super) phases: Vec<Phase>,
    pub(super) more_phases: usize,
}

/// A time on the axis.
#[derive(Debug, Serialize)]
pub(super) struct Tick {
    pub(super) left: String,
    pub(super) label: String,
}

/// A phase and its steps.
#[derive(Debug, Serialize)]
pub(super) struct Phase {
    pub(super) row: Row,
    pub(super) steps: Vec<Row>,
    /// The steps that are not shown one by one.
    pub(super) rest: Option<String>,
}

/// A line of the waterfall.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    /// Where the step is explained, if it is.
    pub(super) anchor: Option<String>,
    /// One word; also the class of the line.
    pub(super) outcome: String,
    pub(super) sign: &'static str,
    pub(super) took: String,
    /// The line in words.
    pub(super) said: String,
    pub(super) bars: Vec<Bar>,
    pub(super) inside: Vec<Inner>,
    pub(super) more_inside: usize,
}

/// A look, a wait or a call inside of a step.
#[derive(Debug, Serialize)]
pub(super) struct Inner {
    pub(super) depth: usize,
    pub(super) name: String,
    pub(super) said: Option<String>,
    pub(super) failed: bool,
    pub(super) took: String,
    pub(super) bar: Bar,
}

/// A stretch of time.
#[derive(Debug, Serialize)]
pub(super) struct Bar {
    /// `working`, `waiting`, `broken` or `span`.
    pub(super) class: &'static str,
    /// Its place in percent of the width.
    pub(super) left: String,
    pub(super) width: String,
}

/// What a step changed.
#[derive(Debug, Serialize)]
pub(super) struct Changed {
    pub(super) id: String,
    pub(super) changes: List<Change>,
}

/// A change.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) verb: String,
    pub(super) sign: &'static str,
    pub(super) target: String,
    /// Whether its fields are unfolded at first.
    pub(super) is_short: bool,
    pub(super) fields: List<Field>,
}

/// A field of a change.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    pub(super) path: String,
    pub(super) sensitive: bool,
    /// Some only name what is done.
    pub(super) has_values: bool,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// A question and its answer.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) answer: &'static str,
    pub(super) reason: Option<String>,
    pub(super) took: String,
}

/// Steps that share the reason why they were not tried.
#[derive(Debug, Serialize)]
pub(super) struct SetAside {
    pub(super) what: &'static str,
    pub(super) reason: String,
    pub(super) steps: List<String>,
}

/// One of the steps that took longest.
#[derive(Debug, Serialize)]
pub(super) struct Slow {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) took: String,
    pub(super) working: String,
    pub(super) waiting: String,
    pub(super) looks: u32,
}

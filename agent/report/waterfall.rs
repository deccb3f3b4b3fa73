//! The waterfall: what happened when, in percent of the width.

use std::collections::HashMap;

use super::bounds::Bounds;
use super::layout::{anchor, of_step, took};
use super::view::{Bar, Chart, Inner, Phase, Row, Tick};
use super::{Moment, Story, Work, moments};
use crate::record::{PhaseRecord, StepRecord};

/// The distances of ticks that people like to read, in seconds.
const DISTANCES: [f64; 22] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0,
    120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0,
];
/// At most so many stretches between ticks.
const TICKS: f64 = 7.0;
/// At most so many looks, waits and calls of one step.
const INSIDE: usize = 60;

/// The outcome of a step whose end is not in the trace.
pub(super) const NOT_ENDED: &str = "not ended";
/// How a step can have ended.
const OUTCOMES: [&str; 6] = [
    "failed",
    NOT_ENDED,
    "changed",
    "unchanged",
    "skipped",
    "deferred",
];

/// The time from one end of the picture to the other, in seconds.
struct Scale {
    total: f64,
    grain: f64,
}

pub(super) fn chart(story: &Story, bounds: &Bounds) -> Chart {
    let scale = Scale::of(story, bounds);
    let shown = shown(story, bounds);
    let mut inside = inside(story, &shown, &scale, bounds);
    let record = &story.record;
    let phases = record.phases.iter().take(bounds.phases);
    let phases = phases.map(|phase| {
        let steps: Vec<&StepRecord> = record
            .steps
            .iter()
            .filter(|step| of_phase(step, phase))
            .collect();
        let (rows, rest): (Vec<&StepRecord>, Vec<&StepRecord>) =
            steps.iter().partition(|step| shown.contains_key(&*step.id));
        Phase {
            row: phase_row(phase, &steps, &scale, bounds),
            steps: rows
                .into_iter()
                .map(|step| {
                    let moments = story.moments.get(&step.id).map_or(&[][..], Vec::as_slice);
                    let (inside, more) = inside.remove(&*step.id).unwrap_or_default();
                    step_row(step, phase, moments, &scale, bounds).with(inside, more)
                })
                .collect(),
            rest: rest_of(phase, &steps, &rest),
        }
    });
    let (ticks, grid) = scale.ticks();
    Chart {
        ticks,
        grid,
        attempts: story
            .attempts
            .iter()
            .take(bounds.items)
            .map(|attempt| attempt_row(attempt, &scale, bounds))
            .collect(),
        phases: phases.collect(),
        more_phases: record.phases.len().saturating_sub(bounds.phases),
    }
}

fn of_phase(step: &StepRecord, phase: &PhaseRecord) -> bool {
    step.id.split('/').next() == Some(&phase.name)
}

/// The steps that have a line of their own, each with its rank: what failed, then what changed, then
/// what took longest.
fn shown<'a>(story: &'a Story, bounds: &Bounds) -> HashMap<&'a str, usize> {
    let weight = |step: &StepRecord| match step.outcome.as_str() {
        "failed" | NOT_ENDED => 3,
        "changed" => 2,
        "unchanged" => 1,
        _ => 0,
    };
    let mut steps: Vec<&StepRecord> = story.record.steps.iter().collect();
    steps.sort_by(|one, other| {
        let by_weight = weight(other).cmp(&weight(one));
        by_weight.then_with(|| other.seconds.total_cmp(&one.seconds))
    });
    let steps = steps.into_iter().take(bounds.rows).enumerate();
    steps.map(|(rank, step)| (&*step.id, rank)).collect()
}

/// What is shown inside of each step, and how many more there are, as long as there is room.
fn inside<'a>(
    story: &'a Story,
    shown: &HashMap<&'a str, usize>,
    scale: &Scale,
    bounds: &Bounds,
) -> HashMap<&'a str, (Vec<Inner>, usize)> {
    let mut room = bounds.moments;
    let mut ranked: Vec<(&str, usize)> = shown.iter().map(|(&id, &rank)| (id, rank)).collect();
    ranked.sort_by_key(|(_, rank)| *rank);
    let steps = ranked.into_iter().filter_map(|(id, _)| {
        let moments = story.moments.get(id)?;
        let mut all = Vec::new();
        for moment in moments {
            flatten(moment, 0, &mut all);
        }
        // One look without a call says nothing that the step does not.
        if all.len() < 2 && !all.iter().any(|(_, moment)| moment.failed) {
            return None;
        }
        let shown = all.len().min(INSIDE).min(room);
        room -= shown;
        let more = all.len() - shown;
        let some = all.into_iter().take(shown);
        let some = some.map(|(depth, it)| inner(depth, it, scale, bounds));
        let mut some: Vec<Inner> = some.collect();
        say_once(&mut some);
        Some((id, (some, more)))
    });
    steps.collect()
}

/// What was said the line before need not be said again.
fn say_once(lines: &mut [Inner]) {
    let mut last = None;
    for line in lines {
        if line.said.is_some() && line.said == last {
            line.said = None;
        } else if line.said.is_some() {
            last.clone_from(&line.said);
        }
    }
}

fn flatten<'a>(moment: &'a Moment, depth: usize, into: &mut Vec<(usize, &'a Moment)>) {
    into.push((depth, moment));
    for one in &moment.inside {
        flatten(one, depth + 1, into);
    }
}

fn inner(depth: usize, moment: &Moment, scale: &Scale, bounds: &Bounds) -> Inner {
    Inner {
        depth: depth.min(3),
        name: bounds.cut(&moment.name),
        said: moment.said.as_deref().map(|text| bounds.cut(text)),
        failed: moment.failed,
        took: took(moment.end - moment.begin),
        bar: scale.bar(class(moment), moment.begin, moment.end),
    }
}

fn class(moment: &Moment) -> &'static str {
    match (moment.work, moment.failed) {
        (Work::Wait, _) => "waiting",
        (_, true) => "broken",
        (_, false) => "working",
    }
}

impl Row {
    fn with(self, inside: Vec<Inner>, more_inside: usize) -> Self {
        Self {
            inside,
            more_inside,
            ..self
        }
    }
}

fn sign(outcome: &str) -> &'static str {
    match outcome {
        "failed" => "✗",
        "skipped" => "-",
        "changed" => "✎",
        "unchanged" | "ended" => "✓",
        _ => "…",
    }
}

fn phase_row(phase: &PhaseRecord, steps: &[&StepRecord], scale: &Scale, bounds: &Bounds) -> Row {
    let first = steps.iter().filter_map(|step| step.offset);
    let begin = phase.offset.or_else(|| first.min_by(f64::total_cmp));
    let bar = begin.map(|begin| scale.bar("span", begin, begin + phase.seconds));
    let (count, changed) = (phase.steps, phase.changed);
    Row {
        name: bounds.cut(&phase.name),
        anchor: None,
        sign: sign(&phase.outcome),
        took: begin.map_or_else(String::new, |_| took(phase.seconds)),
        said: format!(
            "{}, {changed} of {count} steps changed",
            bounds.cut(&phase.outcome)
        ),
        outcome: bounds.cut(&phase.outcome),
        bars: bar.into_iter().collect(),
        inside: Vec::new(),
        more_inside: 0,
    }
}

fn step_row(
    step: &StepRecord,
    phase: &PhaseRecord,
    moments: &[Moment],
    scale: &Scale,
    bounds: &Bounds,
) -> Row {
    let name = step.id.strip_prefix(&phase.name).unwrap_or(&step.id);
    let name = name.trim_start_matches('/');
    let optional = if step.optional { " (optional)" } else { "" };
    let mut said = format!("{}{optional}", bounds.cut(&step.outcome));
    if step.waited > 0.0 {
        said = format!("{said}, {} of it waiting", took(step.waited));
    }
    let failed = step.outcome == "failed";
    Row {
        name: bounds.cut(name),
        anchor: failed.then(|| anchor(&bounds.cut(&step.id))),
        outcome: bounds.cut(&step.outcome),
        sign: sign(&step.outcome),
        took: of_step(step),
        said,
        bars: scale.step(step, moments),
        inside: Vec::new(),
        more_inside: 0,
    }
}

fn attempt_row(attempt: &Moment, scale: &Scale, bounds: &Bounds) -> Row {
    let outcome = if attempt.failed { "failed" } else { "ended" };
    Row {
        name: bounds.cut(&attempt.name),
        anchor: None,
        outcome: outcome.to_owned(),
        sign: sign(outcome),
        took: took(attempt.end - attempt.begin),
        said: bounds.cut(attempt.said.as_deref().unwrap_or_default()),
        bars: vec![scale.bar("span", attempt.begin, attempt.end)],
        inside: Vec::new(),
        more_inside: 0,
    }
}

/// The steps of a phase that have no line, in one sentence.
fn rest_of(phase: &PhaseRecord, known: &[&StepRecord], rest: &[&StepRecord]) -> Option<String> {
    let mut parts = Vec::new();
    for word in OUTCOMES {
        let count = rest.iter().filter(|step| step.outcome == word).count();
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let unknown = phase.steps.saturating_sub(known.len());
    if unknown > 0 {
        parts.push(format!("{unknown} not in the record"));
    }
    if parts.is_empty() {
        return None;
    }
    let longest = rest.iter().map(|step| step.seconds).max_by(f64::total_cmp);
    let longest = longest.map_or_else(String::new, |longest| {
        format!("; none of them took longer than {}", took(longest))
    });
    let count = rest.len() + unknown;
    let steps = if count == 1 { "step" } else { "steps" };
    Some(format!(
        "and {count} more {steps}: {}{longest}",
        parts.join(", ")
    ))
}

impl Scale {
    fn of(story: &Story, bounds: &Bounds) -> Self {
        let record = &story.record;
        let ends = record
            .steps
            .iter()
            .filter_map(|step| Some(step.offset? + step.seconds));
        let attempts = story.attempts.iter().map(|attempt| attempt.end);
        let total = ends.chain(attempts).fold(record.seconds, f64::max);
        Self {
            total: total.max(0.001),
            grain: f64::from(bounds.grain),
        }
    }

    fn percent(&self, seconds: f64) -> f64 {
        (seconds / self.total * 100.0).clamp(0.0, 100.0)
    }

    fn bar(&self, class: &'static str, begin: f64, end: f64) -> Bar {
        let (left, right) = (self.percent(begin), self.percent(end));
        Bar {
            class,
            left: format!("{left:.2}"),
            width: format!("{:.2}", (right - left).max(0.0)),
        }
    }

    /// The time of a step: waiting, and on it what was worked, because it looks while it waits.
    /// Where only the sum of the waits is known, they are drawn first.
    fn step(&self, step: &StepRecord, moments: &[Moment]) -> Vec<Bar> {
        let Some(begin) = step.offset else {
            return Vec::new();
        };
        let end = begin + step.seconds;
        let (waited, worked) = if moments.is_empty() {
            let until = begin + step.waited.min(step.seconds);
            let waited = (step.waited > 0.0).then_some((begin, until));
            (waited.into_iter().collect(), vec![(until, end)])
        } else {
            let merged = |work| self.merged(moments, work);
            (merged(Work::Wait), merged(Work::Attempt))
        };
        let drawn = |class, all: Vec<(f64, f64)>| {
            let bar = move |(from, to)| self.bar(class, from, to);
            all.into_iter().map(bar)
        };
        let mut bars: Vec<Bar> = drawn("waiting", waited).collect();
        bars.extend(drawn("working", worked));
        if step.outcome == "failed" {
            bars.push(self.bar("broken", end, end));
        }
        bars
    }

    /// When it was worked, or waited, with stretches that lie too close together for the eye made one.
    fn merged(&self, moments: &[Moment], work: Work) -> Vec<(f64, f64)> {
        let mut all: Vec<(f64, f64)> = moments::of(moments, work)
            .map(|moment| (moment.begin, moment.end))
            .collect();
        all.sort_by(|one, other| one.0.total_cmp(&other.0));
        let gap = self.total / self.grain;
        let mut merged: Vec<(f64, f64)> = Vec::new();
        for (begin, end) in all {
            match merged.last_mut().filter(|last| begin - last.1 <= gap) {
                Some(last) => last.1 = last.1.max(end),
                None => merged.push((begin, end)),
            }
        }
        merged
    }

    /// Times on the axis, and their distance in percent.
    fn ticks(&self) -> (Vec<Tick>, String) {
        let fits = |distance: &&f64| self.total / **distance <= TICKS;
        let distance = DISTANCES.iter().find(fits).copied();
        let distance = distance.unwrap_or(self.total / TICKS);
        let mut ticks = Vec::new();
        let mut at = 0.0;
        while at <= self.total {
            ticks.push(Tick {
                left: format!("{:.2}", self.percent(at)),
                label: took((at * 1000.0_f64).round() / 1000.0),
            });
            at += distance;
        }
        (ticks, format!("{:.4}", self.percent(distance)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(total: f64) -> Scale {
        Scale {
            total,
            grain: 100.0,
        }
    }

    fn moment(work: Work, begin: f64, end: f64) -> Moment {
        Moment {
            name: "attempt".to_owned(),
            work,
            begin,
            end,
            said: None,
            failed: false,
            inside: Vec::new(),
        }
    }

    #[test]
    fn ticks_are_at_times_that_people_count_in() {
        for (total, labels) in [
            (20.8, &["0ms", "5.0s", "10.0s", "15.0s", "20.0s"][..]),
            (
                0.35,
                &[
                    "0ms", "50ms", "100ms", "150ms", "200ms", "250ms", "300ms", "350ms",
                ],
            ),
            (310.0, &["0ms", "1m00s", "2m00s", "3m00s", "4m00s", "5m00s"]),
        ] {
            let (ticks, _) = scale(total).ticks();
            let said: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
            assert_eq!(said, labels);
        }
    }

    #[test]
    fn what_is_too_close_together_is_one_stretch() {
        let all = [
            moment(Work::Attempt, 5.0, 6.0),
            moment(Work::Attempt, 0.0, 1.0),
            moment(Work::Wait, 1.0, 5.0),
            moment(Work::Attempt, 6.5, 7.0),
        ];
        assert_eq!(
            scale(100.0).merged(&all, Work::Attempt),
            [(0.0, 1.0), (5.0, 7.0)],
            "half of a percent is not seen"
        );
        assert_eq!(scale(100.0).merged(&all, Work::Wait), [(1.0, 5.0)]);
    }

    #[test]
    fn only_what_is_current_gets_a_tick() {
        let ticked = ["unchanged", "ended", "changed", "stopped", "else"].map(sign);
        assert_eq!(ticked, ["✓", "✓", "✎", "…", "…"]);
        let known = OUTCOMES.map(sign);
        assert_eq!(known, ["✗", "…", "✎", "✓", "-", "…"]);
    }

    #[test]
    fn a_bar_stays_inside_of_the_picture() {
        let bar = scale(10.0).bar("working", 9.0, 12.0);
        assert_eq!((&*bar.left, &*bar.width), ("90.00", "10.00"));
    }
}

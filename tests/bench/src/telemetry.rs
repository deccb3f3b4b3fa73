//! What telemetry costs: the same run with and without it, the two taking turns in who is first.
//!
//! The collector, and Jaeger behind it, work on the same machine, so that the time is theirs too;
//! what the run itself worked is told beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testbed::{Cluster, Env, Otelcol, unique};
use tokio::process::Command;

use crate::load::Load;
use crate::results::{Case, Weight};
use crate::spans::{Kept, Spans};
use crate::{Failure, controller, kubernetes, quickstart, watched};

/// How often each side installs, and how often it then runs again.
pub(crate) const INSTALLATIONS: usize = 3;
pub(crate) const AGAIN: usize = 9;

pub(crate) const PEER: &str = "the same without telemetry";

/// Whether a run tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    With,
    Without,
}

/// What one run took.
struct Round {
    side: Side,
    took: Duration,
    busy: Duration,
    peak_kib: u64,
    /// None without telemetry.
    spans: Option<Spans>,
}

struct Bench {
    firstlight: PathBuf,
    cluster: Cluster,
    collector: Otelcol,
}

/// Measures all sizes; without any object, the quickstart.
pub(crate) async fn measure(program: &Path, sizes: &[usize]) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for size in sizes {
        cases.extend(match size {
            0 => quickstart::measure()?,
            _ => objects(program, *size).await?,
        });
    }
    Ok(cases)
}

async fn objects(program: &Path, size: usize) -> Result<Vec<Case>, Failure> {
    let env = Env::load()?;
    let bench = Bench {
        firstlight: std::path::absolute(program)?,
        cluster: env.api_server()?,
        collector: env.otelcol()?,
    };
    let client = kubernetes::client(&bench.cluster).await?;
    let controller = controller::start(&client).await?;
    let load = Load::new(size)?;
    let mut fresh = Vec::new();
    let mut namespace = String::new();
    for side in turns(INSTALLATIONS) {
        namespace = unique("bench");
        kubernetes::kubectl(&bench.cluster, &["create", "namespace", &namespace])?;
        fresh.push(bench.run(side, &load, &namespace).await?);
    }
    let mut again = Vec::new();
    for side in turns(AGAIN) {
        again.push(bench.run(side, &load, &namespace).await?);
    }
    controller.abort();
    let fresh = case(format!("apply and wait, {size} objects"), &fresh);
    let again = case(format!("again, nothing to do, {size} objects"), &again);
    Ok(fresh.into_iter().chain(again).collect())
}

/// Each side so often, and each the first of two as often as the other.
pub(crate) fn turns(count: usize) -> impl Iterator<Item = Side> {
    (0..count).flat_map(|at| {
        if at % 2 == 0 {
            [Side::With, Side::Without]
        } else {
            [Side::Without, Side::With]
        }
    })
}

/// The median of one side.
pub(crate) fn middle(times: &[(Side, Duration)], side: Side) -> Option<Duration> {
    let times = times.iter().filter(|(other, _)| *other == side);
    let mut times: Vec<_> = times.map(|(_, took)| *took).collect();
    times.sort();
    times.get(times.len() / 2).copied()
}

/// The medians of both sides; of memory the most that any run has taken.
fn case(what: String, rounds: &[Round]) -> Option<Case> {
    let times = |of: fn(&Round) -> Duration| -> Vec<_> {
        rounds.iter().map(|round| (round.side, of(round))).collect()
    };
    let (took, busy) = (times(|round| round.took), times(|round| round.busy));
    let peak = |side: Side| of(rounds, side).map(|round| round.peak_kib).max();
    let spans = rounds.iter().filter_map(|round| round.spans).next_back()?;
    let weight = Weight {
        ours_cpu_seconds: middle(&busy, Side::With)?.as_secs_f64(),
        peer_cpu_seconds: middle(&busy, Side::Without)?.as_secs_f64(),
        ours_peak_mib: peak(Side::With)? / 1024,
        peer_peak_mib: peak(Side::Without)? / 1024,
        spans,
    };
    let (with, without) = (middle(&took, Side::With)?, middle(&took, Side::Without)?);
    Some(Case::weighed(what, with, PEER, without, weight))
}

fn of(rounds: &[Round], side: Side) -> impl Iterator<Item = &Round> {
    rounds.iter().filter(move |round| round.side == side)
}

impl Bench {
    async fn run(&self, side: Side, load: &Load, namespace: &str) -> Result<Round, Failure> {
        let kept = Kept::by(&self.collector);
        let mut command = Command::new(&self.firstlight);
        command
            .args(["run", "--output", "json"])
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .env("FIRSTLIGHT_BUNDLE", load.path("bundle"))
            .env("FIRSTLIGHT_NAMESPACE", namespace)
            .env("FIRSTLIGHT_TERMINATION_LOG", load.path("termination"));
        if side == Side::With {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.collector.otlp_http);
        }
        let watched = watched::run(&mut command).await?;
        let spans = match side {
            Side::With => {
                let record: Value = serde_json::from_slice(&watched.output.stdout)?;
                Some(kept.all_of(&record).await?)
            }
            Side::Without => None,
        };
        let (took, busy, peak_kib) = (watched.took, watched.busy, watched.peak_kib);
        let spans_of = spans.map_or(0, |spans| spans.arrived);
        eprintln!(
            "{side:?}: {took:?}, {busy:?} at work, {} MiB, {spans_of} spans",
            peak_kib / 1024
        );
        Ok(Round {
            side,
            took,
            busy,
            peak_kib,
            spans,
        })
    }
}

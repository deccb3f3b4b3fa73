//! The results, for machines and for the README.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::Failure;
use crate::spans::Spans;
use crate::tool::Cost;

/// One case beside one other tool.
#[derive(Serialize)]
pub(crate) struct Case {
    #[serde(rename = "case")]
    what: String,
    ours_seconds: f64,
    peer: &'static str,
    peer_seconds: f64,
    /// Ours by theirs: below 1 is faster.
    ratio: f64,
    #[serde(flatten)]
    traffic: Option<Traffic>,
    #[serde(flatten)]
    weight: Option<Weight>,
}

/// What a run worked, what it held in memory at once, and what became of its spans.
#[derive(Serialize)]
pub(crate) struct Weight {
    pub(crate) ours_cpu_seconds: f64,
    pub(crate) peer_cpu_seconds: f64,
    pub(crate) ours_peak_mib: u64,
    pub(crate) peer_peak_mib: u64,
    #[serde(flatten)]
    pub(crate) spans: Spans,
}

/// What went to and fro, where that was counted.
#[derive(Serialize)]
struct Traffic {
    ours_requests: u64,
    peer_requests: u64,
    ours_bytes: u64,
    peer_bytes: u64,
}

impl Case {
    /// By time alone.
    pub(crate) fn timed(
        what: String,
        ours: Duration,
        peer_name: &'static str,
        peer: Duration,
    ) -> Self {
        let (ours, peer) = (ours.as_secs_f64(), peer.as_secs_f64());
        Self {
            what,
            ours_seconds: rounded(ours),
            peer: peer_name,
            peer_seconds: rounded(peer),
            ratio: rounded(ours / peer),
            traffic: None,
            weight: None,
        }
    }

    /// By time and memory.
    pub(crate) fn weighed(
        what: String,
        ours: Duration,
        peer_name: &'static str,
        peer: Duration,
        weight: Weight,
    ) -> Self {
        Self {
            weight: Some(weight),
            ..Self::timed(what, ours, peer_name, peer)
        }
    }

    /// By time, and by what went to and fro.
    pub(crate) fn new(what: String, ours: Cost, peer_name: &'static str, peer: Cost) -> Self {
        let traffic = Traffic {
            ours_requests: ours.used.requests,
            peer_requests: peer.used.requests,
            ours_bytes: ours.used.bytes,
            peer_bytes: peer.used.bytes,
        };
        Self {
            traffic: Some(traffic),
            ..Self::timed(what, ours.took, peer_name, peer.took)
        }
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Writes `WHAT.json` into the folder and the table into the README.
pub(crate) fn keep(folder: &Path, what: &str, cases: &[Case]) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{what}.json"));
    fs::write(&file, serde_json::to_string_pretty(cases)? + "\n")?;
    let table = table(cases);
    println!("{table}\nwritten to {}", file.display());
    let readme = fs::read_to_string(README)?;
    let (begin, end) = (
        format!("<!-- bench {what} -->\n"),
        format!("<!-- end of {what} -->"),
    );
    let (Some((before, _)), Some((_, after))) =
        (readme.split_once(&begin), readme.split_once(&end))
    else {
        return Ok(());
    };
    Ok(fs::write(
        README,
        format!("{before}{begin}{table}{end}{after}"),
    )?)
}

const README: &str = "README.md";

fn table(cases: &[Case]) -> String {
    let mut text = "| case | firstlight | beside | takes | ratio |".to_owned();
    let (names, lines) = match cases.first() {
        Some(Case {
            traffic: Some(_), ..
        }) => (" requests | KiB |", " --- | --- |"),
        Some(Case {
            weight: Some(_), ..
        }) => (" CPU s | peak MiB | spans |", " --- | --- | --- |"),
        _ => ("", ""),
    };
    let _ = writeln!(text, "{names}\n| --- | --- | --- | --- | --- |{lines}");
    for case in cases {
        let _ = write!(
            text,
            "| {} | {:.2} s | {} | {:.2} s | {:.2} |",
            case.what, case.ours_seconds, case.peer, case.peer_seconds, case.ratio,
        );
        if let Some(traffic) = &case.traffic {
            let _ = write!(
                text,
                " {} / {} | {} / {} |",
                traffic.ours_requests,
                traffic.peer_requests,
                traffic.ours_bytes / 1024,
                traffic.peer_bytes / 1024,
            );
        }
        if let Some(weight) = &case.weight {
            let Spans { made, arrived } = weight.spans;
            let _ = write!(
                text,
                " {:.2} / {:.2} | {} / {} | {arrived} of {made} |",
                weight.ours_cpu_seconds,
                weight.peer_cpu_seconds,
                weight.ours_peak_mib,
                weight.peer_peak_mib,
            );
        }
        text.push('\n');
    }
    text
}

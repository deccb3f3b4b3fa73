//! The results, for machines and for the README.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::Failure;
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
    ours_requests: u64,
    peer_requests: u64,
    ours_bytes: u64,
    peer_bytes: u64,
}

impl Case {
    pub(crate) fn new(what: String, ours: Cost, peer_name: &'static str, peer: Cost) -> Self {
        let (ours_seconds, peer_seconds) = (ours.took.as_secs_f64(), peer.took.as_secs_f64());
        Self {
            what,
            ours_seconds: rounded(ours_seconds),
            peer: peer_name,
            peer_seconds: rounded(peer_seconds),
            ratio: rounded(ours_seconds / peer_seconds),
            ours_requests: ours.used.requests,
            peer_requests: peer.used.requests,
            ours_bytes: ours.used.bytes,
            peer_bytes: peer.used.bytes,
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
    let mut text = "| case | firstlight | beside | takes | ratio | requests | KiB |\n\
                    | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for case in cases {
        let _ = writeln!(
            text,
            "| {} | {:.2} s | {} | {:.2} s | {:.2} | {} / {} | {} / {} |",
            case.what,
            case.ours_seconds,
            case.peer,
            case.peer_seconds,
            case.ratio,
            case.ours_requests,
            case.peer_requests,
            case.ours_bytes / 1024,
            case.peer_bytes / 1024,
        );
    }
    text
}

//! A collector that never comes: what was not delivered is left, and sent later.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use testbed::unique;

use crate::child::{Driver, Said, nowhere};
use crate::received::Collector;

/// A run without a collector, and the file that it left.
async fn left(id: &str, variables: &[(&str, &str)]) -> (Said, PathBuf) {
    let (endpoint, attributes) = (nowhere(), format!("test.run={id}"));
    let ours = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_RESOURCE_ATTRIBUTES", attributes.as_str()),
    ];
    let variables: Vec<_> = ours.iter().chain(variables).copied().collect();
    let said = Driver::start("busy 600", &variables).end().await;
    let path = said
        .delivery
        .split("; the rest is in ")
        .nth(1)
        .and_then(|rest| rest.split(", and `firstlight replay` sends it").next())
        .unwrap_or_else(|| panic!("no file in {}", said.delivery));
    let path = PathBuf::from(path);
    (said, path)
}

fn replay(file: &Path, input: Stdio, variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_firstlight"))
        .arg("replay")
        .arg(file)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(input)
        .output()
        .expect("the program runs");
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

async fn arrives_later(protocol: &str) {
    let (id, collector) = (unique("replay"), Collector::new());
    let folder = tempfile::tempdir().expect("a folder");
    let spool = folder.path().display().to_string();
    let (said, file) = left(&id, &[("FIRSTLIGHT_SPOOL_DIR", &spool)]).await;
    let (delivered, made) = said.spans();
    assert_eq!(delivered, 0);
    assert_eq!(said.at("WARN").len(), 1);
    let names: Vec<_> = fs::read_dir(&folder).expect("read").collect();
    assert_eq!(names.len(), 1, "only that file is left: {names:?}");

    let endpoint = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint(protocol)),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
    ];
    let (code, said, error) = replay(&file, Stdio::null(), &endpoint);
    assert_eq!((code, error.as_str()), (0, ""));
    let counted = format!("telemetry: {made} of {made} spans delivered, ");
    assert!(said.starts_with(&counted), "{said}");
    assert!(said.trim_end().ends_with(", metrics delivered"), "{said}");
    collector.with_spans(&id, made).await.assert_whole(made);

    // Once more, by the standard input: the same spans, which is harmless.
    let input = File::open(&file).expect("it is still there");
    let (code, again, _) = replay(Path::new("-"), input.into(), &endpoint);
    assert_eq!((code, again), (0, said));
    collector.with_spans(&id, made).await.assert_whole(made);
}

#[tokio::test]
async fn what_was_left_arrives_later_by_http() {
    arrives_later("http/protobuf").await;
}

#[tokio::test]
async fn what_was_left_arrives_later_by_grpc() {
    arrives_later("grpc").await;
}

#[tokio::test]
async fn what_a_collector_has_written_can_be_sent_too() {
    let (id, collector) = (unique("collected"), Collector::new());
    let attributes = format!("test.run={id}");
    let variables = [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            collector.endpoint("http/protobuf"),
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", attributes.as_str()),
    ];
    let count = Driver::start("fine", &variables).end().await.all_spans();
    let before = collector.with_spans(&id, count).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("otlp.jsonl");
    fs::write(&file, collector.lines(&id)).expect("written");

    let (code, said, error) = replay(&file, Stdio::null(), &variables[..1]);
    assert_eq!((code, error.as_str()), (0, ""), "{said}");
    let records = before.records.len() * 2;
    let received = collector.when(&id, |received| match received.records.len() {
        found if found >= records => Ok(()),
        found => Err(format!("{found} of {records} records")),
    });
    received.await.assert_whole(count);
}

#[tokio::test]
async fn outside_of_a_pod_it_is_left_where_such_things_are_kept() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().display().to_string();
    let (_, file) = left(&unique("home"), &[("HOME", &path)]).await;
    let kept = home.path().join(".local/state/firstlight");
    assert_eq!(file.parent(), Some(kept.as_path()));
    assert!(file.exists());
    let pod = [
        ("HOME", path.as_str()),
        ("FIRSTLIGHT_POD_NAME", "lens-1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &nowhere()),
    ];
    let said = Driver::start("fine", &pod).end().await;
    assert!(!said.delivery.contains("the rest"), "{}", said.delivery);
}

#[test]
fn what_cannot_be_sent_is_told() {
    let folder: TempDir = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.jsonl");
    fs::write(&file, "{\"resourceSpans\":[{\"sco\n").expect("written");
    let endpoint = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", nowhere()),
        ("FIRSTLIGHT_TELEMETRY_GRACE", "1s".to_owned()),
    ];
    let endpoint: Vec<_> = endpoint.iter().map(|(k, v)| (*k, v.as_str())).collect();

    let (code, said, error) = replay(&file, Stdio::null(), &endpoint);
    assert_eq!(code, 78);
    assert_eq!(said, "the file holds no telemetry that could be sent\n");
    assert!(error.contains("x.jsonl:1: it is no OTLP/JSON: "), "{error}");

    let line = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"x\"}]}]}]}\n";
    fs::write(&file, line).expect("written");
    let (code, said, _) = replay(&file, Stdio::null(), &endpoint);
    assert_eq!(code, 69);
    assert!(
        said.starts_with("telemetry: 0 of 1 spans delivered ("),
        "{said}"
    );
    assert!(said.contains("Connection refused"), "{said}");

    let (code, _, error) = replay(&file, Stdio::null(), &[]);
    assert_eq!(code, 78);
    assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{error}");
    let (code, _, error) = replay(Path::new("/nowhere.jsonl"), Stdio::null(), &endpoint);
    assert_eq!(code, 78);
    assert!(error.contains("failed to read /nowhere.jsonl"), "{error}");
}

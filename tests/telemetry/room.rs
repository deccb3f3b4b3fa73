//! More telemetry than there is room for, in memory and on disk.

use tempfile::TempDir;
use testbed::{Proxy, unique};

use crate::child::{Driver, Said, nowhere};
use crate::received::Collector;

/// What is kept knows nothing of how it is sent: each way has some of these tests.
const HTTP: &str = "http/protobuf";
const GRPC: &str = "grpc";

/// So many spans fill what memory may hold, twice.
const FLOOD: &str = "held busy 150000";

/// So many fill what memory holds where there is a disk, and some MiB of that.
const MUCH: &str = "held busy 50000";

/// What is said of it while something can still be done.
const DROPPING: &str = "is dropped, the oldest first";

/// What a run holds in memory for 50,000 spans, in KiB beyond what it holds for ten.
const MEMORY: u64 = 48 * 1024;

/// A driver whose collector comes up only when this says so.
struct Late {
    protocol: &'static str,
    collector: Collector,
    proxy: Proxy,
    id: String,
    endpoint: String,
    folder: TempDir,
}

impl Late {
    async fn new(protocol: &'static str) -> Self {
        let collector = Collector::new();
        let backend = collector.endpoint(protocol);
        let mut proxy = Proxy::start(backend.trim_start_matches("http://"))
            .await
            .expect("a proxy");
        proxy.refuse().await;
        Self {
            protocol,
            endpoint: format!("http://{}", proxy.address()),
            collector,
            proxy,
            id: unique("room"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.endpoint.clone()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", self.protocol.to_owned()),
            ("OTEL_RESOURCE_ATTRIBUTES", format!("test.run={}", self.id)),
            // So many take their time on a busy machine.
            ("FIRSTLIGHT_TELEMETRY_GRACE", "1m".to_owned()),
        ]
    }

    fn with_folder(&self) -> Vec<(&'static str, String)> {
        let folder = self.folder.path().display().to_string();
        let mut variables = self.variables();
        variables.push(("FIRSTLIGHT_SPOOL_DIR", folder));
        variables
    }

    /// Lets the collector come up, and the run that is held end.
    async fn goes_on(&mut self, mut driver: Driver) -> Said {
        self.proxy.allow().await.expect("the port is still ours");
        driver.go_on().await;
        let said = driver.end().await;
        println!("{}: {}", self.id, said.delivery);
        said
    }
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let each = variables.iter();
    each.map(|(name, value)| (*name, value.as_str())).collect()
}

/// What was dropped is counted, and said with the reason; all else arrives.
async fn assert_dropped(late: &Late, said: &Said, reason: &str) {
    let (delivered, made) = said.spans();
    let dropped = made - delivered;
    assert!(dropped > 0 && delivered > 0, "{}", said.delivery);
    let counted = format!("spans delivered and {dropped} dropped for want of room");
    assert!(said.delivery.contains(&counted), "{}", said.delivery);
    assert!(said.delivery.contains(reason), "{}", said.delivery);
    // Once while it happens, once at the end.
    let warnings = said.at("WARN");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let first = warnings[0]["message"].as_str().unwrap_or_default();
    assert!(first.contains(DROPPING), "{first}");
    assert!(first.contains(reason), "{first}");
    let received = late.collector.with_spans(&late.id, delivered).await;
    assert_eq!(received.spans.len(), delivered);
    assert!(received.names().contains("RUN lens"), "the root comes last");
}

#[tokio::test]
async fn where_memory_is_full_the_oldest_go_and_are_counted() {
    let mut late = Late::new(HTTP).await;
    let mut driver = Driver::start(FLOOD, &borrowed(&late.variables()));
    driver.until("run ended: ").await;
    driver.says(DROPPING).await;
    let said = late.goes_on(driver).await;
    assert_dropped(&late, &said, "16 MiB of memory were full").await;
}

#[tokio::test]
async fn where_the_disk_is_full_the_oldest_go_and_are_counted() {
    let mut late = Late::new(HTTP).await;
    let disk = (late.folder.path(), "1m");
    let mut driver = Driver::start_with_disk(disk, MUCH, &borrowed(&late.with_folder()));
    driver.until("run ended: ").await;
    driver.says(DROPPING).await;
    let said = late.goes_on(driver).await;
    let place = late.folder.path().display();
    assert_dropped(&late, &said, &format!("the disk under {place} is full")).await;
}

#[tokio::test]
async fn where_the_limit_is_reached_the_oldest_go_and_are_counted() {
    let mut late = Late::new(GRPC).await;
    let mut variables = late.with_folder();
    variables.push(("FIRSTLIGHT_SPOOL_LIMIT", "1536Ki".to_owned()));
    let mut driver = Driver::start(MUCH, &borrowed(&variables));
    driver.until("run ended: ").await;
    driver.says(DROPPING).await;
    let said = late.goes_on(driver).await;
    let place = late.folder.path().display();
    assert_dropped(&late, &said, &format!("1 MiB in {place} were full")).await;
}

#[tokio::test]
async fn fifty_thousand_spans_wait_on_disk_in_little_memory() {
    let few = Driver::start("held", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &nowhere())]);
    let mut late = Late::new(HTTP).await;
    let mut driver = Driver::start(MUCH, &borrowed(&late.with_folder()));
    let mut few = few;
    few.until("run ended: ").await;
    driver.until("run ended: ").await;
    let (base, peak) = (few.peak(), driver.peak());
    println!("{base} KiB for ten spans, {peak} KiB for 50,000");
    assert!(peak < base + MEMORY, "{base} KiB and {peak} KiB");
    let said = late.goes_on(driver).await;
    assert_eq!(said.at("WARN"), Vec::<serde_json::Value>::new());
    let count = said.all_spans();
    assert!(count > 50_000, "{}", said.delivery);
    let received = late.collector.with_spans(&late.id, count).await;
    received.assert_whole(count);
    let left = std::fs::read_dir(late.folder.path()).expect("read").count();
    assert_eq!(left, 0, "nothing is left in the folder");
}

#[tokio::test]
async fn what_a_killed_process_has_left_is_delivered_by_the_next() {
    let mut late = Late::new(GRPC).await;
    let variables = late.with_folder();
    let mut killed = Driver::start(MUCH, &borrowed(&variables));
    killed.until("run ended: ").await;
    killed.kill().await;
    late.proxy.allow().await.expect("the port is still ours");
    let said = Driver::start("fine", &borrowed(&variables)).end().await;
    let count = said.all_spans();
    let earlier = said.delivery.split(" of them left by an earlier process");
    let earlier = earlier.into_iter().next().unwrap_or_default();
    let earlier: usize = earlier
        .rsplit(' ')
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or_else(|| panic!("nothing was left: {}", said.delivery));
    assert!(earlier > 5_000, "{}", said.delivery);
    let received = late.collector.with_spans(&late.id, count).await;
    assert_eq!(received.spans.len(), count);
    let left = std::fs::read_dir(late.folder.path()).expect("read").count();
    assert_eq!(left, 0, "nothing is left in the folder");
}

/// The one warning of a run with this folder, of which all arrives.
async fn warning(folder: &str) -> String {
    let (id, collector) = (unique("folder"), Collector::new());
    let attributes = format!("test.run={id}");
    let variables = [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            collector.endpoint("http/protobuf"),
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", attributes.as_str()),
        ("FIRSTLIGHT_SPOOL_DIR", folder),
    ];
    let said = Driver::start("fine", &variables).end().await;
    let count = said.all_spans();
    collector.with_spans(&id, count).await.assert_whole(count);
    let warnings = said.at("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings[0]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_told_and_memory_does() {
    let message = warning("/proc/nothing").await;
    let wanted = "environment variable FIRSTLIGHT_SPOOL_DIR is wrong: /proc/nothing cannot be used";
    assert!(message.starts_with(wanted), "{message}");
}

#[tokio::test]
async fn what_others_have_put_in_the_folder_is_told_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let strange = folder.path().join("spool-old.tar");
    std::fs::write(&strange, "x").expect("written");
    let message = warning(&folder.path().display().to_string()).await;
    let wanted = format!("what is in {} cannot be taken up", strange.display());
    assert!(message.starts_with(&wanted), "{message}");
    let left = std::fs::read_dir(folder.path()).expect("read");
    let left: Vec<_> = left.map(|it| it.expect("one").path()).collect();
    assert_eq!(left, [strange], "and the folder was used");
}

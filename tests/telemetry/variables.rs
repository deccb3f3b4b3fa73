//! Each variable of the table in docs/telemetry.md, told by what a real collector receives.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::Value;
use testbed::{Proxy, unique};

use crate::child::{Driver, Said};
use crate::received::{Collector, Received, attributes, list, text};

const CALLER: &str = "0af7651916cd43dd8448eb211c80319c";

/// A run by HTTP with these variables, under a name of its own.
struct Sent {
    collector: Collector,
    id: String,
    said: Said,
}

impl Sent {
    async fn with(more: &[(&str, &str)]) -> Self {
        Self::of("fine", more).await
    }

    async fn of(profile: &str, more: &[(&str, &str)]) -> Self {
        let (collector, id) = (Collector::new(), unique("variable"));
        let attribute = format!("test.run={id}");
        let mut variables = vec![
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                collector.endpoint("http/protobuf"),
            ),
            ("OTEL_RESOURCE_ATTRIBUTES", attribute.as_str()),
        ];
        variables.extend(more);
        let said = Driver::start(profile, &variables).end().await;
        Self {
            collector,
            id,
            said,
        }
    }

    /// What arrived, once all signals of these are there, and all spans.
    async fn received(&self, signals: &[&str]) -> Received {
        let wanted: BTreeSet<&str> = signals.iter().copied().collect();
        let is_traced = wanted.contains("traces");
        let spans = if is_traced { self.said.spans().0 } else { 0 };
        let enough = |received: &Received| {
            let (arrived, count) = (received.signals(), received.spans.len());
            if wanted.is_subset(&arrived) && count >= spans {
                Ok(())
            } else {
                Err(format!("{arrived:?}, {count} of {spans} spans"))
            }
        };
        let received = self.collector.when(&self.id, enough).await;
        assert_eq!(received.signals(), wanted);
        received
    }
}

const ALL: [&str; 3] = ["logs", "metrics", "traces"];

#[tokio::test]
async fn disabled_means_that_nothing_is_exported() {
    let sent = Sent::with(&[("OTEL_SDK_DISABLED", "true")]).await;
    assert_eq!(sent.said.delivery, "telemetry: not exported");
    sent.received(&[]).await;
}

#[tokio::test]
async fn a_name_and_attributes_are_on_everything() {
    let id = unique("variable");
    let attributes_of = format!("test.run={id},team=a%20b%2Cc,service.name=not%20this");
    let sent = Sent::with(&[
        ("OTEL_SERVICE_NAME", "lens-install"),
        ("OTEL_RESOURCE_ATTRIBUTES", &attributes_of),
    ])
    .await;
    let sent = Sent { id, ..sent };
    let received = sent.received(&ALL).await;
    for resource in &received.resources {
        let resource = attributes(resource);
        assert_eq!(resource["service.name"], "lens-install");
        assert_eq!(resource["team"], "a b,c");
        assert_eq!(resource["service.instance.id"].len(), 16);
    }
}

#[tokio::test]
async fn each_signal_can_be_left_out() {
    let none = |signal| (signal, "none");
    for (left, rest) in [
        ("OTEL_TRACES_EXPORTER", ["logs", "metrics"]),
        ("OTEL_METRICS_EXPORTER", ["logs", "traces"]),
        ("OTEL_LOGS_EXPORTER", ["metrics", "traces"]),
    ] {
        let sent = Sent::with(&[none(left)]).await;
        assert!(sent.said.delivery.contains("delivered"));
        sent.received(&rest).await;
    }
}

#[tokio::test]
async fn the_sampler_decides_about_the_trace_and_nothing_else() {
    let unsampled = format!("00-{CALLER}-b7ad6b7169203331-00");
    for (sampler, argument, is_traced) in [
        ("always_off", "", false),
        ("traceidratio", "0", false),
        ("parentbased_always_on", "", false),
        ("parentbased_always_off", "", false),
        ("parentbased_traceidratio", "1", false),
        ("traceidratio", "1", true),
        ("always_on", "", true),
    ] {
        let sent = Sent::with(&[
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
            ("TRACEPARENT", &unsampled),
        ])
        .await;
        let received = sent.received(&ALL[..if is_traced { 3 } else { 2 }]).await;
        let said = sent.said.at("INFO");
        let mut said = said.iter().map(|line| line["message"].to_string());
        let is_told = said.any(|line| line.contains("this run is not traced"));
        assert_eq!(is_told, !is_traced, "{sampler}");
        for (_, record) in &received.records {
            assert_eq!(!text(&record["traceId"]).is_empty(), is_traced, "{sampler}");
        }
    }
}

#[tokio::test]
async fn without_propagators_the_run_is_a_trace_of_its_own() {
    let parent = format!("00-{CALLER}-b7ad6b7169203331-01");
    for (propagators, is_part) in [("none", false), ("baggage,tracecontext", true)] {
        let sent = Sent::with(&[("OTEL_PROPAGATORS", propagators), ("TRACEPARENT", &parent)]).await;
        let received = sent.received(&ALL).await;
        let mut spans = received.spans.values();
        assert!(spans.all(|span| (text(&span["traceId"]) == CALLER) == is_part));
    }
}

#[tokio::test]
async fn compressed_requests_are_smaller() {
    let mut carried = Vec::new();
    for compression in ["none", "gzip"] {
        for protocol in ["http/protobuf", "grpc"] {
            let collector = Collector::new();
            let backend = collector.endpoint(protocol).replace("http://", "");
            let proxy = Proxy::start(backend).await.expect("a proxy");
            let said = Driver::start(
                "fine",
                &[
                    (
                        "OTEL_EXPORTER_OTLP_ENDPOINT",
                        &format!("http://{}", proxy.address()),
                    ),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                    ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
                ],
            );
            let said = said.end().await;
            assert_eq!(said.at("WARN"), Vec::<serde_json::Value>::new());
            carried.push(proxy.carried());
        }
    }
    for protocol in 0..2 {
        let (plain, zipped) = (carried[protocol], carried[protocol + 2]);
        assert!(zipped * 10 < plain * 7, "{carried:?}");
    }
}

#[tokio::test]
async fn an_attempt_ends_with_the_timeout() {
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a port");
    let backend = hanging.local_addr().expect("an address").to_string();
    let mut attempts = Vec::new();
    for timeout in ["100", "10000"] {
        let proxy = Proxy::start(backend.clone()).await.expect("a proxy");
        let endpoint = format!("http://{}", proxy.address());
        let variables = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", timeout),
        ];
        Driver::start("fine", &variables).end().await;
        attempts.push(proxy.accepted());
    }
    assert!(attempts[0] > 1, "{attempts:?}");
    assert_eq!(attempts[1], 1);
}

#[tokio::test]
async fn grpc_without_a_scheme_is_plain_only_if_that_is_said() {
    let (collector, id) = (Collector::new(), unique("variable"));
    let address = collector.endpoint("grpc").replace("http://", "");
    let attribute = format!("test.run={id}");
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_RESOURCE_ATTRIBUTES", &attribute),
    ];
    let said = Driver::start("fine", &variables).end().await;
    assert!(said.delivery.contains("0 of "), "{}", said.delivery);
    variables.push(("OTEL_EXPORTER_OTLP_INSECURE", "true"));
    let said = Driver::start("fine", &variables).end().await;
    assert_eq!(said.at("WARN"), Vec::<serde_json::Value>::new());
    collector.with_spans(&id, 1).await;
}

#[tokio::test]
async fn metrics_are_sent_as_often_as_is_said() {
    let (collector, id) = (Collector::new(), unique("variable"));
    let mut driver = Driver::start(
        "held",
        &[
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                collector.endpoint("http/protobuf"),
            ),
            ("OTEL_RESOURCE_ATTRIBUTES", &format!("test.run={id}")),
            ("OTEL_METRIC_EXPORT_INTERVAL", "50"),
        ],
    );
    driver.until("run ended: ").await;
    let time = |received: &Received| -> u64 {
        let memory = &received.metrics.get("process.memory.usage");
        let point =
            memory.map(|metric| text(&list(&metric["sum"]["dataPoints"])[0]["timeUnixNano"]));
        point.map_or(0, |time| time.parse().expect("a time"))
    };
    let later = async |than: u64| {
        let enough = |received: &Received| match time(received) {
            now if now > than => Ok(()),
            now => Err(format!("the last is of {now}")),
        };
        time(&collector.when(&id, enough).await)
    };
    let first = later(0).await;
    let second = later(first).await;
    // The usual interval is five seconds.
    assert!(second - first < 4_000_000_000, "{first} {second}");
    driver.go_on().await;
    driver.end().await;
}

#[tokio::test]
async fn spans_and_records_are_as_large_as_is_said() {
    let sent = Sent::with(&[
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "6"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "3"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "5"),
    ])
    .await;
    let received = sent.received(&ALL).await;
    let mut events = 0;
    for span in received.spans.values() {
        assert!(attributes(span).len() <= 2, "{span}");
        assert!(
            attributes(span).values().all(|value| value.len() <= 6),
            "{span}"
        );
        let of_span = list(&span["events"]);
        assert!(of_span.len() <= 1, "{span}");
        assert!(
            of_span.iter().all(|event| attributes(event).len() <= 1),
            "{span}"
        );
        events += of_span.len();
    }
    assert!(events > 0);
    let counts: BTreeSet<usize> = received
        .records
        .iter()
        .map(|(_, record)| attributes(record).len())
        .collect();
    assert_eq!(counts.last(), Some(&3));
    for (_, record) in &received.records {
        let mut texts = list(&record["attributes"]).iter();
        assert!(
            texts.all(|it| text(&it["value"]["stringValue"]).len() <= 5),
            "{record}"
        );
    }
}

#[tokio::test]
async fn spans_keep_to_the_limits_of_all_and_to_their_own() {
    for (limit, most, longest) in [
        (("OTEL_ATTRIBUTE_COUNT_LIMIT", "2"), 2, usize::MAX),
        (("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "6"), 128, 6),
        (("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4"), 128, 4),
    ] {
        let received = Sent::with(&[limit]).await.received(&ALL).await;
        for span in received.spans.values() {
            let attributes = list(&span["attributes"]);
            assert!(attributes.len() <= most, "{limit:?}: {span}");
            let mut texts = attributes.iter();
            let is_short = |it: &Value| text(&it["value"]["stringValue"]).len() <= longest;
            assert!(texts.all(is_short), "{limit:?}: {span}");
        }
    }
}

#[tokio::test]
async fn the_link_to_the_run_before_is_as_large_as_is_said() {
    for (limit, links, attributes_of_each) in [
        (("OTEL_SPAN_LINK_COUNT_LIMIT", "1"), 1, 1),
        (("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "0"), 1, 0),
        (("OTEL_SPAN_LINK_COUNT_LIMIT", "0"), 0, 0),
    ] {
        let sent = Sent::of("linked", &[limit]).await;
        let received = sent.collector.with_spans(&sent.id, sent.said.all_spans());
        let received = received.await;
        let root = received.span("RUN lens");
        let found = list(&root["links"]);
        assert_eq!(found.len(), links, "{limit:?}: {root}");
        let right = |link| attributes(link).len() == attributes_of_each;
        assert!(found.iter().all(right), "{limit:?}: {root}");
    }
}

#[tokio::test]
async fn what_has_no_effect_is_said_and_the_run_is_exported() {
    let sent = Sent::with(&[
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "console"),
    ])
    .await;
    sent.received(&ALL).await;
    let said = |level: &str, text: &str| {
        let lines = sent.said.at(level);
        let says = |line: &serde_json::Value| line["message"].to_string().contains(text);
        assert!(lines.iter().any(says), "{text} is not in {lines:?}");
    };
    said("INFO", "OTEL_BSP_MAX_QUEUE_SIZE has no effect here");
    said("INFO", "OTEL_BLRP_SCHEDULE_DELAY has no effect here");
    said("WARN", "http/json is not a protocol that firstlight has");
    said("WARN", "console is not an exporter that firstlight has");
}

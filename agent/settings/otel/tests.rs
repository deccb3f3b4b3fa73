use super::reader::percent_decoded;
use super::*;

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

fn read(variables: &[(&str, &str)]) -> Otel {
    let owned = variables
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    Otel::from_vars(owned)
}

fn url(endpoint: Option<&Endpoint>) -> Option<&str> {
    endpoint.map(|endpoint| endpoint.url.as_str())
}

fn mistakes(otel: &Otel) -> Vec<String> {
    otel.mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn without_an_endpoint_nothing_is_on() {
    let otel = read(&[
        ("OTEL_SERVICE_NAME", "lens"),
        ("OTEL_TRACES_SAMPLER", "none_such"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]);
    assert!(!otel.is_on());
    assert_eq!(mistakes(&otel), Vec::<String>::new());
}

#[test]
fn the_path_is_added_to_the_common_endpoint_only() {
    let otel = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4318/take"),
    ]);
    assert_eq!(
        url(otel.traces.as_ref()),
        Some("http://collector:4318/v1/traces")
    );
    assert_eq!(
        url(otel.metrics.as_ref()),
        Some("http://collector:4318/v1/metrics")
    );
    assert_eq!(url(otel.logs.as_ref()), Some("http://logs:4318/take"));
}

#[test]
fn grpc_without_a_scheme_is_secure_unless_said_otherwise() {
    let otel = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "true"),
        ("OTEL_LOGS_EXPORTER", "none"),
    ]);
    assert_eq!(url(otel.traces.as_ref()), Some("https://collector:4317"));
    assert_eq!(url(otel.metrics.as_ref()), Some("http://collector:4317"));
    assert_eq!(otel.logs, None);
}

#[test]
fn all_of_an_endpoint_is_read() {
    let otel = read(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector/x"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20a%2Cb, x-tenant = one",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/tls/ca.crt"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/tls/tls.crt"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/tls/tls.key"),
    ]);
    let wanted = Endpoint {
        url: "https://collector/x".to_owned(),
        protocol: Protocol::HttpProtobuf,
        headers: vec![
            ("authorization".to_owned(), Sensitive::new("Bearer a,b")),
            ("x-tenant".to_owned(), Sensitive::new("one")),
        ],
        timeout: Duration::from_millis(2500),
        gzip: true,
        certificate: Some("/tls/ca.crt".into()),
        client: Some(("/tls/tls.crt".into(), "/tls/tls.key".into())),
    };
    assert_eq!(otel.traces, Some(wanted));
    assert_eq!(mistakes(&otel), Vec::<String>::new());
}

#[test]
fn mistakes_are_told_once_and_set_aside() {
    let otel = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret-without-key"),
        (
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            "me:secret@collector:4318",
        ),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
    ]);
    assert_eq!(
        url(otel.traces.as_ref()),
        Some("http://collector:4318/v1/traces")
    );
    assert_eq!(otel.logs, None);
    assert_eq!(
        mistakes(&otel),
        [
            "environment variable OTEL_TRACES_SAMPLER is wrong: jaeger_remote is not a sampler that firstlight has",
            "environment variable OTEL_EXPORTER_OTLP_PROTOCOL is wrong: http/json is not a protocol that firstlight has: grpc or http/protobuf",
            "environment variable OTEL_EXPORTER_OTLP_HEADERS is wrong: a part of it is not key=value with a percent-encoded value",
            "environment variable OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is wrong: collector:4318 does not begin with http:// or https://",
        ]
    );
}

#[test]
fn what_turns_traces_off_is_known_with_or_without_an_endpoint() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    let by = |more: &[(&'static str, &'static str)]| read(more).untraced_by;
    assert_eq!(by(&[]), None);
    assert_eq!(by(&[endpoint]), None);
    for variable in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        let said = format!("{}={}", variable.0, variable.1);
        assert_eq!(by(&[variable]), Some(said.as_str()));
        assert_eq!(by(&[variable, endpoint]), Some(said.as_str()));
    }
}

#[test]
fn samplers_have_the_standard_names() {
    let sampler = |name, argument| {
        read(&[
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ])
        .sampler
    };
    assert_eq!(
        read(&[]).sampler,
        Sampler {
            follows_parent: true,
            ratio: 1.0
        }
    );
    assert_eq!(
        sampler("always_off", ""),
        Sampler {
            follows_parent: false,
            ratio: 0.0
        }
    );
    for (name, ratio) in [
        ("parentbased_always_on", 1.0),
        ("parentbased_always_off", 0.0),
    ] {
        let wanted = Sampler {
            follows_parent: true,
            ratio,
        };
        assert_eq!(sampler(name, ""), wanted);
    }
    assert_eq!(
        sampler("parentbased_traceidratio", "0.25"),
        Sampler {
            follows_parent: true,
            ratio: 0.25
        }
    );
}

#[test]
fn the_sdk_can_be_turned_off() {
    let otel = read(&[
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"),
    ]);
    assert_eq!(
        otel,
        Otel {
            propagates: true,
            untraced_by: Some("OTEL_SDK_DISABLED=true"),
            ..Otel::default()
        }
    );
}

#[test]
fn turned_off_it_still_hands_the_caller_s_trace_on() {
    let otel = read(&[
        ("OTEL_SDK_DISABLED", "true"),
        ENDPOINT,
        ("TRACEPARENT", "00-ab-cd-01"),
        ("TRACESTATE", "vendor=a1"),
    ]);
    assert!(!otel.is_on());
    assert_eq!(otel.traceparent.as_deref(), Some("00-ab-cd-01"));
    assert_eq!(otel.tracestate.as_deref(), Some("vendor=a1"));
    let none = read(&[
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_PROPAGATORS", "none"),
        ("TRACEPARENT", "00-ab-cd-01"),
    ]);
    let off = Otel {
        untraced_by: Some("OTEL_SDK_DISABLED=true"),
        ..Otel::default()
    };
    assert_eq!(none, off);
}

#[test]
fn a_state_that_no_header_can_carry_is_set_aside() {
    for state in ["vendor=a\nother=b", "vendor=\u{7f}", "vendor=é"] {
        let otel = read(&[ENDPOINT, ("TRACESTATE", state)]);
        assert_eq!(otel.tracestate, None, "{state:?}");
        assert_eq!(
            mistakes(&otel),
            [
                "environment variable TRACESTATE is wrong: a character of it cannot stand in a header, so that it is not handed on"
            ]
        );
    }
    let fine = read(&[ENDPOINT, ("TRACESTATE", " vendor=a1,\tother=b 2 ")]);
    assert_eq!(fine.tracestate.as_deref(), Some("vendor=a1,\tother=b 2"));
}

#[test]
fn a_caller_s_trace_is_taken_on_unless_the_propagators_say_otherwise() {
    let parent = (
        "TRACEPARENT",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    let otel = |propagators| read(&[parent, ("OTEL_PROPAGATORS", propagators), ENDPOINT]);
    for (propagators, is_taken) in [
        ("", true),
        ("tracecontext,baggage", true),
        ("baggage", false),
        ("none", false),
        ("b3, tracecontext", true),
    ] {
        let otel = otel(propagators);
        assert_eq!(otel.propagates, is_taken, "{propagators}");
        assert_eq!(otel.traceparent.is_some(), is_taken, "{propagators}");
    }
    assert_eq!(
        mistakes(&otel("b3")),
        [
            "environment variable OTEL_PROPAGATORS is wrong: b3 is not a propagator that firstlight has: tracecontext, baggage or none"
        ]
    );
}

#[test]
fn limits_have_a_common_and_an_own_variable() {
    let limits = read(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "70"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "8"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "7"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "50"),
    ])
    .limits;
    let wanted = Limits {
        span_attributes: 8,
        span_value_length: 70,
        span_events: 7,
        span_links: 0,
        event_attributes: 9,
        link_attributes: 9,
        record: RecordLimits {
            attributes: 9,
            value_length: 50,
        },
    };
    assert_eq!(limits, wanted);
    let otel = read(&[ENDPOINT, ("OTEL_SPAN_EVENT_COUNT_LIMIT", "-1")]);
    assert_eq!(otel.limits, Limits::default());
    assert_eq!(
        mistakes(&otel),
        [
            "environment variable OTEL_SPAN_EVENT_COUNT_LIMIT is wrong: -1 is not a number of 0 or more"
        ]
    );
}

#[test]
fn what_means_nothing_here_is_said() {
    let otel = read(&[
        ENDPOINT,
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4096"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "base2_exponential_bucket_histogram",
        ),
    ]);
    assert_eq!(
        otel.unheeded,
        [
            "environment variable OTEL_BSP_MAX_QUEUE_SIZE has no effect here: what waits is bounded in bytes, by FIRSTLIGHT_SPOOL_LIMIT"
        ]
    );
    assert_eq!(
        mistakes(&otel),
        [
            "environment variable OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE is wrong: delta is not what firstlight has: cumulative",
            "environment variable OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION is wrong: base2_exponential_bucket_histogram is not what firstlight has: explicit_bucket_histogram"
        ]
    );
    assert!(
        read(&[("OTEL_BSP_MAX_QUEUE_SIZE", "1")])
            .unheeded
            .is_empty()
    );
}

#[test]
fn each_that_has_no_effect_is_told() {
    for (name, instead) in unheeded::UNHEEDED {
        let said = format!("environment variable {name} has no effect here: {instead}");
        assert_eq!(read(&[ENDPOINT, (name, "1")]).unheeded, [said]);
    }
}

#[test]
fn percent_decoding_refuses_what_is_not_encoded() {
    assert_eq!(percent_decoded("a%20b%C3%A9"), Some("a bé".to_owned()));
    assert_eq!(percent_decoded("100%"), None);
    assert_eq!(percent_decoded("%zz"), None);
}

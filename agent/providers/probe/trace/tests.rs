use super::*;
use crate::engine::{Class, Failure};

fn client() -> Client {
    // reqwest panics without a provider; that it is there already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(None).expect("a client")
}

fn seen(
    status: u16,
    body: &str,
    read: fn(&[u8]) -> Option<usize>,
) -> Result<Option<Sighting>, Error> {
    let body = body.as_bytes().to_vec();
    sighting(
        "GET http://j/api/v3/traces/ab".to_owned(),
        &Answer {
            status,
            body,
            hidden: Vec::new(),
        },
        read,
    )
}

#[test]
fn a_trace_is_found_or_waited_for() {
    let check = TraceCheck::of_run(client(), "http://jaeger:16686", Some("ab12".to_owned()));
    let plan = |sighting| check.plan(&sighting).expect("a plan");
    assert_eq!(plan(Sighting::Present { spans: 3 }), Plan::Current);
    assert_eq!(
        plan(Sighting::Absent),
        Plan::InProgress(Waiting::unmet(
            "trace ab12 of this run is not yet found at http://jaeger:16686"
        ))
    );
}

#[test]
fn a_run_without_a_trace_cannot_be_found() {
    let check = TraceCheck::of_run(client(), "http://jaeger:16686", None);
    let error = check
        .plan(&Sighting::Absent)
        .expect_err("there is no trace");
    assert_eq!(
        (error.class(), error.kind()),
        (Class::Invalid, "not_traced")
    );
}

#[tokio::test]
async fn a_run_that_is_not_traced_on_purpose_is_not_looked_for() {
    // Nobody answers there: the server is not asked.
    let check = TraceCheck::of_untraced_run(client(), "http://127.0.0.1:1");
    let observed = check.observe().await.expect("no question");
    assert_eq!(observed, Sighting::Absent);
    assert_eq!(check.plan(&observed).expect("a plan"), Plan::Current);
}

#[test]
fn each_check_sends_a_trace_of_its_own_to_the_right_path() {
    let path = |endpoint: &str| {
        let check = TraceCheck::sending(client(), "http://j", endpoint);
        match check.subject {
            Subject::Sent { endpoint, id, .. } => (endpoint, id),
            Subject::Run(_) | Subject::Untraced | Subject::LastRun(_) => panic!("it sends"),
        }
    };
    let (one, first) = path("http://collector:4318/");
    let (other, second) = path("http://collector:4318/v1/traces");
    assert_eq!(one, "http://collector:4318/v1/traces");
    assert_eq!(one, other);
    assert_ne!(first, second);
    assert_eq!(first.len(), 32);
}

#[test]
fn answers_of_v3_are_counted() {
    let two = r#"{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[{},{}]},{"scope":{}}]}]}}"#;
    let longer = format!("{two}\n{two}");
    assert_eq!(
        seen(200, two, spans_of_v3).expect("read"),
        Some(Sighting::Present { spans: 2 })
    );
    assert_eq!(
        seen(200, &longer, spans_of_v3).expect("read"),
        Some(Sighting::Present { spans: 4 })
    );
    let none = r#"{"error":{"httpCode":404,"message":"No traces found"}}"#;
    assert_eq!(
        seen(404, none, spans_of_v3).expect("read"),
        Some(Sighting::Absent)
    );
}

#[test]
fn a_server_without_v3_is_asked_the_old_way() {
    for (status, body) in [
        (200, "<!doctype html>"),
        (404, "404 page not found"),
        (404, ""),
    ] {
        assert_eq!(
            seen(status, body, spans_of_v3).expect("read"),
            None,
            "{status} {body}"
        );
    }
    let jaeger = r#"{"data":[{"traceID":"ab","spans":[{},{},{}]}],"errors":null}"#;
    let tempo = r#"{"batches":[{}]}"#;
    assert_eq!(
        seen(200, jaeger, spans_of_old).expect("read"),
        Some(Sighting::Present { spans: 3 })
    );
    assert_eq!(
        seen(200, tempo, spans_of_old).expect("read"),
        Some(Sighting::Present { spans: 1 })
    );
}

#[test]
fn what_is_no_answer_is_no_sighting() {
    let error = seen(503, "starting up", spans_of_v3).expect_err("cannot tell");
    assert_eq!(error.class(), Class::Unavailable);
    assert!(error.to_string().ends_with("503: starting up"), "{error}");
}

#[test]
fn a_receiver_that_refuses_the_span_has_not_taken_it() {
    let answer = |status, body: &str| {
        let body = body.as_bytes().to_vec();
        taken(
            "POST http://c/v1/traces".to_owned(),
            &Answer {
                status,
                body,
                hidden: Vec::new(),
            },
        )
    };
    assert!(answer(200, "{}").is_ok());
    assert!(answer(200, r#"{"partialSuccess":{}}"#).is_ok());
    let partial = r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}"#;
    let error = answer(200, partial).expect_err("refused");
    assert!(error.to_string().ends_with("200: too old"), "{error}");
    assert_eq!(
        answer(404, "").expect_err("refused").class(),
        Class::Unavailable
    );
}

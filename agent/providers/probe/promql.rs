//! Whether a question in PromQL has a result.

use super::client::{Answer, Call, Client, shown};
use super::error::{Error, Refusal};
use crate::engine::{Plan, Resource, Waiting};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::convert::Infallible;

/// An instant query that is to have a result; which one is for the query to say (`up > 0`).
#[derive(Debug, Clone)]
pub struct PromqlCheck {
    /// Who asks.
    pub client: Client,
    /// The base URL of Prometheus or of what speaks like it.
    pub url: String,
    /// The question.
    pub query: String,
}

/// What the query gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromqlAnswer {
    results: usize,
    /// Only some of the storage nodes answered.
    partial: bool,
}

/// Prometheus' envelope; `isPartial` is VictoriaMetrics'.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    data: Option<Data>,
    #[serde(default)]
    is_partial: bool,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Data {
    /// The series of a vector; of a scalar its time and value.
    result: Vec<IgnoredAny>,
}

impl Resource for PromqlCheck {
    type Observed = PromqlAnswer;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<PromqlAnswer, Error> {
        let call = Call::get_below(&self.url, "/api/v1/query", "")?.with("query", &self.query);
        let line = call.line();
        read(line, &self.client.send(call).await?)
    }

    fn plan(&self, observed: &PromqlAnswer) -> Result<Plan<Infallible>, Error> {
        Ok(match observed {
            PromqlAnswer { results: 1.., .. } => Plan::Current,
            PromqlAnswer { partial: true, .. } => Plan::InProgress(Waiting::unavailable(format!(
                "PromQL {:?} has no result, but not all storage nodes of {} answered",
                self.query,
                shown(&self.url)
            ))),
            PromqlAnswer { .. } => Plan::InProgress(Waiting::unmet(format!(
                "PromQL {:?} has no result at {}",
                self.query,
                shown(&self.url)
            ))),
        })
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }
}

fn read(call: String, answer: &Answer) -> Result<PromqlAnswer, Error> {
    let envelope = serde_json::from_slice::<Envelope>(&answer.body);
    if !answer.is_success() {
        let (kind, reason) = match envelope {
            Ok(envelope) => (envelope.error_type, answer.said(&envelope.error)),
            Err(_) => (String::new(), answer.excerpt()),
        };
        return Err(Error::Refused(Refusal {
            call,
            status: answer.status,
            kind,
            reason,
        }));
    }
    let unexpected = |source| Error::Unexpected {
        call,
        expected: "that of a Prometheus",
        source,
    };
    match envelope {
        Ok(Envelope {
            data: Some(data),
            is_partial,
            ..
        }) => Ok(PromqlAnswer {
            results: data.result.len(),
            partial: is_partial,
        }),
        Ok(Envelope { data: None, .. }) => Err(unexpected(None)),
        Err(source) => Err(unexpected(Some(source.into()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Class, Failure};

    fn answer(status: u16, body: &str) -> Result<PromqlAnswer, Error> {
        let body = body.as_bytes().to_vec();
        read(
            "GET http://p/api/v1/query".to_owned(),
            &Answer {
                status,
                body,
                hidden: Vec::new(),
            },
        )
    }

    fn plan(results: usize, partial: bool) -> Plan<Infallible> {
        // reqwest panics without a provider; that it is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let check = PromqlCheck {
            client: Client::new(None).expect("a client"),
            url: "http://p:9090".to_owned(),
            query: "up{job=\"x\"}".to_owned(),
        };
        check
            .plan(&PromqlAnswer { results, partial })
            .expect("a plan")
    }

    #[test]
    fn a_result_is_enough_and_the_wait_prints_the_query() {
        assert_eq!(plan(1, true), Plan::Current);
        assert_eq!(
            plan(0, false),
            Plan::InProgress(Waiting::unmet(
                r#"PromQL "up{job=\"x\"}" has no result at http://p:9090"#
            ))
        );
        let Plan::InProgress(waiting) = plan(0, true) else {
            panic!("a partial answer without a result is no result");
        };
        assert_eq!(waiting.class, Class::Unavailable);
    }

    #[test]
    fn vectors_and_scalars_are_counted() {
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}"#;
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
        let empty =
            r#"{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(
            answer(200, vector).expect("read"),
            PromqlAnswer {
                results: 1,
                partial: false
            }
        );
        assert_eq!(
            answer(200, scalar).expect("read"),
            PromqlAnswer {
                results: 2,
                partial: false
            }
        );
        assert_eq!(
            answer(200, empty).expect("read"),
            PromqlAnswer {
                results: 0,
                partial: true
            }
        );
    }

    #[test]
    fn a_bad_query_is_permanent_and_a_page_is_not() {
        let bad = r#"{"status":"error","errorType":"bad_data","error":"1:3: parse error"}"#;
        let error = answer(400, bad).expect_err("refused");
        assert_eq!(error.class(), Class::Invalid);
        assert!(
            error.to_string().ends_with("400: 1:3: parse error"),
            "{error}"
        );
        let page = answer(200, "<html>").expect_err("no Prometheus");
        assert_eq!(page.class(), Class::Unavailable);
        assert_eq!(
            answer(503, "starting").expect_err("not yet").class(),
            Class::Unavailable
        );
    }
}

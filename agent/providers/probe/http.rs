//! Whether a URL answers as expected.

use super::client::{Call, Client};
use super::error::Error;
use crate::engine::{Plan, Resource, Waiting};
use std::convert::Infallible;

/// A URL that is to answer with this status, and with this text if one is given.
#[derive(Debug, Clone)]
pub struct HttpCheck {
    /// Who asks.
    pub client: Client,
    /// What is asked; a redirect is not followed.
    pub url: String,
    /// The status that is expected.
    pub status: u16,
    /// What the body must contain.
    pub contains: Option<String>,
}

/// What the URL answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    status: u16,
    /// Whether the text is in the body; true if none is asked for.
    contains: bool,
    excerpt: String,
}

impl Resource for HttpCheck {
    type Observed = HttpAnswer;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<HttpAnswer, Error> {
        let answer = self.client.send(Call::get(&self.url)?).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let contains = self
            .contains
            .as_ref()
            .is_none_or(|wanted| text.contains(wanted));
        Ok(HttpAnswer {
            status: answer.status,
            contains,
            excerpt: answer.excerpt(),
        })
    }

    fn plan(&self, observed: &HttpAnswer) -> Result<Plan<Infallible>, Error> {
        let call = Call::get(&self.url)?.line();
        let HttpAnswer {
            status,
            contains,
            excerpt,
        } = observed;
        if *status != self.status {
            let text = format!(
                "{call} answers {status}, expected {}: {excerpt:?}",
                self.status
            );
            return Ok(Plan::InProgress(Waiting::unmet(text)));
        }
        if *contains {
            return Ok(Plan::Current);
        }
        let wanted = self.contains.as_deref().unwrap_or_default();
        let text = format!("{call} answers {status} without {wanted:?} in it: {excerpt:?}");
        Ok(Plan::InProgress(Waiting::unmet(text)))
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_compared_with_what_is_expected() {
        // reqwest panics without a provider; that it is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let check = HttpCheck {
            client: Client::new(None).expect("a client"),
            url: "http://grafana:3000/api/health".to_owned(),
            status: 200,
            contains: Some("\"ok\"".to_owned()),
        };
        let plan = |status, contains| {
            let excerpt = "{}".to_owned();
            check
                .plan(&HttpAnswer {
                    status,
                    contains,
                    excerpt,
                })
                .expect("a plan")
        };
        assert_eq!(plan(200, true), Plan::Current);
        for (status, contains, text) in [
            (
                502,
                true,
                r#"GET http://grafana:3000/api/health answers 502, expected 200: "{}""#,
            ),
            (
                200,
                false,
                r#"GET http://grafana:3000/api/health answers 200 without "\"ok\"" in it: "{}""#,
            ),
        ] {
            assert_eq!(
                plan(status, contains),
                Plan::InProgress(Waiting::unmet(text))
            );
        }
    }
}

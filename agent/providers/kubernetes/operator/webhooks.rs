//! Whether the webhooks that an operator's objects pass can answer.

use futures::future::try_join_all;
use serde_json::Value;

use super::super::kind::{ENDPOINT_SLICE, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS};
use super::super::live::Live;
use super::super::{Client, Error};

/// One webhook that objects of the operator's groups pass.
#[derive(Debug)]
pub(super) struct Webhook {
    name: String,
    has_authority: bool,
    /// Where it is answered; none if it is an address outside of the cluster.
    service: Option<Service>,
}

#[derive(Debug)]
struct Service {
    namespace: String,
    name: String,
    /// Whether one of its endpoints is ready, or may be for all that we may read.
    answers: bool,
}

/// The webhooks for any of these groups.
pub(super) async fn of(client: &Client, groups: &[&str]) -> Result<Vec<Webhook>, Error> {
    let mut found = Vec::new();
    for kind in [MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS] {
        let configurations = client.list(&kind, "", "", "").await?;
        let hooks = configurations.iter().flat_map(|it| it.list("/webhooks"));
        let concerned = hooks.filter(|hook| concerns(hook, groups));
        found.extend(concerned.map(webhook));
    }
    let services = found.iter_mut().filter_map(|hook| hook.service.as_mut());
    try_join_all(services.map(|service| ask(client, service))).await?;
    Ok(found)
}

fn concerns(hook: &Value, groups: &[&str]) -> bool {
    let rules = hook["rules"].as_array().into_iter().flatten();
    let mut named = rules.flat_map(|rule| rule["apiGroups"].as_array().into_iter().flatten());
    // One for all groups may be anybody's, and the dry run meets it too.
    named.any(|group| groups.iter().any(|own| group == own)) && is_met(hook)
}

/// Whether every object of its groups needs its answer. Whether a selector chooses what is going to
/// be written, only the dry run tells.
fn is_met(hook: &Value) -> bool {
    // The API server writes one that chooses everything as an empty object.
    let chooses = |field: &str| match &hook[field] {
        Value::Object(selector) => !selector.is_empty(),
        Value::Array(conditions) => !conditions.is_empty(),
        _ => false,
    };
    let choices = ["namespaceSelector", "objectSelector", "matchConditions"];
    hook["failurePolicy"] != "Ignore" && !choices.into_iter().any(chooses)
}

fn webhook(hook: &Value) -> Webhook {
    let text = |pointer: &str| {
        let found = hook.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    Webhook {
        name: text("/name"),
        has_authority: !text("/clientConfig/caBundle").is_empty(),
        service: hook.pointer("/clientConfig/service").map(|_| Service {
            namespace: text("/clientConfig/service/namespace"),
            name: text("/clientConfig/service/name"),
            answers: false,
        }),
    }
}

async fn ask(client: &Client, service: &mut Service) -> Result<(), Error> {
    let labels = format!("kubernetes.io/service-name={}", service.name);
    let found = client
        .list(&ENDPOINT_SLICE, &service.namespace, &labels, "")
        .await;
    service.answers = match found {
        // It may be anywhere in the cluster: the dry run tells.
        Err(Error::Forbidden { .. }) => true,
        found => found?.iter().any(is_ready),
    };
    Ok(())
}

fn is_ready(slice: &Live) -> bool {
    let mut endpoints = slice.list("/endpoints").iter();
    // What is not said counts as ready.
    endpoints.any(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)))
}

/// The first thing that lacks.
pub(super) fn missing(hooks: &[Webhook]) -> Option<String> {
    hooks.iter().find_map(|hook| {
        let name = &hook.name;
        let Some(service) = &hook.service else {
            return None;
        };
        if !hook.has_authority {
            return Some(format!("webhook {name}: its caBundle is empty"));
        }
        let Service {
            namespace,
            name: of,
            answers,
        } = service;
        (!answers)
            .then(|| format!("webhook {name}: Service {namespace}/{of} has no ready endpoint"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hook(bundle: &str, group: &str) -> Value {
        json!({ "name": "check.example.com", "rules": [{ "apiGroups": [group] }],
            "clientConfig": { "caBundle": bundle,
                "service": { "namespace": "farm", "name": "hooks", "path": "/check" } } })
    }

    #[test]
    fn the_first_thing_that_lacks_is_named() {
        let mut with = webhook(&hook("Q0E=", "example.com"));
        let without = webhook(&hook("", "example.com"));
        assert_eq!(
            missing(&[without]).as_deref(),
            Some("webhook check.example.com: its caBundle is empty")
        );
        assert_eq!(
            missing(std::slice::from_ref(&with)).as_deref(),
            Some("webhook check.example.com: Service farm/hooks has no ready endpoint")
        );
        with.service.as_mut().expect("a service").answers = true;
        assert_eq!(missing(&[with]), None);
    }

    #[test]
    fn only_webhooks_for_its_groups_count() {
        assert!(concerns(&hook("", "example.com"), &["example.com"]));
        assert!(!concerns(&hook("", "example.org"), &["example.com"]));
        assert!(!concerns(&hook("", "*"), &["example.com"]));
    }

    #[test]
    fn a_webhook_that_may_be_passed_by_is_left_to_the_dry_run() {
        let labels = json!({ "matchLabels": { "release": "other" } });
        for (field, value, expected) in [
            ("failurePolicy", json!("Fail"), true),
            ("failurePolicy", json!("Ignore"), false),
            ("namespaceSelector", json!({}), true),
            ("namespaceSelector", labels.clone(), false),
            ("objectSelector", json!({}), true),
            ("objectSelector", labels, false),
            ("matchConditions", json!([]), true),
            (
                "matchConditions",
                json!([{ "name": "mine", "expression": "true" }]),
                false,
            ),
        ] {
            let mut hook = hook("", "example.com");
            hook[field] = value;
            assert_eq!(concerns(&hook, &["example.com"]), expected, "{hook}");
        }
    }

    #[test]
    fn one_ready_endpoint_is_enough() {
        let slice = |conditions: Value| {
            Live::new(json!({ "endpoints": [
                { "addresses": ["10.0.0.1"], "conditions": { "ready": false } },
                { "addresses": ["10.0.0.2"], "conditions": conditions }] }))
        };
        assert!(is_ready(&slice(json!({ "ready": true }))));
        assert!(is_ready(&slice(json!({}))));
        assert!(!is_ready(&slice(json!({ "ready": false }))));
        assert!(!is_ready(&Live::new(json!({ "endpoints": null }))));
    }
}

//! What the Grafana operator puts into a Grafana: dashboards, datasources, folders, alerts.
//!
//! Up to v5.16 most failures leave a status as it was, and a folder is called synchronized also
//! when its Grafana was skipped, so the Grafana is asked whether it lists the thing.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::super::kind::Kind;
use super::super::live::{Condition, Live};
use super::verdict::{PODS, SETTLE};
use super::{Need, Rule, STALE, Sight, Verdict};

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "GrafanaDatasource" => Some(Rule::Around {
            needs,
            verdict: datasource,
        }),
        "GrafanaAlertRuleGroup"
        | "GrafanaContactPoint"
        | "GrafanaDashboard"
        | "GrafanaFolder"
        | "GrafanaLibraryPanel"
        | "GrafanaMuteTiming"
        | "GrafanaNotificationPolicy"
        | "GrafanaNotificationTemplate" => Some(Rule::Around {
            needs,
            verdict: part,
        }),
        _ => None,
    }
}

fn needs(sight: &Sight<'_>) -> Vec<Need> {
    let kind = Kind::of_group(sight.object.text("/apiVersion"), "Grafana", "grafanas");
    if crosses_namespaces(sight.object) {
        return vec![sight.need_all(&kind.of_the_cluster(), "")];
    }
    vec![sight.need_all(&kind, "")]
}

fn part(sight: &Sight<'_>) -> Verdict {
    if let Some(refused) = refused(sight) {
        return refused;
    }
    match synchronized(sight.object) {
        Some(verdict) if verdict.is_ready() => unlisted(sight).unwrap_or(verdict),
        Some(verdict) => verdict,
        None => Verdict::not_ready("the operator has said nothing about it yet"),
    }
}

/// Up to v5.16 there is no condition and no generation, only a hash of what was applied.
fn datasource(sight: &Sight<'_>) -> Verdict {
    if let Some(refused) = refused(sight) {
        return refused;
    }
    let source = sight.object;
    if let Some(verdict) = synchronized(source) {
        return if verdict.is_ready() {
            unlisted(sight).unwrap_or(verdict)
        } else {
            verdict
        };
    }
    let message = source.text("/status/lastMessage");
    if !message.is_empty() {
        return Verdict::trouble(message, PODS);
    }
    let hash = source.text("/status/hash");
    if hash.is_empty() || source.text("/status/uid").is_empty() {
        return Verdict::not_ready("the operator has said nothing about it yet");
    }
    let verdict = if source.generation().is_none_or(|number| number <= 1) {
        // Of the first generation there is no older answer.
        Verdict::Ready
    } else if source.at("/spec/valuesFrom").is_some() {
        // The hash is also of the values, which are secret.
        Verdict::ReadyIfHeld(SETTLE)
    } else if hash == content_hash(source) {
        Verdict::Ready
    } else {
        return Verdict::not_ready(STALE);
    };
    unlisted(sight).unwrap_or(verdict)
}

/// What the operator or the selector says against it.
fn refused(sight: &Sight<'_>) -> Option<Verdict> {
    let object = sight.object;
    for kind in ["NoMatchingInstance", "NoMatchingFolder", "InvalidSpec"] {
        if let Some(refused) = object.holds(kind) {
            return Some(Verdict::trouble(refused.said(), PODS));
        }
    }
    let is_alone = object
        .at("/status/NoMatchingInstances")
        .is_some_and(|it| it == true);
    is_alone.then(|| Verdict::trouble("no Grafana matches its instanceSelector", PODS))
}

/// What `DashboardSynchronized` and the like say; none where there is no such condition.
fn synchronized(object: &Live) -> Option<Verdict> {
    let is_it = |kind: &str| kind.ends_with("Synchronized");
    let said: Condition<'_> = object.conditions().find(|it| is_it(it.kind))?;
    if !said.is_true() {
        return Some(Verdict::trouble(said.said(), PODS));
    }
    let conditions = object.list("/status/conditions").iter();
    let mut observed = conditions
        .filter(|it| it["type"].as_str().is_some_and(is_it))
        .filter_map(|it| it["observedGeneration"].as_i64());
    Some(if observed.next() == object.generation() {
        Verdict::Ready
    } else {
        Verdict::not_ready(STALE)
    })
}

/// The first Grafana that ought to have it and does not list it.
fn unlisted(sight: &Sight<'_>) -> Option<Verdict> {
    let object = sight.object;
    let mut grafanas = matching(sight).peekable();
    if grafanas.peek().is_none() && !crosses_namespaces(object) {
        return Some(Verdict::not_ready(
            "no Grafana matches its instanceSelector",
        ));
    }
    let list = match object.text("/kind") {
        "GrafanaDashboard" => "dashboards",
        "GrafanaDatasource" => "datasources",
        "GrafanaFolder" => "folders",
        _ => return None,
    };
    let prefix = format!("{}/{}/", sight.namespace(), sight.name());
    let lacks = |grafana: &&Live| {
        let listed = grafana.list(&format!("/status/{list}"));
        let mut listed = listed.iter().filter_map(Value::as_str);
        !listed.any(|entry| entry.starts_with(&prefix))
    };
    let grafana = grafanas.find(lacks)?;
    let name = grafana.name();
    Some(Verdict::NotReady(format!(
        "Grafana {name} does not list it"
    )))
}

fn matching<'a>(sight: &Sight<'a>) -> impl Iterator<Item = &'a Live> {
    let selector = sight.object.at("/spec/instanceSelector");
    sight
        .all("Grafana")
        .filter(move |grafana| selector.is_none_or(|selector| selects(selector, grafana)))
}

/// A label selector, as the API defines it.
fn selects(selector: &Value, object: &Live) -> bool {
    let labels = object.texts("/metadata/labels");
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let mut wanted = wanted.map(|(key, value)| (key.as_str(), value.as_str()));
    let expressions = selector["matchExpressions"].as_array();
    wanted.all(|(key, value)| labels.get(key).copied() == value)
        && expressions.into_iter().flatten().all(|expression| {
            let key = expression["key"].as_str().unwrap_or_default();
            let found = labels.get(key).copied();
            let values = expression["values"].as_array();
            let mut values = values.into_iter().flatten().filter_map(Value::as_str);
            match expression["operator"].as_str() {
                Some("In") => found.is_some_and(|found| values.any(|value| value == found)),
                Some("NotIn") => found.is_none_or(|found| values.all(|value| value != found)),
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        })
}

fn crosses_namespaces(object: &Live) -> bool {
    let crosses = object.at("/spec/allowCrossNamespaceImport");
    crosses.is_some_and(|crosses| crosses == true)
}

/// The hash that the operator makes of a datasource: of its JSON with sorted keys, as Go writes
/// it, without what Go leaves out for being empty.
fn content_hash(source: &Live) -> String {
    let empty = Map::new();
    let content = source.at("/spec/datasource").and_then(Value::as_object);
    let mut content: Map<String, Value> = content
        .unwrap_or(&empty)
        .iter()
        .filter(|(_, value)| **value != Value::Null && **value != "" && **value != 0)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let uid = ["/spec/uid", "/metadata/uid"].map(|field| source.text(field));
    if let Some(uid) = uid.into_iter().find(|uid| !uid.is_empty()) {
        content.entry("uid").or_insert_with(|| uid.into());
    }
    let text = sorted(&Value::Object(content)).to_string();
    let text = [('&', "\\u0026"), ('<', "\\u003c"), ('>', "\\u003e")]
        .into_iter()
        .fold(text, |text, (letter, escape)| text.replace(letter, escape));
    let digest = Sha256::digest(text.as_bytes());
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// Whatever order a map keeps, this is the one in which Go writes it.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields = fields.into_iter();
            Value::Object(
                fields
                    .map(|(key, value)| (key.clone(), sorted(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::rule_for;
    use super::*;

    fn judged(kind: &str, spec: &Value, status: &Value, grafanas: &[Value]) -> Verdict {
        let mut spec = spec.clone();
        spec["instanceSelector"] = json!({ "matchLabels": { "for": "lens" } });
        let object = Live::new(json!({
            "apiVersion": "grafana.integreatly.org/v1beta1", "kind": kind,
            "metadata": { "name": "nodes", "namespace": "lens", "generation": 2 },
            "spec": spec, "status": status }));
        let around: Vec<Live> = grafanas.iter().cloned().map(Live::new).collect();
        rule_for(&object).verdict(&Sight::new(&object, &around))
    }

    fn grafana(name: &str, label: &str, status: &Value) -> Value {
        json!({ "kind": "Grafana", "metadata": { "name": name, "labels": { "for": label } },
                "status": status })
    }

    fn condition(kind: &str, status: &str, observed: i64) -> Value {
        json!({ "conditions": [{ "type": kind, "status": status, "observedGeneration": observed,
                                 "message": "words" }] })
    }

    #[test]
    fn a_condition_of_this_generation_and_every_grafana_that_is_meant() {
        let lists = grafana("a", "lens", &json!({ "dashboards": ["lens/nodes/uid"] }));
        let lacks = grafana("b", "lens", &json!({ "dashboards": ["lens/other/uid"] }));
        let other = grafana("c", "other", &json!({}));
        let synchronized =
            |status: &str, observed| condition("DashboardSynchronized", status, observed);
        let not_ready = Verdict::not_ready;
        for (status, grafanas, expected) in [
            (
                synchronized("True", 2),
                vec![lists.clone(), other.clone()],
                Verdict::Ready,
            ),
            (
                synchronized("True", 1),
                vec![lists.clone()],
                not_ready(STALE),
            ),
            (
                synchronized("True", 2),
                vec![lists.clone(), lacks],
                not_ready("Grafana b does not list it"),
            ),
            (
                synchronized("True", 2),
                vec![other],
                not_ready("no Grafana matches its instanceSelector"),
            ),
            (
                synchronized("False", 2),
                vec![lists.clone()],
                Verdict::trouble("DashboardSynchronized is False (words)", PODS),
            ),
            (
                condition("InvalidSpec", "True", 2),
                vec![lists.clone()],
                Verdict::trouble("InvalidSpec is True (words)", PODS),
            ),
            (
                json!({ "NoMatchingInstances": true, "hash": "x", "uid": "y" }),
                vec![lists.clone()],
                Verdict::trouble("no Grafana matches its instanceSelector", PODS),
            ),
            (
                json!({}),
                vec![lists],
                not_ready("the operator has said nothing about it yet"),
            ),
        ] {
            let found = judged("GrafanaDashboard", &json!({}), &status, &grafanas);
            assert_eq!(found, expected, "{status}");
        }
        let group = condition("AlertGroupSynchronized", "True", 2);
        let any = [grafana("a", "lens", &json!({}))];
        assert_eq!(
            judged("GrafanaAlertRuleGroup", &json!({}), &group, &any),
            Verdict::Ready
        );
    }

    #[test]
    fn a_datasource_without_conditions_proves_by_its_hash_what_was_applied() {
        let lists = [grafana(
            "a",
            "lens",
            &json!({ "datasources": ["lens/nodes/uid"] }),
        )];
        let spec = json!({ "datasource": { "uid": "u", "name": "m", "url": "http://a/?b&c" } });
        let hash = "e99c25a8c7d0a1a3e7e8e6a8a0e6f6b0";
        let status = |hash: &str| json!({ "hash": hash, "uid": "u" });
        let of = |spec: &Value, status: &Value| judged("GrafanaDatasource", spec, status, &lists);
        assert_eq!(of(&spec, &status(hash)), Verdict::not_ready(STALE));
        let live = Live::new(json!({ "spec": spec }));
        assert_eq!(of(&spec, &status(&content_hash(&live))), Verdict::Ready);
        // Go leaves out what is empty, and writes `&` in another way.
        let same = json!({ "datasource": { "url": "http://a/?b&c", "name": "m", "uid": "u",
                                           "user": "" } });
        assert_eq!(
            content_hash(&Live::new(json!({ "spec": same }))),
            content_hash(&live)
        );
        let text = r#"{"name":"m","uid":"u","url":"http://a/?b\u0026c"}"#;
        let digest = Sha256::digest(text.as_bytes());
        let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(content_hash(&live), digits.concat());

        let mut secret = spec.clone();
        secret["valuesFrom"] = json!([{}]);
        assert_eq!(of(&secret, &status(hash)), Verdict::ReadyIfHeld(SETTLE));
        assert_eq!(
            of(&spec, &json!({ "lastMessage": "401" })),
            Verdict::trouble("401", PODS)
        );
        assert_eq!(
            of(&spec, &condition("DatasourceSynchronized", "True", 2)),
            Verdict::Ready
        );
        let lacks = [grafana("a", "lens", &json!({}))];
        assert_eq!(
            judged(
                "GrafanaDatasource",
                &spec,
                &status(&content_hash(&live)),
                &lacks
            ),
            Verdict::not_ready("Grafana a does not list it")
        );
    }

    #[test]
    fn selectors() {
        let labels = Live::new(json!({ "metadata": { "labels": { "a": "b" } } }));
        let expression = |operator: &str, values: Value| json!({ "matchExpressions": [{ "key": "a", "operator": operator, "values": values }] });
        for (selector, expected) in [
            (json!({}), true),
            (json!({ "matchLabels": { "a": "b" } }), true),
            (json!({ "matchLabels": { "a": "c" } }), false),
            (expression("In", json!(["b", "c"])), true),
            (expression("NotIn", json!(["b"])), false),
            (expression("Exists", json!([])), true),
            (expression("DoesNotExist", json!([])), false),
            (expression("Gt", json!(["1"])), false),
        ] {
            assert_eq!(selects(&selector, &labels), expected, "{selector}");
        }
    }
}

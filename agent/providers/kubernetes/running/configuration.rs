//! Whether a workload has the variables and uses the keys that it should.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::diagnosis::configuration::{self, Source, SourceKind, needs};
use super::super::live::Live;
use super::{image, template};

type Keys = BTreeMap<Source, Option<Vec<String>>>;

/// What the template names and is not there.
pub(super) fn unmet(workload: &Live, keys: &Keys) -> Option<String> {
    configuration::unmet(&needs(&template(workload)), keys)
}

/// The first variable that the container lacks, or whose source does.
pub(super) fn environment(
    workload: &Live,
    keys: &Keys,
    container: Option<&str>,
    names: &[String],
) -> Option<String> {
    let all = image::names(workload);
    let name = container.or(all.first().copied())?;
    let Some(spec) = image::find(workload.list("/spec/template/spec/containers"), name) else {
        return Some(format!("it has no container {name}"));
    };
    let lacks = names.iter().find(|variable| !has(spec, keys, variable));
    lacks
        .map(|variable| format!("container {name} has no environment variable {variable}"))
        .or_else(|| unmet(workload, keys))
}

fn has(container: &Value, keys: &Keys, variable: &str) -> bool {
    let list = |key: &str| container[key].as_array().into_iter().flatten();
    if list("env").any(|entry| entry["name"] == variable) {
        return true;
    }
    list("envFrom").any(|from| {
        let prefix = from["prefix"].as_str().unwrap_or_default();
        let Some(key) = variable.strip_prefix(prefix) else {
            return false;
        };
        let of = |kind, place: &str| {
            let name = from[place]["name"].as_str()?.to_owned();
            keys.get(&Source { kind, name })?.as_ref()
        };
        let secret = of(SourceKind::Secret, "secretRef");
        let found = secret.or_else(|| of(SourceKind::ConfigMap, "configMapRef"));
        found.is_some_and(|keys| keys.iter().any(|known| known == key))
    })
}

/// The first key that the Secret lacks, or that the pods do not use.
pub(super) fn keys(
    workload: &Live,
    keys: &Keys,
    secret: &str,
    wanted: &[String],
) -> Option<String> {
    let source = Source {
        kind: SourceKind::Secret,
        name: secret.to_owned(),
    };
    let Some(there) = keys.get(&source).and_then(Option::as_ref) else {
        return Some(format!("Secret {secret} does not exist"));
    };
    if let Some(missing) = wanted.iter().find(|key| !there.contains(key)) {
        return Some(format!("Secret {secret} has no key {missing}"));
    }
    let needs = needs(&template(workload));
    let is_used = |key: &&String| {
        let mut uses = needs.iter().filter(|need| need.source == source);
        // Without a key the whole Secret is used.
        uses.any(|need| need.key.as_ref().is_none_or(|used| used == *key))
    };
    let unused = wanted.iter().find(|key| !is_used(key))?;
    Some(format!(
        "its pods do not use key {unused} of Secret {secret}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload() -> Live {
        Live::new(json!({ "spec": { "template": { "spec": { "containers": [{
            "name": "web",
            "env": [{ "name": "USER", "value": "lens" },
                    { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "login", "key": "password" } } }],
            "envFrom": [{ "prefix": "APP_", "configMapRef": { "name": "settings" } }],
        }] } } } }))
    }

    fn there(login: &[&str]) -> Keys {
        let texts = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect());
        let source = |kind, name: &str| Source {
            kind,
            name: name.to_owned(),
        };
        BTreeMap::from([
            (source(SourceKind::Secret, "login"), texts(login)),
            (
                source(SourceKind::ConfigMap, "settings"),
                texts(&["COLOUR"]),
            ),
        ])
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn variables_come_one_by_one_or_from_all_keys() {
        let asked = |names: &[&str], login: &[&str]| {
            environment(&workload(), &there(login), None, &words(names))
        };
        assert_eq!(
            asked(&["USER", "PASSWORD", "APP_COLOUR"], &["password"]),
            None
        );
        for name in ["COLOUR", "APP_SIZE"] {
            let expected = format!("container web has no environment variable {name}");
            assert_eq!(asked(&[name], &["password"]), Some(expected));
        }
        let missing = asked(&["USER"], &["word"]).expect("a key lacks");
        assert!(
            missing.starts_with("Secret login has no key password"),
            "{missing}"
        );
    }

    #[test]
    fn keys_are_there_and_used() {
        let asked = |names: &[&str]| {
            keys(
                &workload(),
                &there(&["password", "other"]),
                "login",
                &words(names),
            )
        };
        assert_eq!(asked(&["password"]), None);
        assert_eq!(
            asked(&["user"]).as_deref(),
            Some("Secret login has no key user")
        );
        assert_eq!(
            asked(&["other"]).as_deref(),
            Some("its pods do not use key other of Secret login")
        );
        let nowhere = keys(&workload(), &there(&[]), "nowhere", &words(&["a"]));
        assert_eq!(nowhere.as_deref(), Some("Secret nowhere does not exist"));
    }
}

//! Whether the pods run the image that they should.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::live::Live;
use super::Ask;

/// The names of a workload's containers.
pub(super) fn names(workload: &Live) -> Vec<&str> {
    let containers = workload.list("/spec/template/spec/containers").iter();
    containers.filter_map(|it| it["name"].as_str()).collect()
}

/// The first pod that runs something else.
pub(super) fn complaint(workload: &Live, pods: &[Live], ask: &Ask) -> Option<String> {
    let Ask::Image {
        container,
        image,
        digest,
    } = ask
    else {
        return None;
    };
    let names = names(workload);
    let name = container.as_deref().or(names.first().copied())?;
    let Some(spec) = find(workload.list("/spec/template/spec/containers"), name) else {
        return Some(format!("it has no container {name}"));
    };
    let image = image.as_deref().or(spec["image"].as_str())?;
    if spec["image"] != image {
        let other = spec["image"].as_str().unwrap_or_default();
        return Some(format!("container {name} is to run {other}, not {image}"));
    }
    let alive: Vec<&Live> = pods.iter().filter(|pod| is_alive(pod)).collect();
    let other = alive.iter().find_map(|pod| {
        let runs = find(pod.list("/spec/containers"), name)?["image"].as_str()?;
        let what = format!(
            "pod {}: container {name} runs {runs}, not {image}",
            pod.name()
        );
        (runs != image).then_some(what)
    });
    other.or_else(|| digests(&alive, name, digest.as_deref()))
}

/// A tag may be moved: what it stood for when each pod started says what really runs.
fn digests(pods: &[&Live], name: &str, wanted: Option<&str>) -> Option<String> {
    let mut found = BTreeSet::new();
    for pod in pods {
        let status = find(pod.list("/status/containerStatuses"), name);
        let id = status.and_then(|status| status["imageID"].as_str());
        let Some(digest) = id
            .and_then(|id| id.rsplit_once('@'))
            .map(|(_, digest)| digest)
        else {
            continue;
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != digest) {
            let pod = pod.name();
            return Some(format!(
                "pod {pod}: container {name} runs {digest}, not {wanted}"
            ));
        }
        found.insert(digest);
    }
    let found: Vec<&str> = found.into_iter().collect();
    match (&found[..], wanted) {
        ([], Some(wanted)) => Some(format!(
            "no pod says that its container {name} runs {wanted}"
        )),
        ([] | [_], _) => None,
        (many, _) => Some(format!(
            "its pods run different images under one name: {}",
            many.join(", ")
        )),
    }
}

fn is_alive(pod: &Live) -> bool {
    let has_ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
    !has_ended && !pod.is_being_deleted()
}

pub(super) fn find<'a>(containers: &'a [Value], name: &str) -> Option<&'a Value> {
    containers
        .iter()
        .find(|container| container["name"] == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload() -> Live {
        Live::new(json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "web", "image": "example.com/web:2" }] } } } }))
    }

    fn pod(image: &str, digest: &str) -> Live {
        Live::new(json!({ "metadata": { "name": "web-1" },
            "spec": { "containers": [{ "name": "web", "image": image }] },
            "status": { "phase": "Running", "containerStatuses": [
                { "name": "web", "imageID": format!("example.com/web@{digest}") }] } }))
    }

    fn ask(image: Option<&str>, digest: Option<&str>) -> Ask {
        Ask::Image {
            container: None,
            image: image.map(str::to_owned),
            digest: digest.map(str::to_owned),
        }
    }

    #[test]
    fn what_runs_is_compared_with_what_should() {
        let two = "example.com/web:2";
        for (pods, ask, expected) in [
            (vec![pod(two, "sha256:a")], ask(None, None), None),
            (
                vec![pod(two, "sha256:a")],
                ask(Some(two), Some("sha256:a")),
                None,
            ),
            (
                vec![pod(two, "sha256:a")],
                ask(Some("example.com/web:3"), None),
                Some("container web is to run example.com/web:2, not example.com/web:3"),
            ),
            (
                vec![pod("example.com/web:1", "sha256:a")],
                ask(None, None),
                Some("pod web-1: container web runs example.com/web:1, not example.com/web:2"),
            ),
            (
                vec![pod(two, "sha256:a")],
                ask(None, Some("sha256:b")),
                Some("pod web-1: container web runs sha256:a, not sha256:b"),
            ),
            (
                vec![pod(two, "sha256:a"), pod(two, "sha256:b")],
                ask(None, None),
                Some("its pods run different images under one name: sha256:a, sha256:b"),
            ),
            (
                vec![],
                ask(None, Some("sha256:b")),
                Some("no pod says that its container web runs sha256:b"),
            ),
        ] {
            let found = complaint(&workload(), &pods, &ask);
            assert_eq!(found.as_deref(), expected);
        }
    }

    #[test]
    fn a_pod_that_ends_does_not_count() {
        let mut ending = pod("example.com/web:1", "sha256:a").value().clone();
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(
            complaint(&workload(), &[Live::new(ending)], &ask(None, None)),
            None
        );
    }
}

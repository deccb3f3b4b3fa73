//! A container whose image does not come.

use super::super::live::Live;
use super::configuration::{Source, SourceKind};
use super::container::{Container, text};
use super::scene::Scene;

/// Which image, from where, what the kubelet says, and whether there is a login for it.
pub(super) fn sentence(scene: &Scene, pod: &Live, container: &Container<'_>) -> String {
    let name = container.name();
    let image = match text(container.spec, "/image") {
        "" => text(container.status, "/image"),
        image => image,
    };
    let (registry, tag) = parts(image);
    let said = said(container, image);
    let login = login(scene, pod);
    format!(
        "container {name} cannot pull image {image} (registry {registry}, {tag}): {said}; {login}"
    )
}

/// The registry, and `tag 1` or the digest. Nobody needs to know the defaults by heart.
fn parts(image: &str) -> (&str, String) {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let registry = match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    };
    if let Some(digest) = digest {
        return (registry, format!("digest {digest}"));
    }
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = match last.split_once(':') {
        Some((_, tag)) => format!("tag {tag}"),
        None => "no tag, so latest".to_owned(),
    };
    (registry, tag)
}

/// The last attempt's words. While it pauses before the next, the kubelet puts its own before
/// them, and the runtime names the image again at each of its own levels.
fn said(container: &Container<'_>, image: &str) -> String {
    let waiting = container.waiting();
    let Some((_, cause)) = waiting.split_once("ErrImagePull: ") else {
        return waiting;
    };
    let mut cause = cause;
    for level in [
        "failed to pull and unpack image",
        "failed to resolve reference",
    ] {
        cause = cause
            .strip_prefix(&format!("{level} \"{image}\": "))
            .unwrap_or(cause);
    }
    format!("ErrImagePull: {cause}")
}

/// The pull secrets that the pod names, and whether they are there.
fn login(scene: &Scene, pod: &Live) -> String {
    let secrets = pull_secrets(pod);
    if secrets.is_empty() {
        return "the pod names no pull secret".to_owned();
    }
    let each = secrets.into_iter().map(|name| {
        let known = scene.keys.get(&Source {
            kind: SourceKind::Secret,
            name: name.to_owned(),
        });
        match known {
            Some(Some(_)) => format!("pull secret {name} exists"),
            Some(None) => format!("pull secret {name} does not exist"),
            None => format!("pull secret {name} could not be read"),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

pub(super) fn pull_secrets(pod: &Live) -> Vec<&str> {
    let secrets = pod.list("/spec/imagePullSecrets").iter();
    secrets
        .map(|secret| text(secret, "/name"))
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::container::worst;
    use super::*;

    #[test]
    fn images_have_parts() {
        for (image, registry, tag) in [
            ("nginx", "docker.io", "no tag, so latest"),
            ("library/nginx:1.2", "docker.io", "tag 1.2"),
            ("example.com/a/b:2", "example.com", "tag 2"),
            ("localhost:5000/a", "localhost:5000", "no tag, so latest"),
            ("example.com/a@sha256:12", "example.com", "digest sha256:12"),
        ] {
            assert_eq!(parts(image), (registry, tag.to_owned()), "{image}");
        }
    }

    #[test]
    fn the_last_attempt_is_quoted_and_the_login_named() {
        let pod = |reason: &str, message: &str| {
            Live::new(json!({
                "spec": { "containers": [{ "name": "web", "image": "localhost/shop:1" }],
                          "imagePullSecrets": [{ "name": "login" }, { "name": "other" }] },
                "status": { "containerStatuses": [{ "name": "web", "state": { "waiting": {
                    "reason": reason, "message": message } } }] },
            }))
        };
        let secret = |name: &str| Source {
            kind: SourceKind::Secret,
            name: name.to_owned(),
        };
        for pod in [
            pod("ErrImagePull", "not found"),
            pod(
                "ImagePullBackOff",
                "Back-off pulling image \"localhost/shop:1\": ErrImagePull: failed to pull and \
                 unpack image \"localhost/shop:1\": not found",
            ),
        ] {
            let mut scene = Scene::of(pod.clone());
            scene.keys.insert(secret("login"), None);
            let container = worst(&pod).expect("trouble");
            assert_eq!(
                sentence(&scene, &pod, &container),
                "container web cannot pull image localhost/shop:1 (registry localhost, tag 1): \
                 ErrImagePull: not found; pull secret login does not exist, pull secret other \
                 could not be read"
            );
        }
    }
}

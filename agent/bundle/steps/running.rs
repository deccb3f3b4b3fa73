//! `check: { rollout | image | env | secret: … }`: whether what runs is what should run.

use super::Context;
use crate::bundle::reader::Fields;
use crate::bundle::yaml::Node;
use crate::bundle::{Check, RunningAsk, Workload, suggest};

const KINDS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

pub(super) fn read(kind: &'static str, node: &Node, context: Context<'_>) -> Option<Check> {
    let own: &[&str] = match kind {
        "rollout" => &["workload"],
        "image" => &["workload", "container", "image", "digest"],
        "env" => &["workload", "container", "names"],
        _ => &["name", "keys", "usedBy"],
    };
    let fields = context.reader.fields(node, kind, own)?;
    let key = if kind == "secret" {
        "usedBy"
    } else {
        "workload"
    };
    let workload = workload(&fields, key, context);
    let ask = match kind {
        "rollout" => Some(RunningAsk::Rollout),
        "image" => Some(RunningAsk::Image {
            container: fields.text("container"),
            image: fields.text("image"),
            digest: fields.text("digest"),
        }),
        "env" => words(&fields, "names", context).map(|names| RunningAsk::Environment {
            container: fields.text("container"),
            names,
        }),
        _ => {
            let (secret, keys) = (fields.need_text("name"), words(&fields, "keys", context));
            secret
                .zip(keys)
                .map(|(secret, keys)| RunningAsk::Keys { secret, keys })
        }
    };
    Some(Check::Running {
        workload: workload?,
        ask: ask?,
    })
}

fn words(fields: &Fields<'_>, key: &str, context: Context<'_>) -> Option<Vec<String>> {
    let node = fields.need(key)?;
    let words = context.reader.texts(node, key)?;
    if words.is_empty() {
        context
            .reader
            .add(node.at, format!("`{key}` names nothing"));
        return None;
    }
    Some(words)
}

/// `deployment/web`, or `deployment/NAMESPACE/web`.
fn workload(fields: &Fields<'_>, key: &str, context: Context<'_>) -> Option<Workload> {
    let node = fields.need(key)?;
    let text = context.reader.text(node, key)?;
    let parts: Vec<&str> = text.split('/').collect();
    let (kind, namespace, name) = match parts[..] {
        [kind, name] => (kind, None, name),
        [kind, namespace, name] => (kind, Some(namespace.to_owned()), name),
        _ => ("", None, ""),
    };
    let known = KINDS.into_iter().find(|it| it.eq_ignore_ascii_case(kind));
    let Some(kind) = known.filter(|_| !name.is_empty()) else {
        let what = format!("`{text}` is not a workload");
        let mistake = context.reader.mistake(node.at, what);
        let hint = format!(
            "write kind/name, as deployment/grafana; the kinds are: {}",
            suggest::list(KINDS)
        );
        context.found().add(mistake.hint(hint));
        return None;
    };
    Some(Workload {
        kind,
        namespace,
        name: name.to_owned(),
    })
}

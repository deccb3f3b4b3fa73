//! `operator: { name, namespace?, selector, crds }`: an operator that must be usable.

use super::{Context, Made};
use crate::bundle::yaml::Node;
use crate::bundle::{Action, OperatorGate};

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let reader = context.reader;
    let allowed = &["name", "namespace", "selector", "crds"];
    let fields = reader.fields(node, "an operator", allowed)?;
    let name = fields.need_text("name");
    let namespace = fields.text("namespace");
    let selector = fields.need("selector");
    let selector = selector.and_then(|node| {
        let selector = reader.text_map(node, "selector")?;
        if selector.is_empty() {
            reader.add(
                node.at,
                "`selector` names no label, so it would find every Deployment",
            );
            return None;
        }
        Some(selector)
    });
    let crds = fields.need("crds").and_then(|node| {
        let crds = reader.texts(node, "crds")?;
        if let Some(bad) = crds.iter().find(|crd| !crd.contains('.')) {
            let what = format!("`{bad}` is not the full name of a custom resource definition");
            let mistake = reader.mistake(node.at, what);
            context.found().add(
                mistake.hint("write plural.group, as in vmclusters.operator.victoriametrics.com"),
            );
            return None;
        }
        Some(crds)
    });
    let name = name?;
    let gate = OperatorGate {
        name: name.clone(),
        namespace: namespace.unwrap_or_else(|| context.namespace.to_owned()),
        selector: selector?,
        crds: crds?,
    };
    Some(Made::step(name, Action::Operator(gate)))
}

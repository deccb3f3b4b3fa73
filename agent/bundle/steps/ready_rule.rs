//! `ready:` and `failed:` of an apply: the bundle's own word about when its objects are ready.

use std::collections::BTreeMap;

use super::Context;
use crate::bundle::reader::Fields;
use crate::bundle::yaml::Spot;
use crate::bundle::{Location, Manifest, Mistake};
use crate::expression::{Expression, ReadyRule};
use crate::kinds;

/// Says that an object tells by a condition `Ready`, as is the custom.
const CONDITION: &str = "condition";

/// What a step says about the objects that it applies.
pub(super) struct Said {
    rule: ReadyRule,
    at: Spot,
    /// Whether it says when they are ready; if not, their kinds must tell.
    is_whole: bool,
}

/// Reads both keys; none if neither is there.
pub(super) fn read(fields: &Fields<'_>, context: Context<'_>) -> Option<Said> {
    let (ready, failed) = (fields.get("ready"), fields.get("failed"));
    let compile = |name: &str| {
        let text = fields.text(name)?;
        if name == "ready" && text == CONDITION {
            return None;
        }
        match Expression::compile(&text) {
            Ok(expression) => Some(expression),
            Err(error) => {
                let at = fields.get(name)?.at;
                let what = format!("`{name}` cannot be understood: {error}");
                let mistake = context.reader.mistake(at, what);
                context.found().add(mistake.hint(EXAMPLE));
                None
            }
        }
    };
    Some(Said {
        at: ready.or(failed)?.at,
        is_whole: ready.is_some(),
        rule: ReadyRule {
            ready: compile("ready"),
            failed: compile("failed"),
        },
    })
}

const EXAMPLE: &str =
    "write an expression over `object`, like: ready: object.status.phase == \"Running\"";

/// Gives each manifest the rule that is meant for it: those of a kind that nobody knows, or the
/// only one there is.
pub(super) fn give(said: Option<Said>, manifests: &mut [Manifest], context: Context<'_>) {
    let is_alone = manifests.len() == 1;
    let mut given = false;
    let mut unknown = BTreeMap::new();
    for manifest in manifests.iter_mut() {
        let is_known = is_known(manifest);
        match &said {
            Some(said) if is_alone || !is_known => {
                manifest.rule = said.rule.clone();
                given = true;
                if !said.is_whole && !is_known && manifest.terms.wait {
                    remember(&mut unknown, manifest);
                }
            }
            _ if is_known || !manifest.terms.wait => {}
            _ => remember(&mut unknown, manifest),
        }
    }
    for (what, location) in unknown {
        nobody_knows(&what, &location, context);
    }
    if let Some(said) = said.filter(|_| !given && !manifests.is_empty()) {
        let what = "`ready` and `failed` are for the objects of a kind that nobody knows, and \
                    there is none";
        let mistake = context.reader.mistake(said.at, what);
        context
            .found()
            .add(mistake.hint("to judge one object in another way, apply it in a step of its own"));
    }
}

fn is_known(manifest: &Manifest) -> bool {
    let text = |key: &str| manifest.object[key].as_str().unwrap_or_default();
    let group = text("apiVersion").rsplit_once('/');
    kinds::is_known(group.map_or("", |(group, _)| group), text("kind"))
}

/// Each kind is told once, where it comes first.
fn remember(unknown: &mut BTreeMap<String, Location>, manifest: &Manifest) {
    let text = |key: &str| manifest.object[key].as_str().unwrap_or_default();
    let what = format!("{} of {}", text("kind"), text("apiVersion"));
    unknown
        .entry(what)
        .or_insert_with(|| manifest.location.clone());
}

fn nobody_knows(kind: &str, location: &Location, context: Context<'_>) {
    let what = format!("nobody knows when a {kind} is ready");
    context.found().add(
        Mistake::new(location.into(), what)
            .hint("if it has a condition `Ready`, say so at its step: ready: condition")
            .hint(format!("else {EXAMPLE}"))
            .hint("if nobody needs to know, say: wait: false"),
    );
}

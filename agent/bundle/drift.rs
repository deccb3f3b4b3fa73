//! Whose objects a `check: { drift: … }` is about, once all steps are known.

use super::mistakes::{Found, Mistake};
use super::needs::{Needs, flat, visit};
use super::{Action, Body, Check, Drifting, Node, Restart};

/// Gives each such check the objects of the step or phase that it names.
pub(super) fn resolve(phases: &mut [Node], needs: &Needs, found: &Found) {
    let known: Vec<(String, Drifting)> = flat(phases).filter_map(object).collect();
    visit(phases, &mut |node| {
        let Body::Step(step) = &mut node.body else {
            return;
        };
        let Action::Check(Check::Drift { of, objects }) = &mut step.action else {
            return;
        };
        let inside = format!("{of}/");
        let is_of = |id: &str| id == of || id.starts_with(&inside);
        let those = known.iter().filter(|(id, _)| is_of(id));
        objects.extend(those.map(|(_, object)| object.clone()));
        // What a condition dropped has no objects this time.
        if objects.is_empty() && !needs.has_dropped(of) {
            let what = format!("no step of `{of}` applies an object");
            let mistake = Mistake::new((&node.location).into(), what);
            found.add(mistake.hint("give the id of a phase or a step: `drift: { of: PHASE }`"));
        }
    });
}

fn object(node: &Node) -> Option<(String, Drifting)> {
    let Body::Step(step) = &node.body else {
        return None;
    };
    let Action::Object(manifest) = &step.action else {
        return None;
    };
    let drifting = Drifting {
        object: manifest.object.clone(),
        force: manifest.terms.force,
        restarts: manifest.terms.restart == Restart::OnConfig,
    };
    Some((node.id.clone(), drifting))
}

//! Whether objects are still as the bundle has them.

use std::convert::Infallible;

use futures::stream::{self, StreamExt as _};

use super::ownership::MANAGED;
use super::{Error, Object, ObjectObserved};
use crate::engine::{Difference, FieldChange, Plan, Resource, Verb, Waiting};

/// So many objects are looked at at once.
const AT_ONCE: usize = 16;
/// So many of them are told.
const TOLD: usize = 5;

/// Compares objects as their steps do, and never writes.
pub struct Drift {
    objects: Vec<Object>,
}

/// What differs, an object each.
#[derive(Debug)]
pub struct DriftObserved(Vec<String>);

impl Drift {
    /// Asks about these; readiness is none of its affair.
    #[must_use]
    pub fn of(objects: Vec<Object>) -> Self {
        Self { objects }
    }
}

impl Resource for Drift {
    type Observed = DriftObserved;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<DriftObserved, Error> {
        // Collected first, because a stream that borrows across its closures does not compile.
        let looks: Vec<_> = self.objects.iter().map(Resource::observe).collect();
        let seen: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let mut differences = Vec::new();
        for (object, seen) in self.objects.iter().zip(seen) {
            differences.extend(difference(object, seen)?);
        }
        Ok(DriftObserved(differences))
    }

    fn plan(&self, observed: &DriftObserved) -> Result<Plan<Infallible>, Error> {
        Ok(plan(&observed.0))
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }
}

fn difference(
    object: &Object,
    seen: Result<ObjectObserved, Error>,
) -> Result<Option<String>, Error> {
    let planned = match seen.and_then(|seen| object.plan(&seen)) {
        // Somebody has taken what is ours: a step would say so and stop.
        Err(error @ (Error::Owned { .. } | Error::Foreign { .. })) => {
            return Ok(Some(error.to_string()));
        }
        planned => planned?,
    };
    Ok(match planned {
        Plan::Change(changes) => changes.into_iter().next().and_then(|it| told(it.into())),
        Plan::InProgress(waiting) => Some(waiting.what),
        Plan::Current => None,
    })
}

/// `ConfigMap lens/colours: data.sky is red, not blue`; none if only who owns it would change.
fn told(change: Difference) -> Option<String> {
    let Difference {
        verb,
        target,
        mut fields,
    } = change;
    if verb == Verb::Create {
        return Some(format!("{target} is not there"));
    }
    fields.retain(|field| field.path != MANAGED);
    let fields: Vec<String> = fields.iter().map(field).collect();
    (!fields.is_empty()).then(|| format!("{target}: {}", fields.join(", ")))
}

fn field(change: &FieldChange) -> String {
    let FieldChange {
        path,
        before,
        after,
        sensitive,
    } = change;
    match (before, after) {
        _ if *sensitive => format!("{path} is another one"),
        (Some(before), Some(after)) => format!("{path} is {before}, not {after}"),
        (None, Some(after)) => format!("{path} is not {after}"),
        (Some(before), None) => format!("{path} is {before}, and should not be there"),
        (None, None) => format!("{path} is another one"),
    }
}

fn plan(differences: &[String]) -> Plan<Infallible> {
    if differences.is_empty() {
        return Plan::Current;
    }
    let mut what = differences.iter().take(TOLD).cloned().collect::<Vec<_>>();
    if let more @ 1.. = differences.len().saturating_sub(TOLD) {
        what.push(format!("and {more} more"));
    }
    Plan::InProgress(Waiting::unmet(what.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits_for(differences: &[String]) -> Option<String> {
        match plan(differences) {
            Plan::Current => None,
            Plan::InProgress(waiting) => Some(waiting.what),
            Plan::Change(never) => match never[0] {},
        }
    }

    #[test]
    fn each_object_is_told_with_its_fields_and_no_secret() {
        let change =
            |path: &str, before: Option<&str>, after: Option<&str>, sensitive| FieldChange {
                path: path.to_owned(),
                before: before.map(str::to_owned),
                after: after.map(str::to_owned),
                sensitive,
            };
        let of = |verb, fields| Difference {
            verb,
            target: "Secret lens/a".to_owned(),
            fields,
        };
        let owner = change(MANAGED, None, Some("owned by firstlight"), false);
        assert_eq!(told(of(Verb::Update, vec![owner.clone()])), None);
        let fields = vec![
            owner,
            change("type", Some("red"), Some("blue"), false),
            change("data.password", Some("4711"), Some("4712"), true),
            change("metadata.labels.a", None, Some("b"), false),
            change("immutable", Some("true"), None, false),
        ];
        assert_eq!(
            told(of(Verb::Update, fields)).as_deref(),
            Some(
                "Secret lens/a: type is red, not blue, data.password is another one, \
                 metadata.labels.a is not b, immutable is true, and should not be there"
            )
        );
        let absent = told(of(Verb::Create, Vec::new()));
        assert_eq!(absent.as_deref(), Some("Secret lens/a is not there"));
    }

    #[test]
    fn it_is_current_when_nothing_differs() {
        assert_eq!(waits_for(&[]), None);
        let all: Vec<String> = (1..=7).map(|number| number.to_string()).collect();
        let told = waits_for(&all).expect("it waits");
        assert_eq!(told, "1; 2; 3; 4; 5; and 2 more");
    }
}

//! An object as the API server has it, and how its fields are read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kind::Kind;

/// An object that the API server sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Live(Value);

/// One of `status.conditions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition<'a> {
    pub(super) kind: &'a str,
    /// `True`, `False` or `Unknown`
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

impl Condition<'_> {
    pub(super) fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// `Progressing is False (ProgressDeadlineExceeded: …)`
    pub(super) fn said(&self) -> String {
        let why = [self.reason, self.message];
        let why: Vec<&str> = why.into_iter().filter(|part| !part.is_empty()).collect();
        if why.is_empty() {
            format!("{} is {}", self.kind, self.status)
        } else {
            format!("{} is {} ({})", self.kind, self.status, why.join(": "))
        }
    }
}

impl Live {
    pub(super) fn new(object: Value) -> Self {
        Self(object)
    }

    /// An item of a list, which does not say of which kind it is.
    pub(super) fn of_kind(kind: &Kind, mut object: Value) -> Self {
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.name.as_ref().into();
        Self(object)
    }

    pub(super) fn value(&self) -> &Value {
        &self.0
    }

    /// The value at a JSON pointer; none also for `null`.
    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer).filter(|value| !value.is_null())
    }

    /// The text at a JSON pointer; empty if there is none.
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.at(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The number at a JSON pointer; servers leave zero out.
    pub(super) fn count(&self, pointer: &str) -> i64 {
        self.at(pointer).and_then(Value::as_i64).unwrap_or_default()
    }

    pub(super) fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// The map of texts at a JSON pointer, like labels.
    pub(super) fn texts(&self, pointer: &str) -> BTreeMap<&str, &str> {
        let entries = self.at(pointer).and_then(Value::as_object);
        entries
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect()
    }

    pub(super) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(super) fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    pub(super) fn is_being_deleted(&self) -> bool {
        self.at("/metadata/deletionTimestamp").is_some()
    }

    /// `is being deleted, held by foregroundDeletion`
    pub(super) fn deletion(&self) -> String {
        let finalizers: Vec<&str> = self
            .list("/metadata/finalizers")
            .iter()
            .chain(self.list("/spec/finalizers"))
            .filter_map(Value::as_str)
            .collect();
        if finalizers.is_empty() {
            "is being deleted".to_owned()
        } else {
            format!("is being deleted, held by {}", finalizers.join(", "))
        }
    }

    /// Changes at every write to the object.
    pub(super) fn version(&self) -> &str {
        self.text("/metadata/resourceVersion")
    }

    pub(super) fn generation(&self) -> Option<i64> {
        self.at("/metadata/generation").and_then(Value::as_i64)
    }

    /// The generation that the status speaks of. Some controllers write it as text.
    pub(super) fn observed_generation(&self) -> Option<i64> {
        let observed = self.at("/status/observedGeneration")?;
        observed
            .as_i64()
            .or_else(|| observed.as_str().and_then(|text| text.parse().ok()))
    }

    pub(super) fn condition(&self, kind: &str) -> Option<Condition<'_>> {
        self.conditions().find(|condition| condition.kind == kind)
    }

    /// The condition if it is true.
    pub(super) fn holds(&self, kind: &str) -> Option<Condition<'_>> {
        self.condition(kind).filter(Condition::is_true)
    }

    /// The condition if it is false: not if it is unknown.
    pub(super) fn denies(&self, kind: &str) -> Option<Condition<'_>> {
        self.condition(kind)
            .filter(|condition| condition.status == "False")
    }

    pub(super) fn conditions(&self) -> impl Iterator<Item = Condition<'_>> {
        self.list("/status/conditions").iter().map(|condition| {
            let text = |key| condition[key].as_str().unwrap_or_default();
            Condition {
                kind: text("type"),
                status: text("status"),
                reason: text("reason"),
                message: text("message"),
            }
        })
    }
}

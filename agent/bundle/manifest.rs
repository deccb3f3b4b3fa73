//! A Kubernetes object of a bundle, and how it is applied.

use serde_json::Value;

use super::Location;
use crate::expression::ReadyRule;

/// A Kubernetes object.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The document; has `apiVersion`, `kind` and `metadata.name`.
    pub object: Value,
    /// How it is applied.
    pub terms: Terms,
    /// The bundle's own word about when it is ready.
    pub rule: ReadyRule,
    /// Where the document starts.
    pub location: Location,
}

/// How an object is applied.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Whether fields that another manager owns are taken from it.
    pub force: bool,
    /// Whether the step ends only when the object is ready by its kind's rule.
    pub wait: bool,
    /// Whether it may be deleted and made anew when a field cannot be changed.
    pub recreate: bool,
    /// When its pods are replaced although it does not change.
    pub restart: Restart,
    /// What becomes of an object that somebody else has made.
    pub foreign: Foreign,
    /// Whether the object says in which trace it was last written.
    pub trace: Traced,
}

/// Whether an object says in which trace it was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traced {
    /// It does not.
    Untold,
    /// In an annotation.
    Told,
}

/// What becomes of an object that somebody else has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// It is not changed.
    Refuse,
    /// It is taken over.
    Adopt,
}

/// When the pods of a workload are replaced although its document does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Only when somebody does so.
    ByHand,
    /// When a `ConfigMap` or Secret that they read changes.
    OnConfig,
}

//! The rights that a run takes, and no more: computed from the bundle alone.
//!
//! [`needs`] says what each step asks of the API server and what for; [`Roles::of`] makes the
//! least Roles of it. How a kind is called in a URL is known for Kubernetes' own kinds and for
//! those that the bundle defines; any other name is a guess by the rule, is said to be one, and is
//! put right by the API server when a run asks for its rights.

mod beside;
mod credentials;
mod grants;
mod kinds;
mod print;
mod roles;
mod running;
mod steps;
mod surroundings;

use std::fmt;

pub use print::{named, yaml};
pub use roles::{Asked, Role, Roles, Rule, asked};
pub use steps::needs;

/// What may be done to a resource, in the order in which Roles list it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Read one by its name.
    Get,
    /// Read all of a namespace, or of the cluster.
    List,
    /// Hear of changes to them.
    Watch,
    /// Make a new one.
    Create,
    /// Change one; with `create` also make it, by server-side apply.
    Patch,
    /// Take one away.
    Delete,
    /// Write a role that grants more than we have ourselves.
    Escalate,
    /// Grant a role to somebody without having its rights ourselves.
    Bind,
}

impl Verb {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Escalate => "escalate",
            Self::Bind => "bind",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a right is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// None for the whole cluster.
    pub namespace: Option<String>,
    /// Empty for the core group.
    pub group: String,
    /// The plural, as in a URL: `deployments`, `pods/log`.
    pub resource: String,
    /// One object; none for all.
    pub name: Option<String>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => f.write_str(" in the cluster"),
        }
    }
}

/// A kind whose place in a URL and in a namespace was guessed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guess {
    /// `example.com/v1`
    pub api_version: String,
    /// `Widget`
    pub kind: String,
}

/// One right, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub subject: Subject,
    /// The step that does it, or `run` for what every run does.
    pub step: String,
    /// Why, as a fragment: `applied and waited for`.
    pub why: &'static str,
    /// The kind, if its plural was guessed.
    pub guess: Option<Guess>,
}

impl Need {
    /// Whether a run goes well without it, and only says less of what does not go well.
    #[must_use]
    pub fn is_dispensable(&self) -> bool {
        let reads_all = matches!(self.verb, Verb::Get | Verb::List) && self.subject.name.is_none();
        reads_all && surroundings::is_dispensable(&self.subject.resource, self.why)
    }
}

/// What the agent is to do with the bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Make it current.
    #[default]
    Run,
    /// Make it current, and delete what has left it.
    Prune,
    /// Delete everything that it owns.
    Uninstall,
}

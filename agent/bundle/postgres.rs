//! What a bundle can say of roles, databases and rights in Postgres.

use std::collections::{BTreeMap, BTreeSet};

use crate::secret::Credential;

/// A role of Postgres.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Who makes it and keeps it, if that is not this bundle.
    pub managed_by: Option<String>,
    /// What it may do or not, by the key: `login`, `createDb`. What is not said is left alone.
    pub flags: BTreeMap<&'static str, bool>,
    /// How many sessions it may have at once.
    pub connection_limit: Option<u32>,
    /// The moment after which its password does not count.
    pub valid_until: Option<String>,
    /// Its password.
    pub password: Option<Credential>,
    /// The roles it is a member of.
    pub member_of: Vec<Membership>,
    /// The parameters that its sessions begin with.
    pub settings: BTreeMap<String, String>,
}

/// A role that another is a member of.
#[derive(Debug, Clone, Default)]
pub struct Membership {
    /// The role it is a member of.
    pub role: String,
    /// Whether it may give the membership to others.
    pub admin: Option<bool>,
    /// Whether it has the rights of the role without asking for them.
    pub inherit: Option<bool>,
    /// Whether it may become the role.
    pub set: Option<bool>,
}

/// A database of Postgres.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// The role that owns it; the connecting one unless given.
    pub owner: Option<String>,
    /// The database that it is copied from.
    pub template: Option<String>,
    /// How its texts are kept.
    pub encoding: Option<String>,
    /// The locale for the order of texts.
    pub collate: Option<String>,
    /// The locale for the classes of characters.
    pub ctype: Option<String>,
    /// How many sessions it may have at once.
    pub connection_limit: Option<u32>,
    /// The parameters that sessions in it begin with.
    pub settings: BTreeMap<String, String>,
    /// Role → the parameters that its sessions in this database begin with.
    pub role_settings: BTreeMap<String, BTreeMap<String, String>>,
}

/// A schema in a database of Postgres.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Where it is.
    pub database: String,
    /// Its name.
    pub name: String,
    /// The role that owns it; the connecting one unless given.
    pub owner: Option<String>,
}

/// An extension in a database of Postgres.
#[derive(Debug, Clone)]
pub struct Extension {
    /// Where it is created.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Its version; the server's own choice unless given.
    pub version: Option<String>,
    /// The schema that it is created in.
    pub schema: Option<String>,
}

/// What a role may do in a database of Postgres.
#[derive(Debug, Clone)]
pub struct Grants {
    /// The database.
    pub database: String,
    /// The role; none for everybody.
    pub role: Option<String>,
    /// Whether what it has beyond that is taken away.
    pub exact: bool,
    /// On what is there.
    pub on: Vec<GrantsOn>,
    /// On what is made later.
    pub default: Vec<GrantsDefault>,
}

/// Rights on things of a kind that are there.
#[derive(Debug, Clone)]
pub struct GrantsOn {
    /// `database`, `schema`, `table`, `sequence`, `function`, `type`.
    pub kind: &'static str,
    /// In which schema; none for the database.
    pub schema: Option<String>,
    /// The name of one of them; none for all.
    pub object: Option<String>,
    /// The rights, in capitals.
    pub privileges: BTreeSet<String>,
}

/// Rights on things of a kind that a role makes later.
#[derive(Debug, Clone)]
pub struct GrantsDefault {
    /// Who makes them.
    pub owner: String,
    /// In which schema; none for all.
    pub schema: Option<String>,
    /// Of which kind.
    pub kind: &'static str,
    /// The rights, in capitals.
    pub privileges: BTreeSet<String>,
}

/// What becomes of changes that somebody else has made in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// What becomes of them.
    pub on: OnDrift,
    /// What is not looked at: schemas and tables, `*` for anything.
    pub ignore: Vec<String>,
}

/// What becomes of a change that somebody else has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDrift {
    /// It is named by every run.
    Warn,
    /// It ends the run.
    Fail,
    /// It is what is wanted from now on.
    Accept,
}

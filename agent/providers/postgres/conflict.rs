//! What is there and what the bundle says, where no change of ours brings the two together.

use crate::engine::Class;

/// Why a role, a database, an extension or a grant cannot become what the bundle says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A role may do everything, and the bundle does not say so.
    #[error("role {role} is a superuser, and the bundle does not say so")]
    Superuser {
        /// Which role.
        role: String,
    },
    /// An option of a membership that the server does not have.
    #[error(
        "role {role} cannot be a member of {group} with `{option}`: the server is Postgres {has}, \
         and this came with 16"
    )]
    NoSuchOption {
        /// The member.
        role: String,
        /// The role it is a member of.
        group: String,
        /// `inherit` or `set`.
        option: &'static str,
        /// The server's version.
        has: u32,
    },
    /// What a database is made with and keeps.
    #[error("database {database} has the {what} {has}, and the bundle says {wanted}")]
    Made {
        /// Which database.
        database: String,
        /// `encoding`, `collation`.
        what: &'static str,
        /// What it has.
        has: String,
        /// What it should have.
        wanted: String,
    },
    /// A version of an extension whose files the server does not have.
    #[error(
        "extension {name} is not installed on the server in version {wanted}; what it has is: {has}"
    )]
    NoVersion {
        /// Its name.
        name: String,
        /// The version that is wanted.
        wanted: String,
        /// The versions that are installed.
        has: String,
    },
    /// An extension that cannot get from the version that it has to the one it should have.
    #[error("extension {name} has no way from version {has} to {wanted}")]
    NoUpdate {
        /// Its name.
        name: String,
        /// The version that it has.
        has: String,
        /// The version that is wanted.
        wanted: String,
    },
    /// An extension that stays in the schema that it was created in.
    #[error("extension {name} is in schema {has} and cannot be moved to {wanted}")]
    FixedSchema {
        /// Its name.
        name: String,
        /// Where it is.
        has: String,
        /// Where it should be.
        wanted: String,
    },
    /// Something whose rights are others' to give.
    #[error("{user} may not grant rights on {what}: it belongs to {owner}")]
    NotOurs {
        /// `table lens.nodes`
        what: String,
        /// Whose it is.
        owner: String,
        /// The connected role.
        user: String,
    },
    /// A privilege that this kind of thing does not have.
    #[error("there is no privilege {privilege} on a {kind}")]
    NoPrivilege {
        /// What was asked for.
        privilege: String,
        /// `table`, `schema`.
        kind: &'static str,
    },
    /// The catalog is not as the last run left it, and the bundle says that it must be.
    #[error("database {database} was changed behind our back: {what}")]
    Drifted {
        /// Which database.
        database: String,
        /// What was changed, shortened.
        what: String,
    },
}

impl Conflict {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Superuser { .. }
            | Self::Made { .. }
            | Self::FixedSchema { .. }
            | Self::Drifted { .. } => Class::Diverged,
            Self::NotOurs { .. } => Class::Forbidden,
            Self::NoSuchOption { .. }
            | Self::NoVersion { .. }
            | Self::NoUpdate { .. }
            | Self::NoPrivilege { .. } => Class::Invalid,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Superuser { .. } => "unexpected_superuser",
            Self::NoSuchOption { .. } => "no_such_option",
            Self::Made { .. } => "database_made_otherwise",
            Self::NoVersion { .. } => "extension_no_version",
            Self::NoUpdate { .. } => "extension_no_update",
            Self::FixedSchema { .. } => "extension_fixed_schema",
            Self::NotOurs { .. } => "not_ours_to_grant",
            Self::NoPrivilege { .. } => "no_such_privilege",
            Self::Drifted { .. } => "drifted",
        }
    }

    pub(super) fn hint(&self) -> String {
        match self {
            Self::Superuser { role } => format!(
                "ALTER ROLE {role} NOSUPERUSER, or say `superuser: true` in the bundle if that is meant"
            ),
            Self::NoSuchOption { option, .. } => {
                format!("leave `{option}` out, or use a newer server")
            }
            Self::Made { .. } => {
                "a database keeps what it was made with: say what it has, or make a new one and \
                 move the data there"
                    .to_owned()
            }
            Self::NoVersion { .. } => {
                "name a version that is there, or install the package that has it".to_owned()
            }
            Self::NoUpdate { .. } => {
                "name another version, or drop the extension and create it anew".to_owned()
            }
            Self::FixedSchema { has, .. } => {
                format!("say `schema: {has}`, or drop the extension and create it anew")
            }
            Self::NotOurs { owner, user, .. } => format!(
                "GRANT {owner} TO {user}, or let {owner} grant it (`servers.postgres.user`)"
            ),
            Self::NoPrivilege { .. } => "compare it with the page of GRANT".to_owned(),
            Self::Drifted { .. } => {
                "undo the change, or put it into a migration; to keep it as it is, say \
                 `drift: accept` for one run"
                    .to_owned()
            }
        }
    }
}

//! Roles, databases and rights: from what the bundle says to the resources of the provider.

use super::step::Place;
use super::{AssembleError, Assembly};
use crate::bundle::{Action, Database, Grants, Role};
use crate::providers::postgres::{self, Attributes, Flag, Grantee, Kind, Making, Server};

impl Assembly<'_> {
    pub(super) fn schema(&mut self, place: Place<'_>) -> Result<(), AssembleError> {
        let server = self.postgres(&place)?;
        match place.action() {
            Action::Role(said) => {
                let resource = role(server, said);
                self.add(place, "postgres.role", resource);
            }
            Action::Database(said) => {
                let resource = database(server, said);
                self.add(place, "postgres.database", resource);
            }
            Action::Schema(said) => {
                let resource = postgres::Schema {
                    server,
                    database: said.database.clone(),
                    name: said.name.clone(),
                    owner: said.owner.clone(),
                };
                self.add(place, "postgres.schema", resource);
            }
            Action::Extension(said) => {
                let resource = postgres::Extension {
                    server,
                    database: said.database.clone(),
                    name: said.name.clone(),
                    version: said.version.clone(),
                    schema: said.schema.clone(),
                };
                self.add(place, "postgres.extension", resource);
            }
            Action::Migrations(said) => {
                let resource = self.migrations(server, said);
                self.add(place, "postgres.migrations", resource);
            }
            Action::Grants(said) => {
                let resource = grants(server, said);
                self.add(place, "postgres.grants", resource);
            }
            _ => {}
        }
        Ok(())
    }
}

fn role(server: Server, role: &Role) -> postgres::Role {
    let flag = |flag: Flag| Some((flag, *role.flags.get(flag.key())?));
    let member = |said: &crate::bundle::Membership| postgres::Membership {
        role: said.role.clone(),
        admin: said.admin,
        inherit: said.inherit,
        set: said.set,
    };
    postgres::Role {
        server,
        name: role.name.clone(),
        managed_by: role.managed_by.clone(),
        attributes: Attributes {
            flags: Flag::ALL.into_iter().filter_map(flag).collect(),
            connection_limit: role.connection_limit,
            valid_until: role.valid_until.clone(),
        },
        password: role.password.clone(),
        member_of: role.member_of.iter().map(member).collect(),
        settings: role.settings.clone(),
    }
}

fn database(server: Server, database: &Database) -> postgres::Database {
    postgres::Database {
        server,
        name: database.name.clone(),
        owner: database.owner.clone(),
        making: Making {
            template: database.template.clone(),
            encoding: database.encoding.clone(),
            collate: database.collate.clone(),
            ctype: database.ctype.clone(),
        },
        connection_limit: database.connection_limit,
        settings: database.settings.clone(),
        role_settings: database.role_settings.clone(),
    }
}

fn grants(server: Server, grants: &Grants) -> postgres::Grants {
    let on = grants.on.iter().filter_map(|on| {
        Some(postgres::Place {
            kind: Kind::named(on.kind)?,
            schema: on.schema.clone(),
            object: on.object.clone(),
            privileges: on.privileges.clone(),
        })
    });
    let later = grants.default.iter().filter_map(|default| {
        Some(postgres::Later {
            owner: default.owner.clone(),
            schema: default.schema.clone(),
            kind: Kind::named(default.kind)?,
            privileges: default.privileges.clone(),
        })
    });
    postgres::Grants {
        server,
        database: grants.database.clone(),
        grantee: match &grants.role {
            Some(role) => Grantee::Role(role.clone()),
            None => Grantee::Public,
        },
        exact: grants.exact,
        on: on.collect(),
        later: later.collect(),
    }
}

//! An index: plain, or the first one behind a write alias.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::aliases;
use super::client::{Request, Server};
use super::error::Error;
use super::mapping;
use super::normal_form;
use super::settings;
use crate::engine::{Difference, FieldChange, Plan, Resource, Verb, Waiting};

/// An index with its aliases.
///
/// If one of the aliases is the write alias, the index is only the first one behind it: where the
/// alias leads now is what is kept, and the first index is never made again. Of a living index only
/// what can be changed in place is changed; nothing is taken away.
pub struct Index {
    /// Where.
    pub server: Arc<Server>,
    /// Its name; behind a write alias it ends like `-000001`.
    pub name: String,
    /// `settings`, `mappings` and `aliases`, in OpenSearch's own words.
    pub body: Value,
}

/// What has our names, and the index that is written to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// What has the alias' name without being an alias.
    holder: Option<&'static str>,
    /// The indices behind the write alias.
    behind: Vec<String>,
    /// The index that is ours to keep, if there is one.
    live: Option<Live>,
}

#[derive(Debug, Clone, PartialEq)]
struct Live {
    name: String,
    is_red: bool,
    settings: Value,
    mappings: Value,
    aliases: Value,
}

/// What is done to the index.
#[derive(Debug, Clone)]
pub struct Change {
    kind: Kind,
    fields: Vec<FieldChange>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Index and aliases in one call: no crash can come between them.
    Create { name: String },
    /// New fields and mild parameters.
    Mapping { index: String },
    /// Dynamic settings.
    Settings {
        index: String,
        settings: Map<String, Value>,
    },
    /// Aliases that are missing.
    Aliases { index: String, aliases: Vec<String> },
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        let (verb, target) = match change.kind {
            Kind::Create { name } => (Verb::Create, format!("index {name}")),
            Kind::Mapping { index } => (Verb::Update, format!("mapping of index {index}")),
            Kind::Settings { index, .. } => (Verb::Update, format!("settings of index {index}")),
            Kind::Aliases { index, .. } => (Verb::Update, format!("aliases of index {index}")),
        };
        Self {
            verb,
            target,
            fields: change.fields,
        }
    }
}

impl Resource for Index {
    type Observed = Observed;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let alias = self.write_alias();
        let names = match alias {
            Some(alias) => format!("{},{alias}", self.name),
            None => self.name.clone(),
        };
        let names = Request::get("/_resolve/index/{names}", &[&names]);
        let names = self.server.send(names).await?.json();
        let has = |list: &str, name: &str| {
            let list = names[list].as_array().into_iter().flatten();
            list.into_iter().any(|one| one["name"] == name)
        };
        let holder = alias.and_then(|alias| match () {
            () if has("indices", alias) => Some("an index"),
            () if has("data_streams", alias) => Some("a data stream"),
            () => None,
        });
        if holder.is_some() {
            return Ok(Observed {
                holder,
                ..Observed::default()
            });
        }
        let (behind, written) = match alias.filter(|alias| has("aliases", alias)) {
            Some(alias) => self.behind(alias).await?,
            None => (
                Vec::new(),
                has("indices", &self.name).then(|| self.name.clone()),
            ),
        };
        let live = match written {
            Some(index) => self.live(&index).await?,
            None => None,
        };
        Ok(Observed {
            holder,
            behind,
            live,
        })
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Change>, Error> {
        let alias = self.write_alias().unwrap_or_default().to_owned();
        if let Some(holder) = observed.holder {
            let index = self.name.clone();
            return Err(Error::NameTaken {
                alias,
                holder,
                index,
            });
        }
        let Some(live) = &observed.live else {
            if observed.behind.is_empty() {
                return Ok(Plan::Change(vec![self.creation()]));
            }
            let indices = observed.behind.join(", ");
            return Err(Error::NoWriteIndex { alias, indices });
        };
        let changes = self.changes(live)?;
        if !changes.is_empty() {
            return Ok(Plan::Change(changes));
        }
        if live.is_red {
            let what = format!("index {}: a primary shard is not assigned", live.name);
            return Ok(Plan::InProgress(Waiting::unavailable(what)));
        }
        Ok(Plan::Current)
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let request = match change.kind {
            Kind::Create { name } => Request::put("/{index}", &[&name], self.body.clone()),
            Kind::Mapping { index } => {
                let mappings = self.body["mappings"].clone();
                Request::put("/{index}/_mapping", &[&index], mappings)
            }
            Kind::Settings { index, settings } => {
                Request::put("/{index}/_settings", &[&index], Value::Object(settings))
            }
            Kind::Aliases { index, aliases } => {
                let actions: Vec<_> = aliases
                    .iter()
                    .map(|name| self.adding(&index, name))
                    .collect();
                Request::post("/_aliases", &[], json!({ "actions": actions }))
            }
        };
        self.server.send(request).await?;
        Ok(())
    }
}

impl Index {
    fn aliases(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.body["aliases"].as_object().into_iter().flatten()
    }

    fn write_alias(&self) -> Option<&str> {
        let mut aliases = self.aliases();
        let write = aliases.find(|(_, options)| options["is_write_index"] == true);
        write.map(|(name, _)| name.as_str())
    }

    /// The indices behind an alias, and the one that is written to.
    async fn behind(&self, alias: &str) -> Result<(Vec<String>, Option<String>), Error> {
        let answer = self
            .server
            .send(Request::get("/_alias/{alias}", &[alias]))
            .await?;
        let Some(Value::Object(indices)) = answer.found() else {
            return Ok((Vec::new(), None));
        };
        let option = |of: &Value| of["aliases"][alias]["is_write_index"].as_bool();
        let written = indices.iter().find(|(_, of)| option(of) == Some(true));
        // A single index is written to unless it says that it is not.
        let single = indices.iter().next();
        let single = single.filter(|(_, of)| indices.len() == 1 && option(of).is_none());
        let written = written.or(single).map(|(name, _)| name.clone());
        Ok((indices.keys().cloned().collect(), written))
    }

    async fn live(&self, name: &str) -> Result<Option<Live>, Error> {
        let answer = self.server.send(Request::get("/{index}", &[name])).await?;
        let Some(mut found) = answer.found() else {
            return Ok(None);
        };
        let health = Request::get("/_cluster/health/{index}", &[name]).with("timeout", "1s");
        let health = self.server.send(health).await?.json();
        let mut index = found[name].take();
        Ok(Some(Live {
            name: name.to_owned(),
            is_red: health["status"] == "red",
            settings: index["settings"].take(),
            mappings: index["mappings"].take(),
            aliases: index["aliases"].take(),
        }))
    }

    fn creation(&self) -> Change {
        let name = self.name.clone();
        Change {
            kind: Kind::Create { name },
            fields: normal_form::subset(&self.body, &Value::Null),
        }
    }

    fn changes(&self, live: &Live) -> Result<Vec<Change>, Error> {
        let index = live.name.clone();
        let mapping = mapping::drift(&self.body["mappings"], &live.mappings);
        let wanted = normal_form::settings(&self.body["settings"]);
        let found = normal_form::settings(&live.settings);
        let (possible, frozen) = settings::drift(&wanted, &found);
        let impossible: Vec<_> = frozen.into_iter().chain(mapping.impossible).collect();
        if !impossible.is_empty() {
            let differences = sentence(&impossible);
            return Err(Error::NeedsReindex { index, differences });
        }
        let mut changes = Vec::new();
        if !mapping.possible.is_empty() {
            let kind = Kind::Mapping {
                index: index.clone(),
            };
            changes.push(Change {
                kind,
                fields: mapping.possible,
            });
        }
        if !possible.is_empty() {
            let keys = possible.iter().map(|field| field.path.clone());
            let settings = keys.filter_map(|key| wanted.get_key_value(&key));
            let settings = settings
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let kind = Kind::Settings {
                index: index.clone(),
                settings,
            };
            changes.push(Change {
                kind,
                fields: possible,
            });
        }
        changes.extend(self.missing_aliases(live));
        Ok(changes)
    }

    fn missing_aliases(&self, live: &Live) -> Option<Change> {
        let (aliases, fields) = aliases::missing(&self.body["aliases"], &live.aliases);
        let any = !aliases.is_empty();
        let index = live.name.clone();
        let kind = Kind::Aliases { index, aliases };
        any.then_some(Change { kind, fields })
    }

    fn adding(&self, index: &str, alias: &str) -> Value {
        let mut action = self.body["aliases"][alias].clone();
        if !action.is_object() {
            action = json!({});
        }
        action["index"] = index.into();
        action["alias"] = alias.into();
        json!({ "add": action })
    }
}

fn sentence(fields: &[FieldChange]) -> String {
    let show = |side: &Option<String>| side.clone().unwrap_or_else(|| "unset".to_owned());
    let parts = fields.iter().map(|field| {
        let (before, after) = (show(&field.before), show(&field.after));
        format!("{} is {before} and should be {after}", field.path)
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::opensearch::nowhere::nowhere;

    fn index() -> Index {
        Index {
            server: nowhere(),
            name: "logs-000001".to_owned(),
            body: json!({
                "settings": {"number_of_shards": 1, "refresh_interval": "5s"},
                "mappings": {"properties": {"level": {"type": "keyword"}}},
                "aliases": {"logs": {"is_write_index": true}},
            }),
        }
    }

    fn live(name: &str) -> Live {
        Live {
            name: name.to_owned(),
            is_red: false,
            settings: json!({"index": {"number_of_shards": "1", "refresh_interval": "5s"}}),
            mappings: json!({"properties": {"level": {"type": "keyword"}}}),
            aliases: json!({"logs": {"is_write_index": true}}),
        }
    }

    fn said(observed: &Observed) -> String {
        match index().plan(observed) {
            Ok(Plan::Current) => "current".to_owned(),
            Ok(Plan::InProgress(waiting)) => format!("waits for {}", waiting.what),
            Ok(Plan::Change(changes)) => {
                let changes = changes.into_iter().map(Difference::from);
                let lines = changes.map(|change| format!("{} {}", change.verb, change.target));
                lines.collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        }
    }

    fn with(live: Live) -> Observed {
        Observed {
            live: Some(live),
            ..Observed::default()
        }
    }

    #[test]
    fn every_state_has_its_plan() {
        assert_eq!(said(&Observed::default()), "create index logs-000001");
        assert_eq!(said(&with(live("logs-000007"))), "current");
        let red = Live {
            is_red: true,
            ..live("logs-000001")
        };
        let waits = "waits for index logs-000001: a primary shard is not assigned";
        assert_eq!(said(&with(red)), waits);
        let bare = Live {
            aliases: json!({}),
            mappings: json!({}),
            ..live("logs-000001")
        };
        assert_eq!(
            said(&with(bare)),
            "update mapping of index logs-000001, update aliases of index logs-000001"
        );
    }

    #[test]
    fn what_cannot_be_mended_is_said() {
        let taken = Observed {
            holder: Some("an index"),
            ..Observed::default()
        };
        let expected = "logs is an index, so it cannot be the write alias of logs-000001";
        assert_eq!(said(&taken), expected);
        let behind = vec!["logs-000001".to_owned(), "logs-000002".to_owned()];
        let unwritten = Observed {
            behind,
            ..Observed::default()
        };
        let expected = "alias logs has no write index among logs-000001, logs-000002";
        assert_eq!(said(&unwritten), expected);
        let settings = json!({"index": {"number_of_shards": "3", "refresh_interval": "5s"}});
        let other = Live {
            settings,
            ..live("logs-000001")
        };
        assert_eq!(
            said(&with(other)),
            "index logs-000001 needs rollover or reindex: \
             index.number_of_shards is 3 and should be 1"
        );
    }
}

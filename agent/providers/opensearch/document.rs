//! One document with a fixed id, behind an index or an alias.

use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{Request, Server};
use super::error::Error;
use super::normal_form;
use crate::engine::{Difference, FieldChange, Plan, Resource, Verb};

/// A document that is made once; afterwards our fields of it are kept.
///
/// It is looked for in every index behind an alias, because the write index moves on. What a
/// pipeline makes of it is what is stored: fields that a pipeline rewrites must be given as rewritten.
pub struct Document {
    /// Where.
    pub server: Arc<Server>,
    /// The index or alias. It is never made by writing to it.
    pub index: String,
    /// Its id.
    pub id: String,
    /// The fields that are ours.
    pub body: Value,
}

/// What is behind the name, and the document if it is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    is_concrete: bool,
    hits: Vec<Hit>,
}

/// One copy of the document.
#[derive(Debug, Clone, PartialEq)]
struct Hit {
    index: String,
    seq_no: u64,
    primary_term: u64,
    source: Value,
}

/// What is done to the document.
#[derive(Debug, Clone)]
pub enum Change {
    /// It is made.
    Create {
        /// Its name, for people.
        target: String,
        /// Its fields.
        fields: Vec<FieldChange>,
        /// Whether the name is an index, not an alias.
        is_concrete: bool,
    },
    /// Our fields are set again, unless it changed since.
    Update {
        /// Its name, for people.
        target: String,
        /// The fields that differ.
        fields: Vec<FieldChange>,
        /// The index that it is in.
        index: String,
        /// Its sequence number and primary term when it was read.
        seen: (u64, u64),
    },
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        let (verb, target, fields) = match change {
            Change::Create { target, fields, .. } => (Verb::Create, target, fields),
            Change::Update { target, fields, .. } => (Verb::Update, target, fields),
        };
        Self {
            verb,
            target,
            fields,
        }
    }
}

impl Resource for Document {
    type Observed = Observed;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let name = Request::get("/_resolve/index/{index}", &[&self.index]);
        let name = self.server.send(name).await?.json();
        let question = json!({ "query": { "ids": { "values": [self.id] } } });
        let search = Request::ask("/{index}/_search", &[&self.index], question)
            .with("ignore_unavailable", true)
            .with("seq_no_primary_term", true);
        let found = self.server.send(search).await?.found();
        let hits = found
            .as_ref()
            .and_then(|found| found["hits"]["hits"].as_array());
        let hits = hits.into_iter().flatten().map(hit);
        Ok(Observed {
            is_concrete: name["indices"][0]["name"] == self.index.as_str(),
            hits: hits.collect::<Result<_, _>>()?,
        })
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Change>, Error> {
        let target = format!("document {}/{}", self.index, self.id);
        let change = match observed.hits.as_slice() {
            [] => Change::Create {
                target,
                fields: normal_form::subset(&self.body, &Value::Null),
                is_concrete: observed.is_concrete,
            },
            [hit] => {
                let fields = normal_form::subset(&self.body, &hit.source);
                if fields.is_empty() {
                    return Ok(Plan::Current);
                }
                Change::Update {
                    target,
                    fields,
                    index: hit.index.clone(),
                    seen: (hit.seq_no, hit.primary_term),
                }
            }
            several => {
                return Err(Error::Ambiguous {
                    index: self.index.clone(),
                    id: self.id.clone(),
                    count: several.len(),
                });
            }
        };
        Ok(Plan::Change(vec![change]))
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let request = match change {
            Change::Create { is_concrete, .. } => {
                let names = [self.index.as_str(), &self.id];
                Request::put("/{index}/_doc/{id}", &names, self.body.clone())
                    .with("op_type", "create")
                    // Else a name without an index would become one, and never again an alias.
                    .with("require_alias", !is_concrete)
            }
            Change::Update {
                index,
                seen: (seq_no, primary_term),
                ..
            } => {
                let part = json!({ "doc": self.body });
                Request::post("/{index}/_update/{id}", &[&index, &self.id], part)
                    .with("if_seq_no", seq_no)
                    .with("if_primary_term", primary_term)
            }
        };
        // Searchable at once: waiting for the index's own refresh takes seconds for one document.
        self.server.send(request.with("refresh", "true")).await?;
        Ok(())
    }
}

fn hit(hit: &Value) -> Result<Hit, Error> {
    let text = hit["_index"].as_str();
    let number = |key: &str| hit[key].as_u64();
    let (Some(index), Some(seq_no), Some(primary_term)) =
        (text, number("_seq_no"), number("_primary_term"))
    else {
        return Err(Error::Unexpected {
            what: "_index, _seq_no and _primary_term of a document",
        });
    };
    Ok(Hit {
        index: index.to_owned(),
        seq_no,
        primary_term,
        source: hit["_source"].clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::opensearch::nowhere::nowhere;

    fn said(sources: &[Value]) -> String {
        let document = Document {
            server: nowhere(),
            index: "logs".to_owned(),
            id: "one".to_owned(),
            body: json!({"level": "info", "event": {"action": "installation"}}),
        };
        let hits = sources.iter().map(|source| Hit {
            index: "logs-000001".to_owned(),
            seq_no: 0,
            primary_term: 1,
            source: source.clone(),
        });
        let observed = Observed {
            is_concrete: false,
            hits: hits.collect(),
        };
        match document.plan(&observed) {
            Ok(Plan::Change(changes)) => {
                let change = Difference::from(changes[0].clone());
                let fields = change.fields.iter().map(|field| field.path.as_str());
                let fields = fields.collect::<Vec<_>>().join(" ");
                format!("{} {}: {fields}", change.verb, change.target)
            }
            Ok(plan) => format!("{plan:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn our_fields_are_kept_and_others_left_alone() {
        let stored = json!({"level": "info", "event": {"action": "installation", "ingested": 1}});
        let drifted = json!({"level": "warn", "event": {"action": "installation"}});
        assert_eq!(said(&[]), "create document logs/one: event.action level");
        assert_eq!(said(std::slice::from_ref(&stored)), "Current");
        assert_eq!(said(&[drifted]), "update document logs/one: level");
        assert_eq!(
            said(&[stored.clone(), stored]),
            "logs has 2 documents with the id one"
        );
    }
}

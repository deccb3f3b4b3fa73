//! A datasource.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::client::{Request, Server};
use super::error::Error;
use crate::engine::{Difference, Extent, FieldChange, Plan, Resource, Verb, differences};
use crate::secret::Credential;

/// A datasource with a fixed uid.
///
/// Grafana never shows a secret: that one is set can be seen, another value cannot.
pub struct Datasource {
    /// Where.
    pub server: Arc<Server>,
    /// Its uid, to which dashboards and alerts refer.
    pub uid: String,
    /// What people see.
    pub name: String,
    /// The document in Grafana's own words, without secrets.
    pub body: Value,
    /// Its `secureJsonData`.
    pub secrets: BTreeMap<String, Credential>,
}

/// What has our uid, or else our name.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    /// Nothing.
    Absent,
    /// Another datasource has our name: its uid.
    NameTaken(String),
    /// The datasource.
    Present(Value),
}

/// What is done to the datasource.
#[derive(Debug, Clone)]
pub struct Change {
    difference: Difference,
    /// The version that is replaced; none to make it.
    version: Option<u64>,
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        change.difference
    }
}

impl Resource for Datasource {
    type Observed = Observed;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let by_uid = Request::get("/api/datasources/uid/{uid}", &[&self.uid]);
        if let Some(found) = self.server.send(by_uid).await?.found() {
            return Ok(Observed::Present(found));
        }
        let by_name = Request::get("/api/datasources/name/{name}", &[&self.name]);
        Ok(match self.server.send(by_name).await?.found() {
            None => Observed::Absent,
            // Somebody made it between the two questions.
            Some(found) if found["uid"] == self.uid.as_str() => Observed::Present(found),
            Some(holder) => {
                Observed::NameTaken(holder["uid"].as_str().unwrap_or_default().to_owned())
            }
        })
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Change>, Error> {
        let none = Value::Null;
        let (verb, found) = match observed {
            Observed::Absent => (Verb::Create, &none),
            Observed::Present(found) => (Verb::Update, found),
            Observed::NameTaken(holder) => {
                return Err(Error::NameTaken {
                    name: self.name.clone(),
                    holder: holder.clone(),
                    uid: self.uid.clone(),
                });
            }
        };
        let fields = self.fields(found);
        if verb == Verb::Update && fields.is_empty() {
            return Ok(Plan::Current);
        }
        let target = format!("datasource {}", self.uid);
        if found["readOnly"] == true {
            return Err(Error::Provisioned {
                what: target,
                fields: paths(&fields),
            });
        }
        let difference = Difference {
            verb,
            target,
            fields,
        };
        let version = (verb == Verb::Update).then(|| found["version"].as_u64().unwrap_or_default());
        Ok(Plan::Change(vec![Change {
            difference,
            version,
        }]))
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let mut document = self.document();
        let mut secrets = Map::new();
        for (key, credential) in &self.secrets {
            let secret = self.server.secret(credential).await?;
            secrets.insert(key.clone(), secret.expose().into());
        }
        document.insert("secureJsonData".to_owned(), Value::Object(secrets));
        let request = match change.version {
            None => Request::post("/api/datasources", &[], Value::Object(document)),
            Some(version) => {
                document.insert("version".to_owned(), version.into());
                let document = Value::Object(document);
                Request::put("/api/datasources/uid/{uid}", &[&self.uid], document)
            }
        };
        self.server.send(request).await?;
        Ok(())
    }
}

impl Datasource {
    /// What is sent, but for the secrets.
    fn document(&self) -> Map<String, Value> {
        let mut document = self.body.as_object().cloned().unwrap_or_default();
        document.insert("uid".to_owned(), self.uid.as_str().into());
        document.insert("name".to_owned(), self.name.as_str().into());
        document
    }

    fn fields(&self, found: &Value) -> Vec<FieldChange> {
        let mut ours = self.document();
        // Grafana stores the old name of this type under the new one.
        if ours.get("type").is_some_and(|kind| kind == "postgres") {
            ours.insert("type".to_owned(), "grafana-postgresql-datasource".into());
        }
        let mut fields = differences(&Value::Object(ours), found, Extent::Named);
        let unset = self.secrets.keys();
        let unset = unset.filter(|key| found["secureJsonFields"][key.as_str()] != true);
        fields.extend(unset.map(|key| FieldChange {
            path: format!("secureJsonData.{key}"),
            before: None,
            after: None,
            sensitive: true,
        }));
        fields
    }
}

fn paths(fields: &[FieldChange]) -> String {
    let paths: Vec<_> = fields.iter().map(|field| field.path.as_str()).collect();
    paths.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::grafana::nowhere::nowhere;
    use crate::secret::Sensitive;
    use serde_json::json;

    fn said(observed: &Observed) -> String {
        let password = Credential::Plain(Sensitive::new("hidden"));
        let datasource = Datasource {
            server: nowhere(),
            uid: "pg".to_owned(),
            name: "PostgreSQL".to_owned(),
            body: json!({"type": "postgres", "access": "proxy", "jsonData": {"sslmode": "disable"}}),
            secrets: BTreeMap::from([("password".to_owned(), password)]),
        };
        match datasource.plan(observed) {
            Ok(Plan::Change(changes)) => {
                let Change {
                    difference,
                    version,
                } = &changes[0];
                assert!(!format!("{difference:?}").contains("hidden"));
                format!(
                    "{} {}, version {version:?}",
                    difference.verb,
                    paths(&difference.fields)
                )
            }
            Ok(plan) => format!("{plan:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn stored() -> Value {
        json!({"id": 7, "uid": "pg", "name": "PostgreSQL", "type": "grafana-postgresql-datasource",
            "access": "proxy", "jsonData": {"sslmode": "disable", "theirs": 1}, "readOnly": false,
            "secureJsonFields": {"password": true}, "version": 3})
    }

    #[test]
    fn every_state_has_its_plan() {
        let created = said(&Observed::Absent);
        assert_eq!(
            created,
            "create access, jsonData.sslmode, name, type, uid, secureJsonData.password, version None"
        );
        assert_eq!(said(&Observed::Present(stored())), "Current");
        let mut drifted = stored();
        drifted["jsonData"]["sslmode"] = json!("require");
        drifted["secureJsonFields"] = json!({});
        let both = "jsonData.sslmode, secureJsonData.password";
        let expected = format!("update {both}, version Some(3)");
        assert_eq!(said(&Observed::Present(drifted.clone())), expected);
        drifted["readOnly"] = json!(true);
        let expected = format!("datasource pg is provisioned from files, and differs: {both}");
        assert_eq!(said(&Observed::Present(drifted)), expected);
        let expected = "the name \"PostgreSQL\" belongs to the datasource with the uid x, not pg";
        assert_eq!(said(&Observed::NameTaken("x".to_owned())), expected);
    }
}

//! The laws on OpenSearch 3 without and OpenSearch 2 with TLS and users.

use std::sync::Arc;

use firstlight::engine::Class;
use firstlight::providers::opensearch::{
    Definition, DefinitionKind, Document, Gate, Index, SearchCheck, Server,
};
use firstlight::secret::Credential;
use serde_json::json;
use testbed::{Proxy, unique};

use crate::law;
use crate::opensearch_bed::{Bed, connect};

#[tokio::test]
async fn component_template() {
    for bed in Bed::both() {
        let name = unique("component");
        let make = |name: &str| Definition {
            server: bed.server(),
            kind: DefinitionKind::ComponentTemplate,
            name: name.to_owned(),
            body: json!({
                "template": {
                    "settings": {"number_of_shards": 1, "index.codec": "best_compression"},
                    "mappings": {"dynamic": false, "properties": {
                        "level": {"type": "keyword", "ignore_above": 64},
                        "node": {"type": "object", "properties": {"name": {"type": "keyword"}}},
                    }},
                    "aliases": {"some": {"routing": "1"}},
                },
                "_meta": {"managed_by": "test"},
            }),
        };
        let path = format!("/_component_template/{name}");
        law::fresh(make(&name)).await;
        let changes = law::changes(make(&name)).await;
        assert_eq!(changes, [format!("create component template {name}")]);
        bed.no_write(|| make(&name)).await;

        let drifted = json!({"template": {"settings": {"number_of_shards": 2, "hidden": true}}});
        bed.put(&path, drifted).await;
        let repaired = law::changes(make(&name)).await;
        assert_eq!(repaired, [format!("update component template {name}")]);

        law::cut_short(|polls| make(&format!("{name}-{polls}"))).await;
        law::two_at_once(|| make(&format!("{name}-two"))).await;
        bed.delete(&format!("{path}*")).await;
    }
}

#[tokio::test]
async fn index_template() {
    for bed in Bed::both() {
        let name = unique("template");
        let make = |name: &str| Definition {
            server: bed.server(),
            kind: DefinitionKind::IndexTemplate,
            name: name.to_owned(),
            body: json!({
                "index_patterns": format!("{name}-x-*"),
                "priority": 300,
                "template": {"settings": {"index": {"number_of_replicas": 0}}, "mappings": {}},
            }),
        };
        let path = format!("/_index_template/{name}");
        law::fresh(make(&name)).await;
        law::changes(make(&name)).await;
        bed.no_write(|| make(&name)).await;

        let drifted = json!({"index_patterns": [format!("{name}-x-*")], "priority": 301});
        bed.put(&path, drifted).await;
        law::changes(make(&name)).await;

        law::cut_short(|polls| make(&format!("{name}-{polls}"))).await;
        law::two_at_once(|| make(&format!("{name}-two"))).await;

        let refused = Definition {
            body: json!({"index_patterns": [format!("{name}-y-*")], "composed_of": ["no-such"]}),
            ..make(&format!("{name}-bad"))
        };
        let (class, said, _) = law::fails(refused).await;
        assert_eq!(class, Class::Invalid);
        assert!(said.contains("invalid_index_template_exception"), "{said}");
        assert!(said.contains("no-such"), "{said}");
        bed.delete(&format!("{path}*")).await;
    }
}

#[tokio::test]
async fn pipeline() {
    for bed in Bed::both() {
        let name = unique("pipeline");
        // The small OpenSearch 2 of the test bed has no processors.
        let make = |name: &str| Definition {
            server: bed.server(),
            kind: DefinitionKind::Pipeline,
            name: name.to_owned(),
            body: json!({"description": "does nothing", "processors": []}),
        };
        let path = format!("/_ingest/pipeline/{name}");
        law::fresh(make(&name)).await;
        law::changes(make(&name)).await;
        bed.no_write(|| make(&name)).await;

        bed.put(&path, json!({"description": "drifted", "processors": []}))
            .await;
        law::changes(make(&name)).await;

        law::cut_short(|polls| make(&format!("{name}-{polls}"))).await;
        law::two_at_once(|| make(&format!("{name}-two"))).await;
        bed.delete(&format!("{path}*")).await;
    }
}

fn first_index(server: Arc<Server>, alias: &str) -> Index {
    Index {
        server,
        name: format!("{alias}-000001"),
        body: json!({
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "2s"},
            "mappings": {"properties": {
                "level": {"type": "keyword", "index": true},
                "node": {"type": "object", "properties": {"name": {"type": "keyword"}}},
            }},
            "aliases": {alias: {"is_write_index": true}},
        }),
    }
}

#[tokio::test]
async fn index_behind_a_write_alias() {
    for bed in Bed::both() {
        let alias = unique("index");
        let first = format!("{alias}-000001");
        let make = |alias: &str| first_index(bed.server(), alias);
        law::fresh(make(&alias)).await;
        let changes = law::changes(make(&alias)).await;
        assert_eq!(changes, [format!("create index {first}")]);
        bed.no_write(|| make(&alias)).await;

        bed.put(
            &format!("/{first}/_settings"),
            json!({"refresh_interval": "9s"}),
        )
        .await;
        let action = json!({"remove": {"index": first, "alias": alias}});
        bed.post("/_aliases", json!({"actions": [action]})).await;
        let mut wider = make(&alias);
        wider.body["mappings"]["properties"]["added"] = json!({"type": "long"});
        let repaired = law::changes(wider).await;
        let expected = ["mapping", "settings", "aliases"];
        assert_eq!(
            repaired,
            expected.map(|of| format!("update {of} of index {first}"))
        );

        law::cut_short(|polls| make(&format!("{alias}-{polls}"))).await;
        law::two_at_once(|| make(&format!("{alias}-two"))).await;
        bed.delete(&format!("/{alias}-*")).await;
    }
}

#[tokio::test]
async fn index_that_was_rolled_over_is_kept_where_the_alias_leads() {
    for bed in Bed::both() {
        let alias = unique("rolled");
        law::changes(first_index(bed.server(), &alias)).await;
        bed.post(
            &format!("/{alias}/_rollover"),
            json!({"settings": {"number_of_replicas": 0}}),
        )
        .await;
        bed.delete(&format!("/{alias}-000001")).await;
        let second = format!("{alias}-000002");
        let changes = law::changes(first_index(bed.server(), &alias)).await;
        assert_eq!(
            changes,
            [
                format!("update mapping of index {second}"),
                format!("update settings of index {second}")
            ]
        );
        bed.no_write(|| first_index(bed.server(), &alias)).await;
        bed.delete(&format!("/{alias}-*")).await;
    }
}

#[tokio::test]
async fn index_that_cannot_be_mended_is_named() {
    for bed in Bed::both() {
        let alias = unique("taken");
        bed.put(&format!("/{alias}"), json!({})).await;
        let (class, said, hints) = law::fails(first_index(bed.server(), &alias)).await;
        assert_eq!(class, Class::Diverged);
        assert!(
            said.starts_with(&format!("{alias} is an index, so it cannot be")),
            "{said}"
        );
        assert!(hints[0].contains("reindex"), "{hints:?}");
        bed.delete(&format!("/{alias}")).await;

        let mut other = first_index(bed.server(), &alias);
        law::changes(first_index(bed.server(), &alias)).await;
        other.body["settings"]["number_of_shards"] = json!(2);
        other.body["mappings"]["properties"]["level"]["type"] = json!("long");
        let (class, said, _) = law::fails(other).await;
        assert_eq!(class, Class::Diverged);
        assert_eq!(
            said,
            format!(
                "index {alias}-000001 needs rollover or reindex: index.number_of_shards is 1 and \
                 should be 2, mappings.properties.level.type is keyword and should be long"
            )
        );
        bed.delete(&format!("/{alias}-*")).await;
    }
}

#[tokio::test]
async fn document() {
    for bed in Bed::both() {
        let alias = unique("document");
        law::changes(first_index(bed.server(), &alias)).await;
        let make = |id: &str| Document {
            server: bed.server(),
            index: alias.clone(),
            id: id.to_owned(),
            body: json!({"level": "info", "node": {"name": "a"}}),
        };
        law::fresh(make("one")).await;
        law::changes(make("one")).await;
        let path = format!("/{alias}-000001/_doc/one");
        let read = || bed.get(&path);
        let before = read().await;
        law::unchanged(make("one")).await;
        assert_eq!(
            before,
            read().await,
            "_version and _seq_no are those of before"
        );
        assert_eq!(before["_version"], 1);

        let drifted = json!({"doc": {"level": "warn", "foreign": 1}});
        bed.post(&format!("/{alias}/_update/one?refresh=wait_for"), drifted)
            .await;
        law::changes(make("one")).await;
        let source = json!({"level": "info", "foreign": 1, "node": {"name": "a"}});
        assert_eq!(read().await["_source"], source);

        law::cut_short(|polls| make(&format!("cut-{polls}"))).await;
        law::two_at_once(|| make("two")).await;
        let two = bed.get(&format!("/{alias}-000001/_doc/two")).await;
        assert_eq!(two["_version"], 1, "it was written once");

        // After a rollover it is still found, and not written again.
        bed.post(
            &format!("/{alias}/_rollover"),
            json!({"settings": {"number_of_replicas": 0}}),
        )
        .await;
        law::unchanged(make("one")).await;
        bed.delete(&format!("/{alias}-*")).await;
    }
}

#[tokio::test]
async fn document_never_makes_an_index() {
    for bed in Bed::both() {
        let index = unique("absent");
        let make = || Document {
            server: bed.server(),
            index: index.clone(),
            id: "one".to_owned(),
            body: json!({"level": "info"}),
        };
        law::fresh(make()).await;
        let (class, waits_for) = law::last_seen(make()).await;
        assert_eq!(class, Class::Unavailable);
        assert!(
            waits_for.contains("index_not_found_exception"),
            "{waits_for}"
        );
        let behind = bed.get(&format!("/_resolve/index/{index}")).await;
        assert_eq!(behind["indices"], json!([]));

        // To a plain index it is written as well.
        let settings = json!({"settings": {"number_of_replicas": 0}});
        bed.put(&format!("/{index}"), settings).await;
        law::changes(make()).await;
        bed.delete(&format!("/{index}")).await;
    }
}

#[tokio::test]
async fn search_check() {
    for bed in Bed::both() {
        let alias = unique("check");
        let make = |at_least| SearchCheck {
            server: bed.server(),
            index: alias.clone(),
            query: Some(json!({"term": {"level": "info"}})),
            at_least,
        };
        let (class, waits_for) = law::last_seen(make(1)).await;
        assert_eq!(
            (class, waits_for),
            (Class::Unmet, format!("{alias} does not exist"))
        );
        law::changes(first_index(bed.server(), &alias)).await;
        let doc = format!("/{alias}/_doc/1?refresh=wait_for");
        bed.put(&doc, json!({"level": "info"})).await;
        law::unchanged(make(1)).await;
        let (class, waits_for) = law::last_seen(make(2)).await;
        let said = format!("{alias} has 1 matching documents, not 2");
        assert_eq!((class, waits_for), (Class::Unmet, said));
        let wrong = SearchCheck {
            query: Some(json!({"no_such": {}})),
            ..make(1)
        };
        let (class, said, _) = law::fails(wrong).await;
        assert_eq!(class, Class::Invalid, "{said}");
        bed.delete(&format!("/{alias}-*")).await;
    }
}

#[tokio::test]
async fn errors() {
    for bed in Bed::both() {
        law::unchanged(Gate {
            server: bed.server(),
        })
        .await;
        let (scheme, address) = bed.at.url.split_once("://").expect("a URL");
        let mut proxy = Proxy::start(address).await.expect("a proxy");
        let port = proxy.address().port();
        let url = format!("{scheme}://localhost:{port}");
        let server = Arc::new(connect(&bed.at, &url, bed.at.password.as_deref()));
        let gate = || Gate {
            server: Arc::clone(&server),
        };
        law::unchanged(gate()).await;
        proxy.refuse().await;
        proxy.cut().await;
        law::waits(gate()).await;
        law::waits(Definition {
            server: Arc::clone(&server),
            kind: DefinitionKind::Pipeline,
            name: "any".to_owned(),
            body: json!({}),
        })
        .await;
        proxy.allow().await.expect("the port is still free");
        law::unchanged(gate()).await;
    }
}

#[tokio::test]
async fn a_wrong_login_ends_the_step_with_a_hint() {
    let [_, bed] = Bed::both();
    let gate = |password: Option<&str>| Gate {
        server: Arc::new(connect(&bed.at, &bed.at.url, password)),
    };
    let (class, said, hints) = law::fails(gate(Some("wrong"))).await;
    assert_eq!(class, Class::Invalid);
    assert_eq!(
        said,
        format!("OpenSearch at {} refuses the login", bed.at.url)
    );
    assert_eq!(hints, ["check the user and the values"]);
    let (class, said, _) = law::fails(gate(None)).await;
    assert_eq!(class, Class::Invalid);
    assert!(
        said.ends_with("wants a login, and the bundle gives none"),
        "{said}"
    );
}

#[tokio::test]
async fn an_unknown_authority_ends_the_step_with_a_hint() {
    let [_, bed] = Bed::both();
    let login = bed.at.user.as_deref().zip(bed.at.password.as_deref());
    let login: Option<(Credential, Credential)> =
        login.map(|(user, password)| (law::plain(user), law::plain(password)));
    let server = Server::new(&bed.at.url, login, None, law::no_secrets());
    let (class, said, hints) = law::fails(Gate {
        server: Arc::new(server),
    })
    .await;
    assert_eq!(class, Class::Invalid, "{said}");
    assert!(said.ends_with("is not accepted"), "{said}");
    assert!(hints[0].contains("tls.ca"), "{hints:?}");
}

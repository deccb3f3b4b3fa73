//! Search over folders and dashboards.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use serde_json::{Value, json};

use crate::dashboards::Dashboard;
use crate::errors::{Answer, Refusal, ok, ok_utf8};
use crate::folders::Folder;
use crate::state::{App, Store, slug};

/// The query of a search; a key may come several times.
struct Filter(Vec<(String, String)>);

impl Filter {
    fn all<'a>(&'a self, key: &str) -> Vec<&'a str> {
        let named = self.0.iter().filter(|(name, _)| name == key);
        named.map(|(_, value)| value.as_str()).collect()
    }

    fn one<'a>(&'a self, key: &str) -> &'a str {
        self.all(key).first().copied().unwrap_or_default()
    }

    /// Whether a list that was given at all has one of these.
    fn allows(&self, key: &str, candidates: &[&str]) -> bool {
        let wanted = self.all(key);
        wanted.is_empty()
            || candidates
                .iter()
                .any(|candidate| wanted.contains(candidate))
    }

    fn number(&self, key: &str, default: usize) -> usize {
        self.one(key)
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .unwrap_or(default)
    }

    fn accepts(&self, kind: &str, id: i64, uid: &str, title: &str) -> bool {
        let kinds = self.all("type");
        let known = ["dash-db", "dash-folder"];
        let any_kind = !kinds.iter().any(|wanted| known.contains(wanted));
        (any_kind || kinds.contains(&kind))
            && title
                .to_lowercase()
                .contains(&self.one("query").to_lowercase())
            && self.allows("dashboardUIDs", &[uid])
            && self.allows("dashboardIds", &[&id.to_string()])
            && self.one("starred") != "true"
    }
}

struct Hit {
    title: String,
    view: Value,
}

/// To a search all folders are in General, nested ones in their parent as well: recorded so.
fn folder_hit(store: &Store, folder: &Folder, filter: &Filter) -> Option<Hit> {
    let found = filter.accepts("dash-folder", folder.id, &folder.uid, &folder.title)
        && filter.all("tag").is_empty()
        && filter.allows("folderUIDs", &[&folder.parent, "general"])
        && filter.allows("folderIds", &["0"]);
    let mut view = json!({
        "id": folder.id, "uid": folder.uid, "title": folder.title, "slug": "",
        "uri": format!("db/{}", slug(&folder.title)), "url": folder.url(), "type": "dash-folder",
        "tags": [], "isStarred": false, "sortMeta": 0
    });
    if let Some(parent) = store.folder(&folder.parent) {
        view["folderUid"] = json!(parent.uid);
        view["folderTitle"] = json!(parent.title);
    }
    found.then(|| Hit {
        title: folder.title.clone(),
        view,
    })
}

fn dashboard_hit(store: &Store, dashboard: &Dashboard, filter: &Filter) -> Option<Hit> {
    let folder = store.folder(&dashboard.folder);
    let (number, place) = folder.map_or((0, "general"), |folder| (folder.id, folder.uid.as_str()));
    let mut tags = dashboard.tags();
    let found = filter.accepts("dash-db", dashboard.id, &dashboard.uid, &dashboard.title)
        && filter
            .all("tag")
            .into_iter()
            .all(|wanted| tags.iter().any(|tag| tag == wanted))
        && filter.allows("folderUIDs", &[place])
        && filter.allows("folderIds", &[&number.to_string()]);
    if filter.one("sort").is_empty() {
        tags.sort();
    }
    let mut view = json!({
        "id": dashboard.id, "uid": dashboard.uid, "title": dashboard.title, "slug": "",
        "uri": format!("db/{}", slug(&dashboard.title)), "url": dashboard.url(),
        "type": "dash-db", "tags": tags, "isStarred": false, "sortMeta": 0
    });
    if let Some(folder) = folder {
        view["folderId"] = json!(folder.id);
        view["folderUid"] = json!(folder.uid);
        view["folderTitle"] = json!(folder.title);
        view["folderUrl"] = json!(format!("/dashboards/f/{}/{}", folder.uid, folder.title));
    }
    found.then(|| Hit {
        title: dashboard.title.clone(),
        view,
    })
}

/// `GET /api/search`: folders first, each kind by title, unless a sort is asked for.
pub(crate) async fn search(
    State(app): State<App>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let filter = Filter(query);
    if !filter.all("folderUIDs").is_empty() && !filter.all("folderIds").is_empty() {
        return Err(Refusal::plain(400, "search supports UIDs or IDs, not both"));
    }
    let limit = filter.number("limit", 1000);
    if limit > 5000 {
        let message =
            "Limit is above maximum allowed (5000), use page parameter to access hits beyond limit";
        return Err(Refusal::plain(422, message));
    }
    let store = app.store();
    let folders = store
        .folders
        .iter()
        .filter_map(|folder| folder_hit(&store, folder, &filter));
    let dashboards = store
        .dashboards
        .iter()
        .filter_map(|dashboard| dashboard_hit(&store, dashboard, &filter));
    let (mut hits, mut rest): (Vec<Hit>, Vec<Hit>) = (folders.collect(), dashboards.collect());
    if !filter.one("sort").is_empty() {
        hits.append(&mut rest);
    }
    hits.sort_by(|a, b| a.title.cmp(&b.title));
    rest.sort_by(|a, b| a.title.cmp(&b.title));
    hits.append(&mut rest);
    if filter.one("sort") == "alpha-desc" {
        hits.reverse();
    }
    let skipped = limit.saturating_mul(filter.number("page", 1) - 1);
    let page = hits.into_iter().skip(skipped).take(limit);
    Ok(ok(&page.map(|hit| hit.view).collect::<Vec<Value>>()))
}

/// `GET /api/search/sorting`
pub(crate) async fn sorting() -> Answer {
    let option = |name: &str, order: &str, letters: &str| {
        json!({
            "name": name, "meta": "", "displayName": format!("Alphabetically ({letters})"),
            "description": format!("Sort results in an alphabetically {order} order")
        })
    };
    let options = [
        option("alpha-asc", "ascending", "A–Z"),
        option("alpha-desc", "descending", "Z–A"),
    ];
    Ok(ok(&json!({"sortOptions": options})))
}

/// `GET /api/dashboards/tags`: how many dashboards have each tag.
pub(crate) async fn tags(State(app): State<App>) -> Answer {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for tag in app.store().dashboards.iter().flat_map(Dashboard::tags) {
        *counts.entry(tag).or_default() += 1;
    }
    let terms = counts
        .into_iter()
        .map(|(term, count)| json!({"term": term, "count": count}));
    Ok(ok_utf8(&terms.collect::<Vec<Value>>()))
}

//! The schema that this repository carries: that it says what it is, that the page about it is
//! true, and that it does what its comments promise. All of it as a role without special rights.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use firstlight::providers::postgres::Settings;
use serde_json::Value;
use testbed::unique;
use tokio_postgres::{Client, Config, NoTls};

use super::{Bed, connect, migrations, settings};
use crate::law;

const PAGE: &str = "docs/schema.md";
const BEGIN: &str = "<!-- drawn from the database -->\n";
const END: &str = "<!-- end of the drawing -->";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A database with the schema, and a session of the role that owns both. It is no superuser.
async fn lens(bed: &Bed) -> Client {
    let (database, owner) = (unique("lens"), unique("owner"));
    law::settles(bed.role(&owner, "password")).await;
    law::settles(bed.database_of(&database, &owner)).await;
    let as_owner = Settings {
        user: law::plain(&owner),
        password: law::plain("password"),
        ..settings(&bed.at)
    };
    law::settles(migrations::lens(connect(as_owner), &database)).await;
    let mut config = Config::new();
    config
        .host(&bed.at.host)
        .port(bed.at.port)
        .user(&owner)
        .password("password")
        .dbname(&database);
    let (client, socket) = config.connect(NoTls).await.expect("the owner is let in");
    tokio::spawn(socket);
    client
}

/// The first column of all rows.
async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {:?}", error.as_db_error()));
    rows.iter().map(|row| row.get(0)).collect()
}

async fn one(client: &Client, sql: &str) -> String {
    texts(client, sql).await.join(" | ")
}

async fn run(client: &Client, sql: &str) {
    let ran = client.batch_execute(sql).await;
    ran.unwrap_or_else(|error| panic!("{sql}: {:?}", error.as_db_error()));
}

/// The code of the server's refusal.
async fn refused(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    let code = error.code().expect("the server refuses");
    code.code().to_owned()
}

/// Tables, not their parts.
const TABLES: &str = "SELECT c.oid, relname, obj_description(c.oid, 'pg_class') AS what \
    FROM pg_class AS c WHERE relkind IN ('r', 'p') AND NOT relispartition \
    AND relnamespace = 'public'::regnamespace";

#[tokio::test]
async fn everything_says_what_it_is_and_has_a_name_of_its_own() {
    let bed = Bed::shared();
    let lens = lens(&bed).await;
    let silent = "SELECT relname || coalesce('.' || attname, '') \
        FROM pg_class AS c LEFT JOIN pg_attribute AS a \
            ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND relkind <> 'v' \
            AND attname <> 'id' \
        WHERE relkind IN ('r', 'p', 'v') AND NOT relispartition \
          AND relnamespace = 'public'::regnamespace \
          AND (obj_description(c.oid, 'pg_class') IS NULL \
               OR attname IS NOT NULL AND col_description(c.oid, attnum) IS NULL) \
        ORDER BY 1";
    assert_eq!(one(&lens, silent).await, "");
    let silent = "SELECT proname::text FROM pg_proc \
        WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL";
    assert_eq!(one(&lens, silent).await, "");
    // A name that the server makes up may be another one on another version.
    let made_up = "SELECT conname::text FROM pg_constraint JOIN pg_class AS c ON c.oid = conrelid \
        WHERE connamespace = 'public'::regnamespace AND NOT relispartition AND contype IN ('c', 'f') \
          AND (conname !~ ('^' || relname || '_') OR conname ~ '[0-9]$')";
    assert_eq!(one(&lens, made_up).await, "");
    // Times without a zone are not times.
    let zoneless = "SELECT table_name || '.' || column_name FROM information_schema.columns \
        WHERE table_schema = 'public' AND data_type = 'timestamp without time zone'";
    assert_eq!(one(&lens, zoneless).await, "");
    let superuser = "SELECT current_setting('is_superuser')";
    assert_eq!(one(&lens, superuser).await, "off");
}

#[tokio::test]
async fn the_page_draws_the_schema_as_it_is() {
    let bed = Bed::shared();
    let drawn = draw(&lens(&bed).await).await;
    let page = std::fs::read_to_string(root().join(PAGE)).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("where the drawing begins");
    let (found, after) = rest.split_once(END).expect("where the drawing ends");
    if found == drawn {
        return;
    }
    let new = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("schema.md");
    std::fs::write(&new, format!("{before}{BEGIN}{drawn}{END}{after}")).expect("it is written");
    panic!(
        "{PAGE} does not draw the schema as it is. As it is: {}",
        new.display()
    );
}

/// A diagram of tables, keys and foreign keys, and what each table is.
async fn draw(lens: &Client) -> String {
    let keys = format!(
        "SELECT format('    %s {{%s}}', relname, (SELECT string_agg(format( \
            E'\\n        %s %s%s', \
            replace(format_type(atttypid, NULL), 'timestamp with time zone', 'timestamptz'), \
            attname, role), '' ORDER BY attnum) || E'\\n    ' \
            FROM (SELECT atttypid, attname, attnum, \
                    ' ' || string_agg(DISTINCT CASE contype WHEN 'p' THEN 'PK' WHEN 'f' THEN 'FK' \
                        ELSE 'UK' END, ', ') AS role \
                  FROM pg_attribute JOIN pg_constraint \
                    ON conrelid = attrelid AND attnum = ANY (conkey) AND contype IN ('p', 'f', 'u') \
                  WHERE attrelid = t.oid GROUP BY 1, 2, 3) AS keys)) \
         FROM ({TABLES}) AS t ORDER BY relname"
    );
    // What may be null belongs to nobody at times; what is unique there is there once at most.
    let relations = format!(
        "SELECT format('    %s %s--%s %s : %s', parent.relname, \
             CASE WHEN bool_and(attnotnull) THEN '||' ELSE '|o' END, \
             CASE WHEN EXISTS (SELECT FROM pg_constraint AS u \
                               WHERE u.conrelid = child.oid AND u.contype IN ('p', 'u') \
                                 AND u.conkey <@ fk.conkey) THEN 'o|' ELSE 'o{{' END, \
             child.relname, string_agg(attname, '_')) \
         FROM pg_constraint AS fk \
         JOIN ({TABLES}) AS child ON child.oid = fk.conrelid \
         JOIN ({TABLES}) AS parent ON parent.oid = fk.confrelid \
         JOIN pg_attribute ON attrelid = fk.conrelid AND attnum = ANY (fk.conkey) \
         WHERE fk.contype = 'f' \
         GROUP BY fk.oid, fk.conname, fk.conkey, child.oid, child.relname, parent.relname \
         ORDER BY parent.relname, child.relname, fk.conname"
    );
    let tables = format!(
        "SELECT format('| `%s` | %s |', relname, what) FROM ({TABLES}) AS t ORDER BY relname"
    );
    let views = "SELECT format('| `%s` | %s |', relname, obj_description(oid, 'pg_class')) \
        FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace ORDER BY relname";
    format!(
        "```mermaid\nerDiagram\n{}\n{}\n```\n\n| table | what it holds |\n| --- | --- |\n{}\n\n\
         | view | what it answers |\n| --- | --- |\n{}\n",
        texts(lens, &keys).await.join("\n"),
        texts(lens, &relations).await.join("\n"),
        texts(lens, &tables).await.join("\n"),
        texts(lens, views).await.join("\n"),
    )
}

#[tokio::test]
async fn a_part_is_made_for_each_month_and_takes_what_waited_for_it() {
    let bed = Bed::shared();
    let lens = lens(&bed).await;
    let parts = "SELECT count(*)::text FROM pg_inherits WHERE inhparent = 'audit_log'::regclass";
    // This month, three to come, and the one for everything else.
    assert_eq!(one(&lens, parts).await, "5");
    run(
        &lens,
        "INSERT INTO audit_log (occurred_at, actor, action, target) VALUES \
             ('2001-01-31 23:59:59.999Z', 'a', 'b', 'last of January'), \
             ('2001-02-01 00:00:00Z', 'a', 'b', 'first of February'), \
             ('2001-03-01 00:00:00Z', 'a', 'b', 'first of March'); \
         SET timezone = 'Pacific/Kiritimati';",
    )
    .await;
    let place = "SELECT format('%s: %s', tableoid::regclass, string_agg(target, ', ' ORDER BY occurred_at)) \
        FROM audit_log WHERE actor = 'a' GROUP BY tableoid ORDER BY 1";
    assert_eq!(
        one(&lens, place).await,
        "audit_log_default: last of January, first of February, first of March"
    );
    let made = "SELECT make_partition('audit_log', '2001-02-14Z')::text";
    assert_eq!(one(&lens, made).await, "true");
    assert_eq!(one(&lens, made).await, "false");
    assert_eq!(
        one(&lens, place).await,
        "audit_log_2001_02: first of February | audit_log_default: last of January, first of March"
    );
    // Also a part that was made later keeps its rows as they are.
    for sql in [
        "UPDATE audit_log SET actor = 'b'",
        "DELETE FROM audit_log_2001_02",
        "DELETE FROM audit_log_default",
    ] {
        assert_eq!(refused(&lens, sql).await, "23001", "{sql}");
    }
    let maintained =
        "SELECT format('%s +%s -%s', table_name, made, dropped) FROM maintain_partitions()";
    assert_eq!(
        one(&lens, maintained).await,
        "audit_log +0 -1 | gpu_usage_hours +0 -0"
    );
    assert_eq!(
        one(&lens, place).await,
        "audit_log_default: last of January, first of March"
    );
    run(&lens, "UPDATE partition_policies SET months_ahead = 5").await;
    assert_eq!(
        one(&lens, maintained).await,
        "audit_log +2 -0 | gpu_usage_hours +2 -0"
    );
    let next = one(&lens, "SELECT max(id)::text FROM audit_log").await;
    run(
        &lens,
        "INSERT INTO audit_log (actor, action, target) VALUES ('c', 'd', 'e')",
    )
    .await;
    assert_ne!(
        one(&lens, "SELECT max(id)::text FROM audit_log").await,
        next
    );
}

#[tokio::test]
async fn rights_hold_where_they_were_given() {
    let bed = Bed::shared();
    let lens = lens(&bed).await;
    run(
        &lens,
        "INSERT INTO clusters (name) VALUES ('east'), ('west'); \
         INSERT INTO users (subject, display_name) VALUES ('ann', 'Ann'), ('ben', 'Ben'), ('eve', 'Eve'); \
         INSERT INTO api_role_bindings (user_id, role, cluster_id, namespace, granted_at, expires_at) \
         SELECT u.id, role, c.id, namespace, now() - interval '1 hour', until \
         FROM (VALUES ('ann', 'viewer', NULL, NULL, NULL), \
                      ('ben', 'editor', 'east', 'train', NULL), \
                      ('ben', 'admin', NULL, NULL, now() - interval '1 minute'), \
                      ('eve', 'admin', NULL, NULL, NULL)) AS given (subject, role, cluster, namespace, until) \
         JOIN users AS u USING (subject) LEFT JOIN clusters AS c ON c.name = cluster; \
         UPDATE users SET disabled_at = now() WHERE subject = 'eve';",
    )
    .await;
    for (asked, expected) in [
        ("'ann', 'clusters.read'", "true"),
        ("'ann', 'clusters.read', 1", "true"),
        ("'ann', 'workloads.stop'", "false"),
        (
            "'ben', 'workloads.stop', (SELECT id FROM clusters WHERE name = 'east'), 'train'",
            "true",
        ),
        (
            "'ben', 'workloads.stop', (SELECT id FROM clusters WHERE name = 'east'), 'serve'",
            "false",
        ),
        (
            "'ben', 'workloads.stop', (SELECT id FROM clusters WHERE name = 'east')",
            "false",
        ),
        (
            "'ben', 'workloads.stop', (SELECT id FROM clusters WHERE name = 'west'), 'train'",
            "false",
        ),
        ("'ben', 'users.write'", "false"),
        ("'eve', 'users.write'", "false"),
        ("'nobody', 'clusters.read'", "false"),
    ] {
        let sql = format!("SELECT may({asked})::text");
        assert_eq!(one(&lens, &sql).await, expected, "{asked}");
    }
    let twice = "INSERT INTO api_role_bindings (user_id, role) SELECT user_id, role FROM api_role_bindings \
        WHERE cluster_id IS NULL LIMIT 1";
    assert_eq!(refused(&lens, twice).await, "23505");
}

#[tokio::test]
async fn the_overviews_count_what_is_there() {
    let bed = Bed::shared();
    let lens = lens(&bed).await;
    run(
        &lens,
        "INSERT INTO nodes (cluster_id, uid, name, status) SELECT id, gen_random_uuid(), node, status \
             FROM clusters, (VALUES ('n1', 'ready'), ('n2', 'not-ready')) AS n (node, status); \
         INSERT INTO node_conditions (node_id, type, status, changed_at) SELECT id, type, 'true', now() \
             FROM nodes, (VALUES ('Ready'), ('DiskPressure')) AS c (type) WHERE name = 'n1'; \
         INSERT INTO gpu_devices (node_id, uuid, device_index, vendor, model, memory_bytes, health) \
             SELECT id, name || '-' || i, i, 'amd', 'MI300X', 1, CASE i WHEN 0 THEN 'failed' ELSE 'healthy' END \
             FROM nodes, generate_series(0, 1) AS i; \
         INSERT INTO workloads (cluster_id, uid, namespace, kind, name, phase, created_at) \
             SELECT id, gen_random_uuid(), 'train', 'Job', 'llm', 'running', now() FROM clusters; \
         INSERT INTO pods (workload_id, node_id, uid, name, phase, restarts, created_at) \
             SELECT w.id, n.id, gen_random_uuid(), 'llm-' || n.name, 'running', 2, now() FROM workloads w, nodes n; \
         INSERT INTO gpu_allocations (pod_id, device_id, container, allocated_at) \
             SELECT p.id, d.id, 'main', now() FROM pods p JOIN gpu_devices d USING (node_id) WHERE device_index = 1; \
         INSERT INTO gpu_usage_hours (device_id, hour, workload_id, samples, utilization_percent, \
                                      utilization_max, memory_used_bytes, energy_joules) \
             SELECT d.id, '2001-01-01T00:00Z'::timestamptz + make_interval(hours => h), w.id, 60, 50, 100, 1, 1800000 \
             FROM gpu_devices d, workloads w, generate_series(0, 1) AS h WHERE device_index = 1;",
    )
    .await;
    for (sql, expected) in [
        (
            "SELECT format('%s: %s nodes, %s bad, %s gpus, %s bad, %s held, %s running', cluster, nodes, \
                nodes_in_trouble, gpus, gpus_unhealthy, gpus_held, workloads_running) FROM cluster_overview",
            "local: 2 nodes, 1 bad, 4 gpus, 2 bad, 2 held, 1 running",
        ),
        (
            "SELECT format('%s %s %s', node, gpus_present, coalesce(trouble, 'fine')) FROM node_overview ORDER BY node",
            "n1 2 DiskPressure | n2 2 fine",
        ),
        (
            "SELECT format('%s: %s pods, %s restarts, %s held', name, pods, restarts, gpus_held) FROM workload_overview",
            "llm: 2 pods, 4 restarts, 2 held",
        ),
        (
            "SELECT format('%s %s', uuid, coalesce(pod, 'free')) FROM device_overview ORDER BY uuid",
            "n1-0 free | n1-1 llm-n1 | n2-0 free | n2-1 llm-n2",
        ),
        (
            "SELECT format('%s %s: %s hours, %s %%, %s kWh', day, namespace, device_hours, utilization_percent, \
                round(energy_kwh, 1)) FROM gpu_usage_days",
            "2001-01-01 train: 4 hours, 50 %, 2.0 kWh",
        ),
    ] {
        assert_eq!(one(&lens, sql).await, expected);
    }
}

/// The dashboards that the schema names are those of the bundle.
#[tokio::test]
async fn the_dashboards_are_those_that_are_shipped() {
    let bed = Bed::shared();
    let lens = lens(&bed).await;
    let known = "SELECT format('%s/%s %s %s', folder, uid, title, tags) FROM dashboards";
    let known: BTreeSet<String> = texts(&lens, known).await.into_iter().collect();
    let files = std::fs::read_dir(root().join("dashboards/lens")).expect("the folder");
    let shipped = files.map(|file| {
        let text = std::fs::read_to_string(file.expect("an entry").path()).expect("text");
        let board: Value = serde_json::from_str(&text).expect("JSON");
        let tags = board["tags"].as_array().expect("tags").iter();
        let tags: Vec<_> = tags.filter_map(Value::as_str).collect();
        let of = |key: &str| board[key].as_str().unwrap_or_default().to_owned();
        format!("lens/{} {} {{{}}}", of("uid"), of("title"), tags.join(","))
    });
    assert_eq!(known, shipped.collect());
    let metrics = "SELECT format('%s %s', dashboard_uid, metric) FROM dashboard_metrics";
    for pair in texts(&lens, metrics).await {
        let (uid, metric) = pair.split_once(' ').expect("two words");
        let file = root().join(format!("dashboards/lens/{uid}.json"));
        let text = std::fs::read_to_string(file).expect("the dashboard");
        assert!(text.contains(metric), "{uid} does not show {metric}");
    }
}

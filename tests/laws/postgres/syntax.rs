//! What we call one statement is what the server parses as one.

use std::time::{Duration, Instant};

use firstlight::engine::Class;
use firstlight::providers::postgres::{File, Migrations, Placeholders, Statement, split};
use tokio_postgres::Client;

use super::Bed;
use super::hard::{FILES, REFUSED};
use crate::law;

/// How the server's parser takes a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// As one statement, or as none. Whether that could also be carried out is another question.
    One,
    /// As several.
    Several,
    /// It does not.
    Not(String),
}

/// Asks the server's parser, which prepares one statement and no more.
pub(super) async fn parse(client: &Client, sql: &str) -> Parsed {
    let Err(error) = client.prepare(sql).await else {
        return Parsed::One;
    };
    let said = error
        .as_db_error()
        .unwrap_or_else(|| panic!("{error}: {sql}"));
    match (said.file(), said.routine()) {
        (_, Some("exec_parse_message")) => Parsed::Several,
        // What its lexer and its grammar say. All the others look at what the names mean.
        (Some("scan.l" | "gram.y" | "parser.c" | "scansup.c" | "mbutils.c"), _) => {
            Parsed::Not(said.message().to_owned())
        }
        _ => Parsed::One,
    }
}

fn texts(sql: &str) -> Vec<&str> {
    split(sql).iter().map(Statement::sql).collect()
}

#[tokio::test]
async fn hard_syntax_is_taken_apart_as_the_server_does() {
    let bed = Bed::shared();
    let client = bed.client("postgres").await;
    let mut wrong = Vec::new();
    for file in &FILES {
        let pieces = texts(file.sql);
        if pieces.len() != file.statements {
            wrong.push(format!(
                "{}: {} pieces: {pieces:#?}",
                file.name,
                pieces.len()
            ));
        }
        for piece in pieces {
            let parsed = parse(&client, piece).await;
            if parsed != Parsed::One {
                wrong.push(format!("{}: {parsed:?}: {piece}", file.name));
            }
        }
        // The server must see several where we do, or the file proves nothing.
        let whole = file.sql.trim_start_matches('\u{feff}');
        let parsed = parse(&client, whole).await;
        let expected = if file.statements > 1 {
            Parsed::Several
        } else {
            Parsed::One
        };
        if parsed != expected {
            wrong.push(format!("{}: as a whole {parsed:?}", file.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn hard_syntax_runs() {
    let bed = Bed::shared();
    let database = bed.database("hard").await;
    // Of the others there is nothing to run, and a migration says so.
    let files = || FILES.iter().filter(|hard| hard.statements > 0);
    let migrations = || {
        Migrations::new(
            bed.server(),
            database.clone(),
            files()
                .zip(1..)
                .map(|(hard, version)| {
                    let path = format!("sql/V{version:04}__{}.sql", hard.name);
                    File::new(version, hard.name, path, hard.sql, &Placeholders::new())
                })
                .collect(),
        )
    };
    assert_eq!(law::changes(migrations()).await.len(), files().count());
    law::unchanged(migrations()).await;
}

#[tokio::test]
async fn what_is_not_sent_is_refused_at_its_place() {
    let bed = Bed::shared();
    let database = bed.database("refused").await;
    for (name, at, sql) in REFUSED {
        let path = format!("sql/V0001__{name}.sql");
        let before: String = sql.chars().take(at).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let migrations = Migrations::new(
            bed.server(),
            database.clone(),
            vec![File::new(1, name, path.clone(), sql, &Placeholders::new())],
        );
        let (class, what, hints) = law::fails(migrations).await;
        assert_eq!(class, Class::Invalid, "{what}");
        assert!(
            what.starts_with(&format!("{path}:{line}:{column}: ")),
            "{what}"
        );
        // The first may be followed by how many more there are.
        assert!((1..=2).contains(&hints.len()), "{what}: {hints:?}");
    }
}

/// A dump is long: what is read twice takes twice as long, not four times.
#[test]
fn five_megabytes_are_taken_apart_in_linear_time() {
    let row = "INSERT INTO nodes VALUES (1, 'it''s; a', E'\\';', $$;$$); -- a comment; here\n";
    let time = |bytes: usize| {
        let sql = row.repeat(bytes / row.len());
        let started = Instant::now();
        assert_eq!(split(&sql).len(), bytes / row.len());
        started.elapsed()
    };
    let one = time(1 << 20).max(Duration::from_millis(1));
    let five = time(5 << 20);
    assert!(five < one * 20, "1 MiB takes {one:?}, 5 MiB take {five:?}");
    // One long statement, and a string that never ends.
    for sql in [
        format!(
            "INSERT INTO nodes VALUES {} (1)",
            "(1, 'a'), ".repeat(500_000)
        ),
        format!("SELECT 1; SELECT E'{}", "\\' '' ".repeat(800_000)),
        format!("SELECT E'a'{}", "\n'b'".repeat(1_000_000)),
        format!("SELECT E'a'{}", "\n'\\''".repeat(1_000_000)),
        format!("SELECT 1 {}", "/* ".repeat(1_700_000)),
        format!("SELECT {}", "$a ".repeat(1_700_000)),
        format!("SELECT {}", "$a$ $b".repeat(800_000)),
    ] {
        let started = Instant::now();
        let found = split(&sql);
        let summaries = found.iter().map(Statement::summary).count();
        let refusals = found.iter().filter_map(Statement::refusal).count();
        let took = started.elapsed();
        assert!(summaries > 0 && refusals == 0);
        println!("{} bytes, {} statements: {took:?}", sql.len(), found.len());
        assert!(took < Duration::from_secs(30), "{sql:.40}…: {took:?}");
    }
}

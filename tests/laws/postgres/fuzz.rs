//! Made-up SQL, taken apart by us and by the server.
//!
//! A few seconds with each test run; `make fuzz SECONDS=600` takes its time. A finding names the
//! seed; `FUZZ_SEED` repeats it.

use std::time::{Duration, Instant};

use firstlight::providers::postgres::{Statement, split};
use tokio_postgres::Client;

use super::Bed;
use super::grammar::Grammar;
use super::hard::FILES;
use super::syntax::{Parsed, parse};

/// What was tried.
#[derive(Debug, Default)]
struct Counts {
    generated: usize,
    mutated: usize,
    /// Of the mutated, those that the server parses.
    parsed: usize,
    /// Questions to the server.
    asked: usize,
}

#[tokio::test]
async fn made_up_sql_is_taken_apart_as_the_server_does() {
    let seconds = number("FUZZ_SECONDS").unwrap_or(3);
    let seed = number("FUZZ_SEED").unwrap_or_else(rand::random);
    println!("FUZZ_SEED={seed}");
    let bed = Bed::shared();
    let client = bed.client("postgres").await;
    let mut grammar = Grammar::new(seed);
    let mut counts = Counts::default();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(seconds) {
        round(&client, &mut grammar, &mut counts, seed).await;
    }
    println!("{seconds} s, {counts:?}");
    assert!(counts.parsed > 0, "nothing was compared");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test takes how long, and with which seed, from who starts it"
)]
fn number(name: &str) -> Option<u64> {
    let given = std::env::var(name).ok()?;
    Some(given.parse().expect("a number"))
}

/// One text of each sort: as it was made, and with changes that nobody has made sure of.
async fn round(client: &Client, grammar: &mut Grammar, counts: &mut Counts, seed: u64) {
    let statements = grammar.statements();
    let text = grammar.file(&statements);
    let found: Vec<&str> = split(&text).iter().map(Statement::sql).collect();
    assert_eq!(found, statements, "FUZZ_SEED={seed}: {text:?}");
    consistent(&text, seed);
    counts.generated += 1;
    // The grammar itself may be wrong, too: the server tells.
    if counts.generated.is_multiple_of(16) {
        let whole = parse(client, &text).await;
        assert!(
            !matches!(whole, Parsed::Not(_)),
            "FUZZ_SEED={seed}: {whole:?} {text:?}"
        );
        counts.asked += compared(client, &text, seed).await.unwrap_or_default();
    }
    for base in [text.as_str(), FILES[counts.generated % FILES.len()].sql] {
        // A byte order mark is one only where a file begins, and is gone before a text gets here.
        let mutated = grammar.mutated(base).replace('\u{feff}', "");
        consistent(&mutated, seed);
        counts.mutated += 1;
        if let Some(asked) = compared(client, &mutated, seed).await {
            counts.parsed += 1;
            counts.asked += asked;
        }
    }
}

/// Holds for any text: nothing is lost between the pieces, and a piece is one piece again.
fn consistent(text: &str, seed: u64) {
    let characters: Vec<char> = text.chars().collect();
    let mut end = 0;
    for statement in split(text) {
        let own: String = characters[statement.start()..statement.end()]
            .iter()
            .collect();
        assert_eq!(own, statement.sql(), "FUZZ_SEED={seed}: {text:?}");
        let between: String = characters[end..statement.start()].iter().collect();
        assert!(
            split(&between).is_empty(),
            "FUZZ_SEED={seed}: {between:?} of {text:?}"
        );
        let again: Vec<&str> = split(statement.sql()).iter().map(Statement::sql).collect();
        assert_eq!(again, [statement.sql()], "FUZZ_SEED={seed}: {text:?}");
        let _ = (
            statement.summary(),
            statement.refusal(),
            statement.stands_alone(),
        );
        end = statement.end();
    }
    let behind: String = characters[end..].iter().collect();
    assert!(
        split(&behind).is_empty(),
        "FUZZ_SEED={seed}: {behind:?} of {text:?}"
    );
}

/// How many questions it took to see that the server parses the text as we take it apart; none if
/// it cannot parse it at all.
async fn compared(client: &Client, text: &str, seed: u64) -> Option<usize> {
    let text = text.trim_start_matches('\u{feff}');
    let whole = parse(client, text).await;
    let pieces = split(text);
    match whole {
        Parsed::Not(_) => return None,
        Parsed::One => assert!(
            pieces.len() <= 1,
            "FUZZ_SEED={seed}: one: {pieces:?} of {text:?}"
        ),
        Parsed::Several => assert!(pieces.len() > 1, "FUZZ_SEED={seed}: several: {text:?}"),
    }
    for piece in &pieces {
        let parsed = parse(client, piece.sql()).await;
        assert_eq!(
            parsed,
            Parsed::One,
            "FUZZ_SEED={seed}: {piece:?} of {text:?}"
        );
    }
    Some(1 + pieces.len())
}

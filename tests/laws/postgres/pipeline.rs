//! The statements of a file are sent before the first of them is answered; COMMIT is not.

use std::time::Duration;

use firstlight::providers::postgres::{File, Migrations, Placeholders, Settings, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Bed, connect, settings};
use crate::law;

/// Long enough for a busy machine: what is awaited comes, or never does.
const PATIENCE: Duration = Duration::from_mins(1);
const FIRST: &str = "SELECT 'first'";
const NOTE: &str = "INSERT INTO firstlight.schema_history";

/// What the agent has sent in a session, as it is written on the wire.
type Said = watch::Sender<String>;

async fn asks(mut agent: OwnedReadHalf, mut server: OwnedWriteHalf, said: Said) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = agent.read(&mut chunk).await {
        let text = String::from_utf8_lossy(&chunk[..length]);
        said.send_modify(|said| said.push_str(&text));
        if server.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}

/// Keeps the answers to the first statement and to all behind it until the note has been sent.
async fn answers(mut server: OwnedReadHalf, mut agent: OwnedWriteHalf, said: Said) {
    let mut said = said.subscribe();
    let mut kept = false;
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = server.read(&mut chunk).await {
        let begun = said.borrow().find(FIRST);
        if let Some(begun) = begun.filter(|_| !kept) {
            kept = true;
            let noted = said.wait_for(|said| said.contains(NOTE)).await;
            let commit = noted.is_ok_and(|said| said[begun..].contains("COMMIT\0"));
            assert!(!commit, "COMMIT is sent before all is answered");
        }
        if agent.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn no_statement_of_a_file_waits_for_the_answer_to_the_one_before_it() {
    let bed = Bed::shared();
    let database = bed.database("pipeline").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = connect(Settings {
        port: listener.local_addr().expect("an address").port().into(),
        tls: Tls::Disable,
        ..settings(&bed.at)
    });
    let backend = format!("{}:{}", bed.at.host, bed.at.port);
    let line = tokio::spawn(async move {
        while let Ok((agent, _)) = listener.accept().await {
            let server = TcpStream::connect(&backend).await.expect("Postgres");
            let (from_agent, to_agent) = agent.into_split();
            let (from_server, to_server) = server.into_split();
            let said = Said::default();
            tokio::spawn(asks(from_agent, to_server, said.clone()));
            tokio::spawn(answers(from_server, to_agent, said));
        }
    });
    let sql = format!(
        "{FIRST};\nCREATE TABLE made ();\n-- firstlight: verify\nSELECT to_regclass('made') IS NOT NULL;"
    );
    let file = File::new(1, "test", "sql/V1__test.sql", &sql, &Placeholders::new());
    let run = Migrations::new(server, &database, vec![file]);
    let ended = timeout(PATIENCE, law::changes(run)).await;
    assert!(ended.is_ok(), "the rest waits for the answer to {FIRST}");
    let made = "SELECT to_regclass('made')::text";
    assert_eq!(bed.value(&database, made).await, "made");
    line.abort();
}

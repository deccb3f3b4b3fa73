//! Statements that are sent before those before them are answered: one round trip for as
//! many as may be under way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::answers::{Interrupted, Texts};
use super::session::Session;

/// How many may be under way: enough for the way to the server to cost nothing, and few enough for
/// the memory of both sides when a file has thousands.
const UNDER_WAY: usize = 64;

/// One of several statements.
#[derive(Debug, Clone, Copy)]
pub(in crate::providers::postgres) struct Text<'a> {
    /// What it is about.
    pub(in crate::providers::postgres) summary: &'a str,
    /// What is sent.
    pub(in crate::providers::postgres) sql: &'a str,
}

/// What the server says to one of them.
pub(in crate::providers::postgres) enum Heard {
    /// A row of its answer.
    Row(Texts),
    /// It is done, and has taken the server so long.
    Done(Duration),
}

impl Session {
    /// Carries out statements inside a transaction that is begun already. `heard` is told what is
    /// answered, and to which of them; the error says which one was not carried out.
    ///
    /// Inside a transaction the server refuses all that come after one that failed. That is not so
    /// where they go back to a savepoint: of such statements each must wait for the one before it.
    pub(in crate::providers::postgres) async fn pipeline(
        &mut self,
        texts: &[Text<'_>],
        one_by_one: bool,
        heard: &mut (dyn FnMut(usize, Heard) + Send),
    ) -> Result<(), (usize, Interrupted)> {
        let under_way = if one_by_one { 1 } else { UNDER_WAY };
        let current = self.connection().current();
        let mut asked = current.several();
        let mut coming = texts.iter();
        let mut sent = VecDeque::new();
        for index in 0.. {
            while sent.len() < under_way
                && let Some(next) = coming.next()
            {
                sent.push_back((next, self.connection().send(next.sql).await));
            }
            let Some((text, answers)) = sent.pop_front() else {
                break;
            };
            let began = Instant::now();
            let watch = self.watch();
            let mut each = |row| heard(index, Heard::Row(row));
            let connection = self.connection();
            let taking = connection.take((text.summary, text.sql), answers, &mut asked, &mut each);
            let (done, wait) = watch.over(taking).await;
            done.map_err(|cut| (index, cut.after_wait(wait)))?;
            heard(index, Heard::Done(began.elapsed()));
        }
        current.single();
        Ok(())
    }
}

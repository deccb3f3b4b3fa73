//! Goes on where another pod of the same Job has ended.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;
use tracing::{debug, info};

use super::session::Session;
use crate::engine::{Attempt, Chain};
use crate::providers::kubernetes::{Before, Held, PodEnd, pod_end};

/// So long may it take to learn how the pod before ended; a run does without too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who held the lock before us and died, and how.
#[derive(Clone)]
pub(super) struct Ended {
    pub(super) who: Before,
    pub(super) how: PodEnd,
}

/// Makes the run a further attempt if there was one before, and says so. Who died before us, the
/// last one last.
pub(super) async fn go_on(session: &Session, lease: &Held) -> Vec<Ended> {
    let succession = lease.succession();
    if let Some(first) = &succession.first {
        session.go_on_below(first);
    }
    let dead = succession.before.iter().filter(|before| before.died());
    let ended = dead.map(async |who| Ended {
        how: how(session, who).await,
        who: who.clone(),
    });
    let ended = join_all(ended).await;
    let last = succession.before.last();
    let last = last.filter(|last| last.is_of_job_of(lease.holder()));
    let after = ended.iter().find(|ended| Some(&ended.who) == last);
    let attempt = Attempt {
        number: succession.number,
        after: after.map(|ended| ended.how.said.clone()),
    };
    tell(&attempt);
    session.is_attempt(attempt);
    ended
}

async fn how(session: &Session, who: &Before) -> PodEnd {
    let asked = pod_end(&session.client, &who.pod, who.uid.as_deref());
    match timeout(PATIENCE, asked).await {
        Ok(Ok(how)) => how,
        Ok(Err(error)) => {
            debug!(error = %Chain(&error), "failed to read how pod {} ended", who.pod);
            PodEnd::unknown(&who.pod)
        }
        Err(_) => PodEnd::unknown(&who.pod),
    }
}

fn tell(attempt: &Attempt) {
    let number = attempt.number;
    match &attempt.after {
        Some(after) => info!(attempt = number, "attempt {number}: {after}"),
        None if number > 1 => info!(attempt = number, "attempt {number} of this Job"),
        None => {}
    }
}

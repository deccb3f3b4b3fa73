//! The lock while nobody holds it.

use std::time::Instant;

use super::{Held, Lease};
use crate::providers::kubernetes::Error;
use crate::providers::kubernetes::live::Live;

/// A Lease that was found free.
pub struct Free {
    pub(super) lease: Lease,
    /// As it was found; none if there was none.
    pub(super) found: Option<Live>,
    /// Which holder of it we are going to be.
    pub(super) number: i64,
}

impl Free {
    /// Takes it, and renews it from then on.
    ///
    /// # Errors
    /// [`Error::Held`] when another has just taken it; [`Error::Conflict`] when that one cannot be
    /// named yet; and when the API server cannot be asked.
    pub async fn take(self) -> Result<Held, Error> {
        let asked = Instant::now();
        let Self {
            lease,
            found,
            number,
        } = self;
        let claim = lease.claim(found.as_ref(), number);
        let taken = match &found {
            Some(_) => lease.client.merge(&lease.target, &claim).await,
            None => lease.client.create(&lease.target, &claim).await,
        };
        match taken {
            Ok(taken) => Ok(lease.held(&taken, asked)),
            Err(conflict @ Error::Conflict { .. }) => {
                let found = lease.client.get(&lease.target).await?;
                let rival = match &found {
                    Some(found) => lease.rival(found).await?,
                    None => None,
                };
                Err(rival.unwrap_or(conflict))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes it, and meanwhile reads what only its holder writes.
    ///
    /// Nobody can have held it between the look that found it free and a claim of that very version,
    /// so what is read is what the last holder has left. Of one that is made anew that cannot be
    /// said; then it is read after that.
    ///
    /// # Errors
    /// See [`Free::take`].
    pub async fn take_reading<T>(self, read: impl Future<Output = T>) -> Result<(Held, T), Error> {
        if self.found.is_none() {
            let held = self.take().await?;
            return Ok((held, read.await));
        }
        let (held, read) = tokio::join!(self.take(), read);
        Ok((held?, read))
    }
}

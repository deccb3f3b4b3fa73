//! Free ports of this machine.

use crate::Error;
use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Below the ports that Linux gives to outgoing connections, so that a port stays free for its
/// server between the moment it is found and the moment the server, or the server after a
/// restart, listens on it.
const RANGE: Range<u16> = 20_000..32_000;

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port of 127.0.0.1 on which nobody listens, and which this process gives only once.
///
/// # Errors
/// [`Error::NoPort`] when no port of the range is free.
pub(crate) fn free() -> Result<u16, Error> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let width = RANGE.end - RANGE.start;
    let start = random_below(width);
    (0..width)
        .map(|step| RANGE.start + (start + step) % width)
        .find(|port| {
            !given.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
        })
        .inspect(|port| {
            given.insert(*port);
        })
        .ok_or(Error::NoPort {
            from: RANGE.start,
            to: RANGE.end,
        })
}

/// Two test beds that start at one moment should not meet: each begins at another place.
fn random_below(width: u16) -> u16 {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(std::process::id());
    u16::try_from(random % u64::from(width)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_port_is_given_once() {
        let ports: Vec<_> = (0..50).map(|_| super::free().expect("a port")).collect();
        let distinct: std::collections::HashSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
    }
}

//! Questions to servers.

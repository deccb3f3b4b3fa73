//! From a bundle and clients to a graph. No I/O.

//! The real servers that the tests and the demo run against.

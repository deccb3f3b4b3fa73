//! What a person or a log reader sees.

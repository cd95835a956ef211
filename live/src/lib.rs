//! Streams of the exchange, stored as they come.

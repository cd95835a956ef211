//! Order books: what snapshots and differences make, and series of them.

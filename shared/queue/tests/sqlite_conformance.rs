//! The SQLite backend against the suite of all backends.

mod fixture;

tapemill_queue::conformance_suite!(fixture::SqliteFixture);

//! The Redis backend against the suite of all backends.

mod fixture;

tapemill_queue::conformance_suite!(fixture::RedisFixture::start());

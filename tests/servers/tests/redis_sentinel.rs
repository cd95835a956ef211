//! Sentinel lets the replica take over.

use tapemill_test_servers::{RedisSentinel, until};

#[test]
fn the_replica_takes_over_with_all_that_it_was_told() {
    let all = RedisSentinel::start();
    let [first, second] = all.nodes();
    first.cli(&["SET", "key", "value"]);
    first.until_replicated();
    assert_eq!(all.primary().port(), first.port());

    first.kill9();

    until("the replica is the primary", || {
        all.primary().port() == second.port() && second.info("role").as_deref() == Some("master")
    });
    assert_eq!(second.cli(&["GET", "key"]), "value");
}

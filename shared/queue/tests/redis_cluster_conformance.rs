//! The Redis backend on a cluster against the suite of all backends: one cluster for all cases, as it
//! takes seconds to start.

mod fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_passes_the_suite() {
    let fixture = fixture::RedisClusterFixture::start();
    tapemill_queue::conformance_run!(fixture);
}

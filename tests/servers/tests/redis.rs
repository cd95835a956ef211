//! The Redis servers do what their names say.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tapemill_test_servers::{Aof, Keep, Redis, RedisCluster, RedisOptions, until};

#[test]
fn an_append_only_file_survives_a_kill_and_nothing_survives_a_lost_disk() {
    let redis = Redis::with(RedisOptions::new().aof(Aof::Always));
    redis.cli(&["SET", "key", "value"]);

    redis.kill9();
    assert!(!redis.is_running() && !redis.answers());
    redis.restart(Keep::Data);
    assert_eq!(redis.cli(&["GET", "key"]), "value");
    redis.restart(Keep::Nothing);

    assert_eq!(redis.cli(&["DBSIZE"]), "0");
}

#[test]
fn a_stopped_server_takes_connections_and_answers_when_it_goes_on() {
    let redis = Redis::start();
    redis.stop();
    let mut client = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    client.write_all(b"PING\r\n").unwrap();
    let short = Duration::from_millis(200);
    client.set_read_timeout(Some(short)).unwrap();
    let mut answer = [0; 7];

    assert!(client.read(&mut answer).is_err());
    redis.cont();
    client.set_read_timeout(None).unwrap();
    client.read_exact(&mut answer).unwrap();

    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn tls_users_and_their_limits_are_real() {
    let options = RedisOptions::new().tls().password("secret").user(
        "worker",
        "pw",
        "~{q}:* +@all -@admin -@dangerous",
    );
    let redis = Redis::with(options);

    let as_worker = ["--user", "worker", "--pass", "pw", "--no-auth-warning"];
    let ask = |words: &[&str]| redis.try_cli(&[&as_worker, words].concat());

    assert!(redis.url().starts_with("rediss://worker:pw@127.0.0.1:"));
    assert_eq!(ask(&["SET", "{q}:a", "1"]).unwrap(), "OK");
    assert!(ask(&["SET", "other", "1"]).unwrap_err().contains("NOPERM"));
    assert!(ask(&["FLUSHALL"]).unwrap_err().contains("NOPERM"));
}

#[test]
fn a_full_server_refuses_writes_and_evicts_nothing() {
    let redis = Redis::with(RedisOptions::new().max_memory("3mb"));
    redis.cli(&["SET", "kept", "1"]);
    let large = "x".repeat(100_000);

    until("it is full", || {
        let key = redis.cli(&["DBSIZE"]);
        let written = redis.try_cli(&["SET", &key, &large]);
        written.is_err_and(|why| why.contains("OOM"))
    });

    assert_eq!(redis.cli(&["GET", "kept"]), "1");
}

#[test]
fn a_replica_has_what_its_primary_has() {
    let primary = Redis::with(RedisOptions::new().password("secret"));
    primary.cli(&["SET", "key", "value"]);

    let replica = Redis::with(RedisOptions::new().replica_of(&primary));

    assert_eq!(replica.cli(&["GET", "key"]), "value");
}

#[test]
fn a_cluster_sends_clients_to_the_owner_of_a_key() {
    let cluster = RedisCluster::start();
    let owner = cluster.owner("{q}:tasks");
    assert_eq!(owner.cli(&["SET", "{q}:tasks", "1"]), "OK");

    let others = cluster
        .nodes()
        .iter()
        .filter(|node| node.port() != owner.port());
    for other in others {
        let told = other.try_cli(&["GET", "{q}:tasks"]);
        assert!(told.unwrap_err().contains("MOVED"));
        assert_eq!(other.cli(&["-c", "GET", "{q}:tasks"]), "1");
    }
}

#[test]
fn a_cluster_replica_takes_over() {
    let cluster = RedisCluster::with(RedisOptions::new().aof(Aof::EverySecond), 1);
    let owner = cluster.owner("{q}:tasks");
    owner.cli(&["SET", "{q}:tasks", "1"]);
    owner.until_replicated();

    owner.kill9();

    let survivor = cluster.nodes().iter().find(|node| node.is_running());
    until("a replica has taken over", || {
        let told = survivor.unwrap().try_cli(&["-c", "GET", "{q}:tasks"]);
        told.is_ok_and(|answer| answer == "1")
    });
}

//! Files over HTTP, in order and with faults.

use std::fs;
use std::time::{Duration, Instant};

use crate::http::{get, send};
use tapemill_standin::server::{Fault, Faults, Standin, StandinOptions, When};
use tempfile::TempDir;

const KEY: &str = "data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01-17.zip";
const TARGET: &str = "/data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01-17.zip";
const BYTES: usize = 300_000;

fn content() -> Vec<u8> {
    (0..BYTES).map(|at| (at * 31 % 251) as u8).collect()
}

fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(KEY);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content()).unwrap();
    fs::write(
        path.with_extension("zip.CHECKSUM"),
        format!("{}  x.zip", "0a".repeat(32)),
    )
    .unwrap();
    root
}

async fn standin(faults: Faults) -> (TempDir, Standin) {
    let root = root();
    let standin = Standin::start(root.path(), faults).await.unwrap();
    (root, standin)
}

async fn faulty(fault: Fault, when: When) -> (TempDir, Standin) {
    standin(Faults::one("**.zip", fault, when)).await
}

#[tokio::test]
async fn a_file_comes_whole_with_its_version() {
    let (_root, standin) = standin(Faults::none()).await;

    let reply = get(&standin.url, TARGET).await;
    let head = send(&standin.url, "HEAD", TARGET, &[], "").await;

    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, content());
    assert_eq!(reply.declared(), BYTES);
    assert_eq!(reply.header("accept-ranges"), "bytes");
    let etag = reply.header("etag");
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
    assert!(reply.header("last-modified").ends_with(" GMT"));
    assert_eq!(
        (head.status, head.body.len(), head.declared()),
        (200, 0, BYTES)
    );
    assert_eq!(head.header("etag"), etag);
}

#[tokio::test]
async fn ranges_are_served_and_held_to_their_version() {
    let (_root, standin) = standin(Faults::none()).await;
    let whole = get(&standin.url, TARGET).await;
    let (etag, date) = (whole.header("etag"), whole.header("last-modified"));
    let ranged = async |range: &str, if_range: Option<&str>| {
        let mut headers = vec![("Range", range)];
        headers.extend(if_range.map(|condition| ("If-Range", condition)));
        send(&standin.url, "GET", TARGET, &headers, "").await
    };

    let tail = ranged("bytes=299990-", None).await;
    let middle = ranged("bytes=5-9", Some(etag)).await;
    let dated = ranged("bytes=5-9", Some(date)).await;
    let stale = ranged("bytes=5-9", Some("\"other\"")).await;
    let beyond = ranged("bytes=300000-", Some(etag)).await;

    assert_eq!((tail.status, tail.body.len()), (206, 10));
    assert_eq!(tail.header("content-range"), "bytes 299990-299999/300000");
    assert_eq!((middle.status, &middle.body[..]), (206, &content()[5..10]));
    assert_eq!(dated.status, 206);
    assert_eq!((stale.status, stale.body.len()), (200, BYTES));
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), "bytes */300000");
}

#[tokio::test]
async fn what_is_not_there_is_a_404_and_nothing_outside_the_root_is_served() {
    let root = root();
    fs::write(root.path().join("outside.txt"), "outside").unwrap();
    let standin = Standin::start(root.path().join("data"), Faults::none())
        .await
        .unwrap();

    for target in [
        "/spot/none.zip",
        "/spot",
        "/../outside.txt",
        "/spot/%2e%2e/%2e%2e/outside.txt",
        "/%zz",
    ] {
        let reply = get(&standin.url, target).await;
        assert_eq!(reply.status, 404, "{target}");
        assert!(reply.text().contains("<Code>NoSuchKey</Code>"), "{target}");
    }
    let put = send(&standin.url, "PUT", "/spot/new.zip", &[], "x").await;
    assert_eq!(put.status, 405);
}

#[tokio::test]
async fn a_cut_body_stops_short_of_what_was_declared_and_resumes() {
    let fault = Fault::Cut { after_percent: 40 };
    let (_root, standin) = faulty(fault, When::First(2)).await;

    let first = get(&standin.url, TARGET).await;
    let range = format!("bytes={}-", first.body.len());
    let second = send(&standin.url, "GET", TARGET, &[("Range", &range)], "").await;
    let range = format!("bytes={}-", first.body.len() + second.body.len());
    let third = send(&standin.url, "GET", TARGET, &[("Range", &range)], "").await;

    assert_eq!(
        (first.status, first.declared(), first.body.len()),
        (200, BYTES, 120_000)
    );
    assert_eq!(
        (second.status, second.declared(), second.body.len()),
        (206, 180_000, 72_000)
    );
    assert_eq!(
        (third.status, third.declared(), third.body.len()),
        (206, 108_000, 108_000)
    );
    assert_eq!([first.body, second.body, third.body].concat(), content());
    let log = standin.log();
    assert_eq!(log[0].faults, ["cut"]);
    assert_eq!(log[2].faults, [""; 0]);
    let sent: u64 = log.iter().map(|request| request.bytes_sent).sum();
    assert_eq!(sent, BYTES as u64);
}

#[tokio::test]
async fn a_status_takes_the_place_of_the_file_and_can_ask_to_wait() {
    let fault = |status| Fault::Status {
        status,
        retry_after: Some(7),
    };
    let (_root, standin) = standin(Faults::none()).await;

    for status in [500, 503, 403, 404, 429, 418] {
        standin
            .set_faults(Faults::one("**.zip", fault(status), When::First(1)))
            .unwrap();
        let failed = get(&standin.url, TARGET).await;
        let well = get(&standin.url, TARGET).await;

        assert_eq!(failed.status, status);
        assert_eq!(failed.header("retry-after"), "7");
        assert_eq!(well.status, 200);
    }
}

#[tokio::test]
async fn a_corrupt_byte_is_the_same_byte_of_the_file_in_every_range() {
    let fault = Fault::Corrupt { at_percent: 50 };
    let (_root, standin) = faulty(fault, When::Always).await;
    let at = (BYTES - 1).div_ceil(2);

    let whole = get(&standin.url, TARGET).await;
    let range = format!("bytes={}-", at - 10);
    let part = send(&standin.url, "GET", TARGET, &[("Range", &range)], "").await;

    let wrong = |body: &[u8], from: usize| -> Vec<usize> {
        let right = content();
        (0..body.len())
            .filter(|i| body[*i] != right[from + i])
            .map(|i| from + i)
            .collect()
    };
    assert_eq!(wrong(&whole.body, 0), [at]);
    assert_eq!(wrong(&part.body, at - 10), [at]);
}

#[tokio::test]
async fn lengths_can_be_too_long_and_too_short() {
    let (_root, standin) = faulty(Fault::WrongLength { delta: 50 }, When::First(1)).await;

    let long = get(&standin.url, TARGET).await;
    let fault = Fault::WrongLength { delta: -50 };
    standin
        .set_faults(Faults::one("**.zip", fault, When::Always))
        .unwrap();
    let short = get(&standin.url, TARGET).await;

    assert_eq!((long.declared(), long.body.len()), (BYTES + 50, BYTES));
    assert_eq!(
        (short.declared(), short.body.len()),
        (BYTES - 50, BYTES - 50)
    );
}

#[tokio::test]
async fn ranges_and_validators_can_be_missing() {
    let faults = Faults::one("**.zip", Fault::IgnoreRange, When::Always)
        .and("**.zip", Fault::NoEtag, When::Always)
        .and("**.zip", Fault::NoLastModified, When::Always);
    let (_root, standin) = standin(faults).await;

    let reply = send(&standin.url, "GET", TARGET, &[("Range", "bytes=10-")], "").await;

    assert_eq!((reply.status, reply.body.len()), (200, BYTES));
    for name in ["etag", "last-modified", "accept-ranges", "content-range"] {
        assert_eq!(reply.header(name), "", "{name}");
    }
}

#[tokio::test]
async fn a_file_published_anew_restarts_a_conditional_range() {
    let (root, standin) = faulty(Fault::EtagChanges, When::Always).await;

    let first = get(&standin.url, TARGET).await;
    let headers = [("Range", "bytes=10-"), ("If-Range", first.header("etag"))];
    let second = send(&standin.url, "GET", TARGET, &headers, "").await;
    standin.set_faults(Faults::none()).unwrap();
    let before = get(&standin.url, TARGET).await;
    fs::write(root.path().join(KEY), b"published again").unwrap();
    let after = get(&standin.url, TARGET).await;

    assert_eq!((second.status, second.body.len()), (200, BYTES));
    assert_ne!(first.header("etag"), second.header("etag"));
    assert_ne!(
        first.header("last-modified"),
        second.header("last-modified")
    );
    assert_ne!(before.header("etag"), after.header("etag"));
    assert_eq!(after.text(), "published again");
}

#[tokio::test]
async fn html_and_redirects_come_as_from_a_proxy() {
    let (_root, standin) = faulty(Fault::Html, When::First(1)).await;

    let html = get(&standin.url, TARGET).await;
    let fault = Fault::Redirect { to: None };
    standin
        .set_faults(Faults::one("**.zip", fault, When::Always))
        .unwrap();
    let away = get(&standin.url, TARGET).await;
    let there = get(&standin.url, away.header("location")).await;

    assert_eq!(
        (html.status, html.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(html.text().starts_with("<!DOCTYPE html>"));
    assert_eq!(away.status, 302);
    assert_eq!((there.status, there.body.len()), (200, BYTES));
}

#[tokio::test]
async fn a_sidecar_can_name_another_hash() {
    let faults = Faults::one("**", Fault::WrongChecksum, When::First(1));
    let (_root, standin) = standin(faults).await;
    let target = format!("{TARGET}.CHECKSUM");

    let archive = get(&standin.url, TARGET).await;
    let wrong = get(&standin.url, &target).await.text();
    let right = get(&standin.url, &target).await.text();

    assert_eq!(archive.body, content());
    assert_eq!(wrong.len(), right.len());
    assert_ne!(wrong[..1], right[..1]);
    assert_eq!(wrong[1..], right[1..]);
}

#[tokio::test]
async fn slow_and_stalled_bodies_take_their_time_and_arrive() {
    let slow = Fault::Slow {
        bytes_per_second: 1_000_000,
    };
    let (_root, standin) = faulty(slow, When::Always).await;

    let begin = Instant::now();
    let slowly = get(&standin.url, TARGET).await;
    let slow_time = begin.elapsed();
    let fault = Fault::Stall {
        seconds: 0.4,
        after_percent: 50,
    };
    standin
        .set_faults(Faults::one("**.zip", fault, When::Always))
        .unwrap();
    let begin = Instant::now();
    let stalled = get(&standin.url, TARGET).await;
    let stall_time = begin.elapsed();

    assert_eq!(slowly.body, content());
    assert!(slow_time >= Duration::from_millis(290), "{slow_time:?}");
    assert_eq!(stalled.body, content());
    assert!(stall_time >= Duration::from_millis(400), "{stall_time:?}");
}

#[tokio::test]
async fn stopping_ends_bodies_under_way_and_frees_the_port() {
    let fault = Fault::Stall {
        seconds: 3_600.0,
        after_percent: 10,
    };
    let (root, standin) = faulty(fault, When::Always).await;
    let url = standin.url.clone();
    let waiting = tokio::spawn(async move { get(&url, TARGET).await });
    while standin
        .log()
        .first()
        .is_none_or(|request| request.bytes_sent < 30_000)
    {
        tokio::task::yield_now().await;
    }
    let address = standin.url["http://".len()..].parse().unwrap();

    standin.stop().await;

    let cut = waiting.await.unwrap();
    assert!(cut.body.len() < cut.declared());
    let options = StandinOptions {
        address,
        ..StandinOptions::new(root.path())
    };
    let again = Standin::start_with(options).await.unwrap();
    assert_eq!(get(&again.url, TARGET).await.status, 200);
}

#[tokio::test]
async fn faults_and_log_are_at_hand_over_http() {
    let (_root, standin) = standin(Faults::none()).await;
    let rules = r#"{"rules": [{"path": "**.zip", "fault": {"kind": "status", "status": 503}}]}"#;

    let set = send(&standin.url, "POST", "/_faults", &[], rules).await;
    let failed = get(&standin.url, TARGET).await;
    let refused = send(&standin.url, "POST", "/_faults", &[], "{\"rules\": 1}").await;
    let log = get(&standin.url, "/_log").await;
    let reset = send(&standin.url, "POST", "/_reset", &[], "").await;
    let emptied = get(&standin.url, "/_log").await;
    let well = get(&standin.url, TARGET).await;

    assert_eq!([set.status, failed.status, refused.status], [204, 503, 400]);
    let log: serde_json::Value = serde_json::from_slice(&log.body).unwrap();
    assert_eq!(log[0]["path"], KEY);
    assert_eq!(log[0]["status"], 503);
    assert_eq!(log[0]["faults"][0], "status");
    assert_eq!((reset.status, emptied.text().as_str()), (204, "[]"));
    assert_eq!(well.status, 200);
}

#[tokio::test]
async fn a_root_that_is_not_a_folder_and_a_busy_port_are_errors() {
    let (root, standin) = standin(Faults::none()).await;
    let address = standin.url["http://".len()..].parse().unwrap();

    let missing = Standin::start(root.path().join("none"), Faults::none()).await;
    let options = StandinOptions {
        address,
        ..StandinOptions::new(root.path())
    };
    let busy = Standin::start_with(options).await;

    assert!(missing.unwrap_err().to_string().contains("none"));
    assert!(
        busy.unwrap_err()
            .to_string()
            .starts_with("cannot listen on 127.0.0.1")
    );
}

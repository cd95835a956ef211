//! The archive asks one process for fewer requests, and all processes of the queue heed it.

use tapemill_standin::server::{Fault, Faults, Request, When};
use tapemill_tests::{Aof, Lab, Redis, RedisOptions, Tapemill, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// For how long the archive asks for no requests, in milliseconds. Waits are told in whole ones.
const HOLD: u64 = 3_000;

/// What was under way when the wait was named still arrives.
const UNDER_WAY: u64 = 500;

/// Other processes ask the queue twice a second, and have requests under way too.
const HEARD_OF: u64 = 500 + 2 * UNDER_WAY;

fn is_about(request: &Request, symbol: &str) -> bool {
    request.path.contains(symbol) || request.query.contains(symbol)
}

/// Two workers, one of them with two tasks, and a plan, while one task is told to wait with this status.
#[track_caller]
fn assert_all_processes_heed(status: u16, queue: Option<&str>) {
    let lab = Lab::new(BINARY);
    let on_queue = |command: Tapemill| match queue {
        Some(url) => command.env("TAPEMILL_QUEUE", url),
        None => command,
    };
    for symbol in ["AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT"] {
        lab.mirror.trades(symbol, "2024-01", 20_000);
    }
    // BBB and CCC come in crumbs, a request each, for some seconds; AAA is refused once.
    let crumbs = || Fault::Cut { after_percent: 3 };
    let refusal = Fault::Status {
        status,
        retry_after: Some(HOLD / 1_000),
    };
    let faults = Faults::one("**BBBUSDT**.zip", crumbs(), When::First(40))
        .and("**CCCUSDT**.zip", crumbs(), When::First(40))
        .and("**AAAUSDT**.zip", refusal, When::First(1));
    lab.mirror.set_faults(faults);
    let plan = |symbols: &str| {
        let words = ["plan", "--symbols", symbols, "--data", "aggTrades"];
        on_queue(lab.from_source(&words)).run().expect(0);
    };
    let status_now = || {
        let told = on_queue(lab.command(&["status", "--json"])).run();
        told.expect(0).json_lines().remove(0)
    };
    let worker = |tasks: &str| {
        let words = ["worker", "--exit-when-drained", "--workers", tasks];
        on_queue(lab.from_source(&words)).spawn()
    };

    plan("BBBUSDT");
    let other = worker("1");
    until("the other process works", || {
        lab.mirror
            .zips_asked_for()
            .iter()
            .any(|zip| zip.contains("BBB"))
    });
    plan("AAAUSDT,CCCUSDT");
    let refused_one = worker("2");
    until("the queue knows of the wait", || {
        status_now()["brake_seconds"].as_f64() > Some(0.0)
    });
    plan("DDDUSDT");
    for worker in [other, refused_one] {
        worker.wait().expect(0);
    }

    let log = lab.mirror.log();
    let refused = log.iter().find(|request| request.status == status);
    let refused = refused.expect("AAA was refused").at_ms;
    let asked_between = |from: u64, symbol: &str| -> Vec<&Request> {
        let during = refused + from..refused + HOLD;
        let asked = log.iter().filter(|request| is_about(request, symbol));
        asked
            .filter(|request| during.contains(&request.at_ms))
            .collect()
    };
    let nothing: [&Request; 0] = [];
    assert_eq!(asked_between(UNDER_WAY, "AAA"), nothing);
    assert_eq!(asked_between(UNDER_WAY, "CCC"), nothing, "the same process");
    assert_eq!(asked_between(HEARD_OF, "BBB"), nothing, "another process");
    assert_eq!(
        asked_between(0, "DDD"),
        nothing,
        "a process that came later"
    );
    for symbol in ["AAA", "BBB", "CCC", "DDD"] {
        let goes_on =
            |request: &Request| is_about(request, symbol) && request.at_ms >= refused + HOLD;
        assert!(log.iter().any(goes_on), "{symbol} had more to ask for");
    }
    assert_eq!(status_now()["totals"]["done"], 4);
}

#[test]
fn a_429_holds_every_process_of_the_queue() {
    assert_all_processes_heed(429, None);
}

#[test]
fn a_429_holds_every_process_of_a_queue_on_redis() {
    let redis = Redis::with(RedisOptions::new().aof(Aof::EverySecond));
    let url = format!("{}?queue=brake", redis.url());

    assert_all_processes_heed(429, Some(&url));
}

#[test]
fn a_403_that_names_a_time_holds_every_process_of_the_queue() {
    assert_all_processes_heed(403, None);
}

#[test]
fn a_listing_that_is_told_to_wait_holds_the_workers() {
    let lab = Lab::new(BINARY);
    for symbol in ["AAAUSDT", "BBBUSDT"] {
        lab.mirror.trades(symbol, "2024-01", 20_000);
    }
    let crumbs = Fault::Cut { after_percent: 3 };
    let refusal = Fault::Status {
        status: 418,
        retry_after: Some(HOLD / 1_000),
    };
    let faults = Faults::one("**BBBUSDT**.zip", crumbs, When::First(40));
    lab.mirror
        .set_faults(faults.and("?prefix=**AAAUSDT**", refusal, When::Times(1)));
    let plan = |symbols: &str| {
        let words = ["plan", "--symbols", symbols, "--data", "aggTrades"];
        lab.from_source(&words).run().expect(0);
    };

    plan("BBBUSDT");
    let words = ["worker", "--exit-when-drained", "--workers", "1"];
    let worker = lab.from_source(&words).spawn();
    until("the worker works", || {
        !lab.mirror.zips_asked_for().is_empty()
    });
    plan("AAAUSDT");
    worker.wait().expect(0);

    let log = lab.mirror.log();
    let refused = log.iter().find(|request| request.status == 418);
    let refused = refused.expect("the listing was refused").at_ms;
    let held: Vec<_> = log
        .iter()
        .filter(|request| (refused + HEARD_OF..refused + HOLD).contains(&request.at_ms))
        .collect();
    assert!(held.is_empty(), "{held:#?}");
    let goes_on = |request: &Request| is_about(request, "BBB") && request.at_ms >= refused + HOLD;
    assert!(log.iter().any(goes_on), "the worker had more to ask for");
}

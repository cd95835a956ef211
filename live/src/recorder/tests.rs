use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use tapemill_capture::Dataset;
use tapemill_stream::Channel;

use super::*;

fn recorder(channels: &[&str]) -> Recorder {
    let symbol = Symbol::parse("BTCUSDT").unwrap();
    let channels: Vec<_> = channels
        .iter()
        .map(|name| Channel::parse(name, Market::Um).unwrap())
        .collect();
    let config = Config::new(Market::Um, vec![symbol], channels);
    Recorder::new("session".to_owned(), &config)
}

fn now() -> Received {
    Received {
        ns: 1_700_000_000_000_000_000,
        at: Instant::now(),
    }
}

fn trade(id: i64) -> String {
    format!(
        r#"{{"stream":"btcusdt@aggTrade","data":{{"e":"aggTrade","E":{id},"s":"BTCUSDT","a":{id},"p":"1","q":"1","f":1,"l":1,"T":1,"m":true}}}}"#
    )
}

fn mark(id: i64) -> String {
    format!(
        r#"{{"stream":"btcusdt@markPrice","data":{{"e":"markPriceUpdate","E":{id},"s":"BTCUSDT","p":"1","i":"1","P":"1","r":"0","T":1}}}}"#
    )
}

fn depth(previous: i64, first: i64, last: i64) -> String {
    format!(
        r#"{{"stream":"btcusdt@depth","data":{{"e":"depthUpdate","E":{last},"T":1,"s":"BTCUSDT","U":{first},"u":{last},"pu":{previous},"b":[],"a":[]}}}}"#
    )
}

/// The ids of the trades, and the kinds, causes and bounds of the ledger.
fn stored(recorder: &mut Recorder) -> (Vec<i64>, Vec<String>) {
    let (mut ids, mut ledger) = (Vec::new(), Vec::new());
    for batch in recorder.take_rows() {
        let whole = |name| {
            batch
                .rows
                .column_by_name(name)
                .map(|column| column.as_primitive::<Int64Type>().clone())
        };
        match batch.dataset {
            Dataset::Ledger => {
                let text = |name| batch.rows.column_by_name(name).unwrap().as_string::<i32>();
                let (after, before) = (whole("after_id").unwrap(), whole("before_id").unwrap());
                for row in 0..batch.rows.num_rows() {
                    let bound = |column: &arrow_array::Int64Array| {
                        let bound = column.iter().nth(row).flatten();
                        bound.map_or(String::new(), |bound| bound.to_string())
                    };
                    ledger.push(format!(
                        "{} {} {}..{}",
                        text("event_type").value(row),
                        text("cause").iter().nth(row).flatten().unwrap_or("-"),
                        bound(&after),
                        bound(&before)
                    ));
                }
            }
            Dataset::Trades => ids.extend(whole("agg_id").unwrap().values()),
            Dataset::OrderBook => ids.extend(whole("final_update_id").unwrap().values()),
            _ => ids.extend(whole("event_time").unwrap().values()),
        }
    }
    (ids, ledger)
}

#[test]
fn trades_are_stored_once_and_a_hole_has_exact_bounds() {
    let mut recorder = recorder(&["aggTrade"]);
    for id in [5, 6, 6, 5, 7, 10, 11] {
        assert_eq!(recorder.hear(1, &trade(id), now()), Heard::Message);
    }

    let Some(Wanted::Trades { hole, .. }) = recorder.take_wanted().pop() else {
        panic!("the trades are wanted");
    };
    assert_eq!(hole.missing, Some(2));
    let (ids, ledger) = stored(&mut recorder);
    assert_eq!(ids, [5, 6, 7, 10, 11]);
    assert_eq!(ledger, ["gap chain 7..10"]);
    assert_eq!(recorder.counts().duplicates, 2);

    let came = [8, 9].map(|agg_id| AggTrade {
        agg_id,
        ..AggTrade::default()
    });
    recorder.filled("btcusdt@aggTrade", &hole, &came, now());
    let (ids, ledger) = stored(&mut recorder);
    assert_eq!(ids, [8, 9]);
    assert_eq!(ledger, ["filled - 7..10"]);
}

#[test]
fn a_lost_connection_is_a_hole_only_where_nothing_proves_otherwise() {
    let mut recorder = recorder(&["aggTrade", "markPrice"]);
    for text in [trade(1), mark(100)] {
        recorder.hear(1, &text, now());
    }
    recorder.lost(1, "disconnect");
    for text in [trade(2), mark(300), mark(400)] {
        recorder.hear(2, &text, now());
    }

    let (ids, ledger) = stored(&mut recorder);
    assert_eq!(ids, [1, 2, 100, 300, 400]);
    assert_eq!(ledger, ["gap disconnect 100..300"]);
    assert!(recorder.take_wanted().is_empty());
}

#[test]
fn a_shadow_takes_over_without_a_loss() {
    let mut recorder = recorder(&["aggTrade", "markPrice"]);
    for id in 1..6 {
        recorder.hear(1, &trade(id), now());
        recorder.hear(1, &mark(id), now());
    }
    // The second is a little behind, then ahead.
    for id in 4..9 {
        recorder.hear(2, &trade(id), now());
        recorder.hear(2, &mark(id), now());
    }
    let streams = ["btcusdt@aggTrade", "btcusdt@markPrice"].map(str::to_owned);
    assert!(recorder.could_lead(2, &streams) && !recorder.could_lead(3, &streams));

    recorder.promote(2, "rotation");
    recorder.hear(2, &trade(9), now());
    recorder.lost(1, "rotation");
    recorder.hear(2, &mark(9), now());

    let (ids, ledger) = stored(&mut recorder);
    let all: Vec<_> = (1..10).chain(1..10).collect();
    assert_eq!(ids, all);
    assert!(ledger.is_empty(), "{ledger:?}");
}

#[test]
fn a_leader_that_goes_silent_hands_over_what_its_shadow_brought() {
    let streams = ["btcusdt@aggTrade", "btcusdt@markPrice"].map(str::to_owned);
    let began = now();
    let later = |seconds: u64| Received {
        at: began.at + Duration::from_secs(seconds),
        ..began
    };
    let mut recorder = recorder(&["aggTrade", "markPrice"]);
    for connection in [1, 2] {
        recorder.taken(connection, &streams, began.at);
        recorder.hear(connection, &trade(1), later(1));
        recorder.hear(connection, &mark(1), later(1));
    }
    // The first goes on with the trades alone, and the next mark price comes long after the last.
    for id in 2..5 {
        recorder.hear(1, &trade(id), later(60 + id as u64));
        recorder.hear(2, &trade(id), later(60 + id as u64));
        recorder.hear(2, &mark(id), later(60 + id as u64));
    }
    recorder.take_over(later(64).at);
    let limit = Duration::from_secs(5);
    assert_eq!(recorder.owed(1, &streams, later(67).at, limit), None);
    assert_eq!(stored(&mut recorder).0, [1, 2, 3, 4, 1]);
    recorder.take_over(later(65).at);
    recorder.hear(2, &mark(5), later(66));

    assert_eq!(stored(&mut recorder), (vec![2, 3, 4, 5], Vec::new()));
    let owed = recorder.owed(1, &streams, later(70).at, limit);
    assert_eq!(owed, Some("btcusdt@markPrice"));
    assert_eq!(recorder.owed(2, &streams, later(70).at, limit), None);
}

#[test]
fn what_the_leader_lacks_comes_from_its_shadow_and_what_both_lack_is_told_once() {
    let mut recorder = recorder(&["aggTrade"]);
    for (connection, id) in [
        (1, 1),
        (2, 1),
        (2, 2),
        (2, 3),
        (1, 4),
        (1, 5),
        (2, 4),
        (2, 5),
        (2, 6),
    ] {
        recorder.hear(connection, &trade(id), now());
    }
    assert_eq!(stored(&mut recorder), ((1..=6).collect(), Vec::new()));

    for (connection, id) in [(2, 9), (1, 9), (1, 10), (2, 10), (2, 11)] {
        recorder.hear(connection, &trade(id), now());
    }
    recorder.lost(1, "disconnect");
    recorder.hear(2, &trade(12), now());
    let (ids, ledger) = stored(&mut recorder);
    assert_eq!(ids, [9, 10, 11, 12]);
    assert_eq!(ledger, ["gap chain 6..9"]);
}

#[test]
fn two_messages_of_one_time_are_both_stored_and_once() {
    let mut recorder = recorder(&["markPrice"]);
    let other = mark(5).replace("\"p\":\"1\"", "\"p\":\"2\"");
    recorder.hear(1, &mark(5), now());
    for text in [mark(5), other, mark(6)] {
        recorder.hear(2, &text, now());
    }
    recorder.lost(1, "disconnect");

    let (ids, ledger) = stored(&mut recorder);
    assert_eq!(ids, [5, 5, 6]);
    assert!(ledger.is_empty(), "{ledger:?}");
}

#[test]
fn a_stream_that_is_quiet_while_another_takes_over_has_no_hole() {
    let streams = ["btcusdt@aggTrade", "btcusdt@markPrice"].map(str::to_owned);
    // Whether the first brought anything after the other's subscription was taken.
    for (is_heard, holes) in [(true, vec![]), (false, vec!["gap rotation 1..5"])] {
        let mut recorder = recorder(&["aggTrade", "markPrice"]);
        recorder.hear(1, &mark(1), now());
        if !is_heard {
            recorder.hear(1, &trade(1), now());
        }
        recorder.taken(2, &streams, Instant::now());
        if is_heard {
            recorder.hear(1, &trade(1), now());
        }
        recorder.promote(2, "rotation");
        recorder.lost(1, "rotation");
        recorder.hear(2, &mark(5), now());

        let (ids, ledger) = stored(&mut recorder);
        assert_eq!(ids, [1, 1, 5]);
        assert_eq!(ledger, holes);
    }
}

#[test]
fn a_shadow_that_began_too_late_leaves_a_hole_that_is_told() {
    let mut recorder = recorder(&["markPrice"]);
    recorder.hear(1, &mark(1), now());
    recorder.hear(2, &mark(5), now());
    recorder.lost(1, "disconnect");

    let (ids, ledger) = stored(&mut recorder);
    assert_eq!(ids, [1, 5]);
    assert_eq!(ledger, ["gap disconnect 1..5"]);
}

#[test]
fn a_book_asks_for_a_snapshot_until_its_updates_follow_one() {
    let symbol = Symbol::parse("BTCUSDT").unwrap();
    let snapshot = |last_id| Snapshot {
        last_id,
        ..Snapshot::default()
    };
    let mut recorder = recorder(&["depth"]);
    assert!(recorder.take_wanted().is_empty());

    recorder.hear(1, &depth(10, 11, 15), now());
    assert_eq!(recorder.take_wanted(), [Wanted::Snapshot(symbol.clone())]);
    recorder.snapshot(&symbol, &snapshot(9), now());
    assert_eq!(recorder.take_wanted(), [Wanted::Snapshot(symbol.clone())]);
    recorder.snapshot(&symbol, &snapshot(17), now());
    recorder.hear(1, &depth(15, 16, 20), now());
    recorder.hear(1, &depth(20, 21, 25), now());
    assert!(recorder.take_wanted().is_empty());
    recorder.hear(1, &depth(30, 31, 35), now());
    assert_eq!(recorder.take_wanted(), [Wanted::Snapshot(symbol.clone())]);

    let (ids, ledger) = stored(&mut recorder);
    assert_eq!(ids, [15, 9, 17, 20, 25, 35]);
    assert_eq!(ledger, ["resync - ..20", "gap chain 25..35"]);
    let counts = recorder.counts();
    assert_eq!((counts.resyncs, counts.old_snapshots), (1, 1));
}

#[test]
fn what_cannot_be_read_is_told_a_few_times_and_counted() {
    let mut recorder = recorder(&["aggTrade"]);
    for _ in 0..50 {
        assert_eq!(recorder.hear(1, "{\"stream\":", now()), Heard::Malformed);
    }
    let other = trade(1).replace("BTCUSDT", "ETHUSDT");
    assert_eq!(recorder.hear(2, &other, now()), Heard::Malformed);

    let (_, ledger) = stored(&mut recorder);
    assert_eq!(ledger.len(), 11);
    assert_eq!(recorder.counts().malformed, 51);
}

#[test]
fn a_message_that_comes_again_does_not_stand_for_one_that_could_not_be_read() {
    let mut recorder = recorder(&["markPrice"]);
    for text in [mark(1), mark(2)] {
        recorder.hear(1, &text, now());
    }
    recorder.hear(1, &mark(3).replace("\"p\":\"1\"", "\"p\":\"x\""), now());
    for text in [mark(2), mark(4)] {
        recorder.hear(1, &text, now());
    }

    let (ids, ledger) = stored(&mut recorder);
    assert_eq!(ids, [1, 2, 4]);
    assert_eq!(ledger, ["malformed - ..", "gap malformed 2..4"]);
}

#[test]
fn a_new_session_goes_on_where_the_last_one_ended() {
    let mut recorder = recorder(&["aggTrade", "markPrice"]);
    let last = |id| Mark { id, event_ms: id };
    recorder.resume("btcusdt@aggTrade", last(7), "restart");
    recorder.resume("btcusdt@markPrice", last(7), "restart");
    for text in [trade(8), mark(20)] {
        recorder.hear(1, &text, now());
    }

    let (ids, ledger) = stored(&mut recorder);
    assert_eq!(ids, [8, 20]);
    assert_eq!(ledger, ["gap restart 7..20"]);
}

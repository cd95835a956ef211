use proptest::prelude::*;

use super::*;

fn line(price: f64, quantity: f64) -> std::result::Result<String, Fault> {
    let row = AggTradeRow {
        id: 7,
        trade_ms: 1_758_499_200_123,
        price,
        quantity,
        first_trade_id: 10,
        last_trade_id: 12,
        is_buyer_maker: true,
    };
    let mut lines = String::new();
    match Slot::Row(row).line(7, &(START_MS..START_MS + 200), &mut lines) {
        Some(fault) => {
            assert_eq!(lines, "");
            Err(fault)
        }
        None => Ok(lines),
    }
}

#[test]
fn decimals_of_a_row_are_those_the_exchange_wrote() {
    let told = line(97_123.4, 0.00000001).unwrap();
    assert_eq!(told, "7,97123.4,0.00000001,10,12,1758499200123,true\n");
    let long = line("0.123456789012345".parse().unwrap(), 123_456_789_012_345.0).unwrap();
    assert!(
        long.starts_with("7,0.123456789012345,123456789012345,"),
        "{long}"
    );
}

#[test]
fn what_a_double_does_not_hold_is_no_line() {
    for (price, quantity) in [("1", "12345678.90123456"), ("1234567890.1234567", "1")] {
        let (price, quantity) = (price.parse().unwrap(), quantity.parse().unwrap());
        assert_eq!(line(price, quantity), Err(Fault::Inexact(7)));
    }
}

#[test]
fn a_trade_that_came_twice_is_there_once_unless_it_differs() {
    let row = AggTradeRow {
        id: 7,
        trade_ms: 5,
        price: 1.0,
        quantity: 2.0,
        first_trade_id: 1,
        last_trade_id: 1,
        is_buyer_maker: false,
    };
    let mut slot = Slot::Empty;
    slot.put(&row);
    slot.put(&row);
    let mut lines = String::new();
    assert_eq!(slot.line(7, &(0..9), &mut lines), None);
    assert_eq!(slot.line(7, &(6..9), &mut lines), Some(Fault::Misplaced(7)));
    slot.put(&AggTradeRow {
        quantity: 3.0,
        ..row
    });
    assert_eq!(slot.line(7, &(0..9), &mut lines), Some(Fault::Disputed(7)));
    assert_eq!(lines, "7,1,2,1,1,5,false\n");
}

const START_MS: i64 = 1_758_499_200_000;

/// The day's trades; others are before it and behind.
const OF_DAY: Range<i64> = 100..112;

fn time_ms(id: i64) -> i64 {
    match id {
        ..100 => START_MS - 1,
        112.. => START_MS + 86_400_000,
        _ => START_MS + (id - 100) * 5,
    }
}

/// Writes each list of ids as a file of JSON lines, in the folders of three days in turn: of the day before what was
/// flushed then.
fn write(folder: &std::path::Path, files: &[Vec<i64>]) {
    for (number, ids) in files.iter().enumerate() {
        let lines = ids.iter().flat_map(|id| {
            ["BTCUSDT", "ETHUSDT"].map(|symbol| {
                let (time, price) = (time_ms(*id), *id as f64 / 8.0);
                let row = serde_json::json!({
                    "symbol": symbol, "trade_time": time, "agg_id": id, "price": price, "qty": 1.5,
                    "first_trade_id": id, "last_trade_id": id, "is_buyer_maker": symbol == "ETHUSDT",
                });
                format!("{row}\n")
            })
        });
        let day = folder.join(format!("trades/date=2025-09-2{}", 1 + number % 3));
        std::fs::create_dir_all(&day).unwrap();
        let name = format!("trades_{:08}.jsonl", 20_250_900 + number);
        std::fs::write(day.join(name), lines.collect::<String>()).unwrap();
    }
}

fn found(lake: &Lake, last_before: Option<i64>) -> Option<CapturedDay> {
    let symbol = Symbol::exact("BTCUSDT").unwrap();
    let day = jiff::civil::date(2025, 9, 22);
    let until_ms = START_MS + 86_400_000;
    CapturedDay::find(lake, Market::Um, &symbol, day, until_ms, last_before).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn lines_are_those_of_all_files_up_to_the_first_trade_that_none_has(
        files in proptest::collection::vec(
            proptest::collection::vec(OF_DAY.start - 2..OF_DAY.end + 2, 0..40), 1..8),
        stretch in 1..20_i64,
        known_before in proptest::bool::ANY,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files;
        for flushed_before in files.iter_mut().step_by(3) {
            flushed_before.retain(|id| *id < OF_DAY.start);
        }
        write(folder.path(), &files);
        let there: std::collections::BTreeSet<i64> = files.iter().flatten().copied().collect();
        let known = known_before.then_some(OF_DAY.start - 1);
        let lake = Lake::local(folder.path());

        let day = found(&lake, known);

        let begins = there.contains(&OF_DAY.start)
            && (known_before || there.contains(&(OF_DAY.start - 1)));
        prop_assert_eq!(day.is_some(), begins);
        let Some(day) = day else { return Ok(()) };
        let mut lines = String::new();
        let proven = day.lines_by(stretch, &lake, &mut |more| {
            lines.push_str(more);
            ControlFlow::Continue(())
        });
        let missing = (OF_DAY.start..=OF_DAY.end).find(|id| !there.contains(id));
        let end = missing.unwrap_or(OF_DAY.end).min(OF_DAY.end);
        let wanted: String = (OF_DAY.start..end)
            .map(|id| format!("{id},{},1.5,{id},{id},{},false\n", id as f64 / 8.0, time_ms(id)))
            .collect();
        prop_assert_eq!(lines, wanted);
        let proven = proven.unwrap();
        prop_assert_eq!(proven.fault, missing.map(Fault::Missing));
        prop_assert_eq!(
            (proven.rows as i64, proven.last_id, proven.last_ms),
            (end - OF_DAY.start, end - 1, time_ms(end - 1))
        );
    }
}

#[test]
fn lines_end_when_nobody_wants_more() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[(99..113).collect()]);
    let lake = Lake::local(folder.path());
    let mut taken = 0;

    let proven = found(&lake, None).unwrap().lines(&lake, &mut |_| {
        taken += 1;
        ControlFlow::Break(())
    });

    assert_eq!((taken, proven.unwrap().fault), (1, None));
}

#[test]
fn footers_place_files_by_the_times_of_their_messages() {
    let end_ms = START_MS + 86_400_000;
    let placed = |spans: &[(&str, [i64; 5])]| {
        let spans = spans
            .iter()
            .map(|(stream, span)| ((*stream).to_owned(), Span::from(*span)));
        let footer = Coverage {
            session: "a".to_owned(),
            sequence: 0,
            market: "um".to_owned(),
            coverage: spans.collect(),
        };
        let symbol = Symbol::exact("BTCUSDT").unwrap();
        let mut survey = Survey::new(&symbol, START_MS..end_ms, None);
        let of_day = survey.placed(&footer);
        let of_day = of_day.map(|spans| spans.iter().map(|span| span.first_id).collect());
        (of_day, survey.before, survey.after)
    };
    let stream = |name: &'static str, span| placed(&[(name, span)]);
    let trades = |span| stream("btcusdt@aggTrade", span);
    let none: Vec<i64> = Vec::new();
    let noon_ms = START_MS + 43_200_000;

    let before = trades([90, 99, START_MS - 7_200_000, START_MS - 1, 10]);
    assert_eq!(before, (Some(none.clone()), Some(99), None));
    let behind = trades([200, 209, end_ms + LATE_MS, end_ms + LATE_MS + 5, 10]);
    assert_eq!(behind, (Some(none.clone()), None, Some(200)));
    let within = trades([120, 129, noon_ms, noon_ms + 5, 10]);
    assert_eq!(within, (Some(vec![120]), None, None));
    // A message just behind midnight may be of a trade before it; what jumps may hide a hole.
    for doubtful in [
        [99, 100, START_MS - 1, START_MS + 1, 2],
        [100, 101, START_MS + 1, START_MS + 2, 2],
        [198, 199, end_ms + 1, end_ms + 2, 2],
        [120, 129, noon_ms, noon_ms + 5, 9],
    ] {
        assert_eq!(trades(doubtful).0, None, "{doubtful:?}");
    }
    let of_others = stream("ethusdt@aggTrade", [1, 2, noon_ms, noon_ms, 2]);
    assert_eq!(of_others, (Some(none), None, None));
    let both = placed(&[
        ("btcusdt@aggTrade", [120, 129, noon_ms, noon_ms + 5, 10]),
        ("btcusdt@aggTrade@filled", [110, 119, noon_ms, noon_ms, 10]),
    ]);
    assert_eq!(both.0, Some(vec![120, 110]));
}

//! Whole CSVs through the mill: what must not matter does not, and rows worked out by hand come out as they should.

use proptest::prelude::*;
use tapemill_market::{
    AggTradesMill, AggTradesResult, Market, Milled, Minute, Quality, RowError, Symbol, Thresholds,
};

const START_MS: u64 = 1_704_067_200_000;

fn mill(
    market: Market,
    symbol: &str,
    csv: &str,
    chunk: usize,
) -> Result<(Vec<Minute>, Quality), RowError> {
    let symbol = Symbol::exact(symbol).unwrap();
    let period = "2024-01-01".parse().unwrap();
    let read = |mut mill: AggTradesMill| {
        for bytes in csv.as_bytes().chunks(chunk.max(1)) {
            mill.feed(bytes)?;
        }
        mill.finish()
    };
    let first = read(AggTradesMill::new(
        market,
        &symbol,
        period,
        Thresholds::default(),
    ))?;
    let result = match first {
        Milled::Whole(result) => result,
        Milled::Again(repeated) => {
            let second =
                AggTradesMill::second(market, &symbol, period, Thresholds::default(), repeated);
            match read(second)? {
                Milled::Whole(result) => result,
                Milled::Again(_) => panic!("a second reading is the last"),
            }
        }
    };
    let AggTradesResult { quality, .. } = &*result;
    Ok((result.minutes().collect(), quality.clone()))
}

fn um(rows: &[String]) -> (Vec<Minute>, Quality) {
    mill(Market::Um, "BTCUSDT", &(rows.join("\n") + "\n"), 1 << 16).unwrap()
}

fn row(id: u64, price: &str, quantity: &str, second: u64, maker: bool) -> String {
    format!(
        "{id},{price},{quantity},{id},{id},{},{maker}",
        START_MS + second * 1000
    )
}

#[derive(Debug, Clone)]
struct Trade {
    id: u64,
    price: u64,
    quantity: u64,
    decimals: usize,
    second: u64,
    maker: bool,
}

fn trades() -> impl Strategy<Value = Vec<Trade>> {
    let trade = (
        1u64..5_000_000,
        1u64..200_000,
        0usize..9,
        0u64..7200,
        any::<bool>(),
    );
    prop::collection::vec(trade, 1..120).prop_map(|trades| {
        let numbered = trades.into_iter().enumerate();
        numbered
            .map(|(at, (price, quantity, decimals, second, maker))| Trade {
                id: 1000 + at as u64,
                price,
                quantity,
                decimals,
                second,
                maker,
            })
            .collect()
    })
}

fn rows(trades: &[Trade]) -> Vec<String> {
    let decimal = |value: u64, places: usize| {
        let digits = format!("{value:0width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        if places == 0 {
            whole.to_owned()
        } else {
            format!("{whole}.{fraction}")
        }
    };
    trades
        .iter()
        .map(|t| {
            row(
                t.id,
                &decimal(t.price, t.decimals),
                &decimal(t.quantity, t.decimals / 2),
                t.second,
                t.maker,
            )
        })
        .collect()
}

proptest! {
    #[test]
    fn neither_the_order_of_rows_nor_the_cuts_between_chunks_matter(trades in trades(), seed: u64, chunk in 1usize..300) {
        let sorted = rows(&trades);
        let mut shuffled = sorted.clone();
        let mut state = seed | 1;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }

        let (expected, quality) = um(&sorted);
        let (found, other) = mill(Market::Um, "BTCUSDT", &shuffled.join("\r\n"), chunk).unwrap();

        prop_assert_eq!(found, expected);
        prop_assert_eq!(Quality { unordered: 0, ..other }, quality);
    }

    #[test]
    fn both_sides_make_the_whole(trades in trades()) {
        let (minutes, quality) = um(&rows(&trades));

        let rows: i64 = minutes.iter().map(|m| m.trade_count).sum();
        prop_assert_eq!(rows as u64, quality.rows - quality.zero_quantity);
        for minute in minutes {
            prop_assert_eq!(minute.taker_buy_trade_count + minute.taker_sell_trade_count, minute.trade_count);
            let sides = minute.taker_buy_quote + minute.taker_sell_quote;
            prop_assert!((sides - minute.quote_volume).abs() <= minute.quote_volume * 1e-15);
            prop_assert!(minute.price_low <= minute.price_first && minute.price_first <= minute.price_high);
        }
    }
}

#[test]
fn sums_keep_what_floats_lose() {
    // Ten times 0.1 is 1 in decimals and 0.9999999999999999 in floats added one by one.
    let rows: Vec<_> = (0..10).map(|id| row(id, "1", "0.1", id, false)).collect();
    let (minutes, _) = um(&rows);
    assert_eq!(minutes[0].base_volume, 1.0);
    assert_eq!(minutes[0].taker_buy_quote_sq, 0.1);
}

#[test]
fn thresholds_are_compared_exactly() {
    // 0.00000001 × 5000000000000 = 50000 exactly; one more unit of price is above, one less below.
    let rows = [
        row(1, "50000.0", "1.000", 0, false),
        row(2, "49999.9", "1.000", 0, false),
        row(3, "1000", "1", 0, true),
        row(4, "1000.00000001", "1", 0, true),
    ];
    let (minutes, _) = um(&rows);
    assert_eq!(minutes[0].whale_buy_quote, 50_000.0);
    assert_eq!(minutes[0].retail_sell_quote, 1000.0);
}

#[test]
fn decimals_of_twelve_places_beside_large_numbers_stay_exact() {
    let rows = [
        row(
            1,
            "99999999999.999999999999",
            "1234567.123456789012",
            0,
            false,
        ),
        row(2, "0.000000000001", "0.000000000001", 0, false),
        row(3, "1", "100000000000", 0, true),
    ];
    let (minutes, _) = um(&rows);
    let minute = &minutes[0];
    // 99999999999.999999999999 × 1234567.123456789012 + 10⁻²⁴, to the nearest float.
    assert_eq!(minute.taker_buy_quote, 123_456_712_345_678_900.0);
    assert_eq!(minute.base_volume, 100_001_234_567.123_46);
    assert_eq!(minute.price_high, 100_000_000_000.0);
    assert_eq!(minute.price_low, 1e-12);
}

#[test]
fn contracts_become_base_units_rounded_half_to_even() {
    // 100 USD a contract: 2 ÷ … gives ties at the ninth decimal.
    let csv = "1,62500,1,1,1,1704067200000,false\n2,64000,1,2,2,1704067200000,true\n";
    let (minutes, _) = mill(Market::Cm, "BTCUSD_PERP", csv, 100).unwrap();
    assert_eq!(minutes[0].quote_volume, 200.0);
    assert_eq!(minutes[0].taker_buy_qty, 0.0016);
    assert_eq!(minutes[0].taker_sell_qty, 0.0015625);
    // 10 ÷ 6_400_000_000 = 1.5625e-9 → 0; 10 ÷ 400_000_000 = 2.5e-8 → 2e-8 (even), 10 ÷ 285_714_285.… → 3.5e-8 → 4e-8.
    let csv = "1,400000000,1,1,1,1704067200000,false\n2,6400000000,1,2,2,1704067200000,true\n";
    let (minutes, _) = mill(Market::Cm, "ETHUSD_PERP", csv, 100).unwrap();
    assert_eq!(minutes[0].taker_buy_qty, 2e-8);
    assert_eq!(minutes[0].taker_sell_qty, 0.0);
}

#[test]
fn a_repeated_id_counts_once_and_contradictions_are_counted_apart() {
    let first = row(5, "10", "1", 0, false);
    let rows = [
        row(4, "10", "1", 0, false),
        first.clone(),
        row(6, "10", "1", 90, false),
        first.replace(",10,", ",10.00,"),
        row(5, "11", "1", 0, false),
        row(7, "10", "0.000", 0, false),
        row(8, "10", "1", 86_400, false),
        row(12, "10", "1", 91, true),
    ];
    let (minutes, quality) = um(&rows);

    assert_eq!(
        minutes.iter().map(|m| m.trade_count).collect::<Vec<_>>(),
        [2, 2]
    );
    assert_eq!(
        (quality.rows, quality.duplicates, quality.contradictions),
        (8, 1, 1)
    );
    assert_eq!(
        (
            quality.zero_quantity,
            quality.out_of_period,
            quality.unordered
        ),
        (1, 1, 2)
    );
    assert_eq!((quality.id_gaps, quality.missing_ids), (Some(1), Some(3)));
    assert_eq!((quality.first_id, quality.last_id), (Some(4), Some(12)));
    assert_eq!(quality.missing_minutes, Some(1438));
}

#[test]
fn a_bad_row_is_named_by_line_and_column() {
    let mut rows: Vec<_> = (0..500)
        .map(|id| row(id, "10.5", "1.5", id, id % 2 == 0))
        .collect();
    rows[321] = rows[321].replace("10.5", "10.x5");
    let csv =
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
            .to_owned()
            + &rows.join("\n");
    let error = mill(Market::Um, "BTCUSDT", &csv, 777).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 323, column price: \"10.x5\" is not a decimal of at most 12 places without a sign"
    );
}

#[test]
fn a_header_in_another_order_is_refused() {
    let csv =
        "agg_trade_id,quantity,price,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n";
    assert_eq!(
        mill(Market::Um, "BTCUSDT", csv, 100).unwrap_err().column,
        "header"
    );
}

#[test]
fn a_spot_row_is_no_futures_row() {
    let csv = "1,10.0,1.0,1,1,1704067200000000,False,True\n";
    assert!(mill(Market::Spot, "BTCUSDT", csv, 100).is_ok());
    for market in [Market::Um, Market::Cm] {
        let error = mill(market, "BTCUSDT", csv, 100).unwrap_err();
        assert!(error.to_string().contains("8 are spot's"), "{error}");
    }
}

#[test]
fn an_empty_file_has_no_minutes() {
    let (minutes, quality) = mill(Market::Um, "BTCUSDT", "", 100).unwrap();
    assert!(minutes.is_empty());
    assert_eq!(
        (quality.rows, quality.first_id, quality.missing_minutes),
        (0, None, Some(1440))
    );
}

/// A row, mostly of the common form, at times odd, at times wrong.
fn any_row() -> impl Strategy<Value = (u8, u64, u64, u64, bool)> {
    (
        0u8..100,
        1u64..2_000_000,
        0u64..200_000,
        0u64..90_000_000,
        any::<bool>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_in_one_chunk_come_out_as_rows_one_by_one(rows in prop::collection::vec(any_row(), 60..400), wrong: bool) {
        let mut id = 999_999_900u64;
        let mut csv = String::new();
        for (what, price, quantity, time, maker) in rows {
            id += 1;
            let (mut price, mut quantity) = (format!("{}.{}", price / 10, price % 10), format!("{}.{:03}", quantity / 1000, quantity % 1000));
            let (mut this, mut time) = (id, (START_MS + time % 86_400_000).to_string());
            match what {
                0..2 => this = id - 40,
                2..4 => id += 5,
                4 => price.push('5'),
                5 => price = "1.5E3".to_owned(),
                6 => quantity = "7".to_owned(),
                7 => quantity = "123456789012.125".to_owned(),
                8 => time = (START_MS - 1).to_string(),
                9 => time.push_str("000"),
                10 => quantity.push_str("00000"),
                11 => price = "99999999999999.9".to_owned(),
                12 if wrong => price.push('x'),
                _ => {}
            }
            csv.push_str(&format!("{this},{price},{quantity},{id},{},{time},{maker}\n", id + u64::from(what) / 10));
        }
        let whole = mill(Market::Um, "BTCUSDT", &csv, usize::MAX);
        let first = mill(Market::Um, "BTCUSDT", &csv, 50);
        match (whole, first) {
            (Ok(whole), Ok(first)) => prop_assert_eq!(whole, first),
            (Err(whole), Err(first)) => prop_assert_eq!(whole.to_string(), first.to_string()),
            (whole, first) => prop_assert!(false, "{:?} and {:?}", whole.is_ok(), first.is_ok()),
        }
    }

    #[test]
    fn rows_of_a_minute_in_one_chunk_come_out_as_rows_one_by_one(
        rows in prop::collection::vec((0u16..600, 1u64..1_000_000, 0u64..200_000, 0u64..900, any::<bool>()), 100..800),
        size in prop::sample::select(vec![1u64, 1, 40, 60_000, 3_000_000_000]),
        step in prop::sample::select(vec![1u64, 30, 400]),
        oddities in prop::sample::select(vec![0u16, 4, 30]),
    ) {
        let (mut id, mut first_id, mut time) = (1_000_000_000u64, 5_000_000_000u64, START_MS);
        let mut csv = String::new();
        for (what, price, quantity, wait, maker) in rows {
            id += 1;
            time += wait * step / 400;
            let last_id = first_id + wait % 7;
            let (mut price, mut quantity) = (price + 10, (quantity + 1) * size);
            let (mut this, mut now, mut last) = (id, time, last_id);
            match what % 10 {
                _ if what >= oddities => {}
                0 => this = id - 3,
                1 => id += 2,
                2 => quantity = 0,
                3 => now += 59_999 - (now - START_MS) % 60_000,
                4 => now += 60_000,
                5 => price *= 100_000,
                6 => quantity = quantity.saturating_mul(50_000).min(10_u64.pow(15)),
                7 => last = first_id - 1,
                8 => now = START_MS - 1,
                _ => (price, quantity) = (4_000_000_000, 4_200_000_000),
            }
            csv.push_str(&format!(
                "{this},{}.{},{}.{:03},{first_id},{last},{now},{maker}\n",
                price / 10, price % 10, quantity / 1000, quantity % 1000
            ));
            first_id = last_id + 1;
        }
        let whole = mill(Market::Um, "BTCUSDT", &csv, usize::MAX);
        let first = mill(Market::Um, "BTCUSDT", &csv, 50);
        match (whole, first) {
            (Ok(whole), Ok(first)) => prop_assert_eq!(whole, first),
            (Err(whole), Err(first)) => prop_assert_eq!(whole.to_string(), first.to_string()),
            (whole, first) => prop_assert!(false, "{:?} and {:?}", whole.is_ok(), first.is_ok()),
        }
    }
}

//! Rows as they are: whatever the order of rows and the cuts between chunks, the same rows come out.

use proptest::prelude::*;
use tapemill_market::{Cells, Dataset, Market, MilledRows, Period, Quality, RowsMill, Symbol};

const DAY_MS: u64 = 1_709_596_800_000;

/// Reads a file as the worker does: again where that is asked for, and runs are merged (here by sorting them).
fn mill(dataset: &str, csv: &[u8], chunk: usize) -> (Vec<Vec<u64>>, Quality) {
    let dataset = Dataset::named(dataset).unwrap();
    let symbol = Symbol::exact("BTCUSDT").unwrap();
    let period: Period = "2024-03-05".parse().unwrap();
    let mut again = None;
    for _ in 0..3 {
        let mut mill = match again.take() {
            None => RowsMill::new(dataset, Market::Um, &symbol, period).unwrap(),
            Some(again) => RowsMill::second(dataset, Market::Um, &symbol, period, again).unwrap(),
        };
        let mut cells = Cells::new();
        for chunk in csv.chunks(chunk) {
            mill.feed(chunk).unwrap();
            cells.extend(mill.give_out());
        }
        let mut result = match mill.finish().unwrap() {
            MilledRows::Whole(result) => result,
            MilledRows::Again(next) => {
                again = Some(next);
                continue;
            }
        };
        cells.extend(&result.rows);
        let order = result.unique.order().clone();
        let mut rows: Vec<Vec<u64>> = cells.chunks(order.width()).map(<[u64]>::to_vec).collect();
        if result.sorts {
            rows.sort_by(|left, right| order.compare(&result.words, left, right));
            let mut settled = Cells::new();
            for row in &rows {
                result.unique.push(&result.words, row, &mut settled);
            }
            result.unique.finish(&mut settled);
            result.quality.duplicates += result.unique.duplicates;
            result.quality.contradictions += result.unique.contradictions;
            rows = settled.chunks(order.width()).map(<[u64]>::to_vec).collect();
        }
        return (rows, result.quality);
    }
    panic!("it wants to be read a fourth time");
}

fn csv(rows: &[String]) -> Vec<u8> {
    let mut csv = rows.join("\n").into_bytes();
    csv.push(b'\n');
    csv
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn neither_the_order_of_trades_nor_the_cuts_between_chunks_matter(
        count in 1usize..60, repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..8), chunk in 1usize..400,
        seed in any::<u64>(),
    ) {
        let row = |at: usize| format!("{at},{}.5,0.{at:03},1.0,{},true", 100 + at % 7, DAY_MS + at as u64 / 3);
        let sorted: Vec<String> = (0..count).map(row).collect();
        let mut disturbed = sorted.clone();
        for repeat in &repeats {
            disturbed.push(repeat.get(&sorted).clone());
        }
        let length = disturbed.len();
        for at in 0..length {
            disturbed.swap(at, (seed.rotate_left(at as u32) as usize) % length);
        }

        let (expected, plain) = mill("trades", &csv(&sorted), 1 << 20);
        let (rows, quality) = mill("trades", &csv(&disturbed), chunk);

        prop_assert_eq!(&rows, &expected);
        prop_assert_eq!(rows.len(), count);
        prop_assert_eq!(quality.duplicates, repeats.len() as u64);
        prop_assert_eq!((quality.first_id, quality.last_id, quality.id_gaps), (plain.first_id, plain.last_id, plain.id_gaps));
    }

    #[test]
    fn of_rows_of_one_time_the_last_of_the_file_counts(times in prop::collection::vec(0u64..12, 1..40), chunk in 1usize..90) {
        let rows: Vec<String> = times
            .iter()
            .enumerate()
            .map(|(at, time)| format!("{},8,0.{at:04}", DAY_MS + time * 1000))
            .collect();

        let (found, quality) = mill("fundingRate", &csv(&rows), chunk);

        let mut expected = std::collections::BTreeMap::new();
        for (at, time) in times.iter().enumerate() {
            expected.insert(*time, at as f64 / 1e4);
        }
        let found: Vec<(u64, f64)> = found
            .iter()
            .map(|row| ((row[0] / 1000 - DAY_MS) / 1000, f64::from_bits(row[2])))
            .collect();
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(quality.contradictions as usize, times.len() - { let mut t = times.clone(); t.sort_unstable(); t.dedup(); t.len() });
    }
}

#[test]
fn a_file_larger_than_what_is_held_comes_out_sorted_in_any_order() {
    let row = |at: usize| format!("{at},1.5,0.5,1.0,{},false", DAY_MS + at as u64 / 10);
    let sorted: Vec<String> = (0..200_000).map(row).collect();
    let (expected, _) = mill("trades", &csv(&sorted), 1 << 17);
    assert_eq!(expected.len(), sorted.len());
    assert!(expected.is_sorted());

    let mut turned = sorted.clone();
    turned.rotate_left(90_000);
    let mut interleaved = Vec::new();
    let (front, back) = sorted.split_at(100_000);
    for (one, other) in front.iter().zip(back) {
        interleaved.extend([one.clone(), other.clone()]);
    }
    for file in [turned, interleaved] {
        let (rows, quality) = mill("trades", &csv(&file), 1 << 17);
        assert_eq!(rows, expected);
        assert!(quality.unordered > 0);
    }
}

//! Which days a collector may have captured.

use std::collections::BTreeSet;

use jiff::civil::Date;
use tapemill_capture::{Dataset, day_folder, format_of};
use tapemill_lake::{Lake, LakeError};
use tapemill_market::Market;

use crate::error::PlanError;
use crate::thread::on_a_thread;

/// An archive may be late by so many days; folders of captures are large, so that no older ones are listed.
const DAYS_BACK: i32 = 7;

/// The days up to today on which trades of a market were flushed, and those before such a day. Whose trades they are, and
/// whether all of them, is seen where they are read.
///
/// # Errors
///
/// [`PlanError`] for an output that fails.
pub async fn captured_days(
    lake: &Lake,
    market: Market,
    today: Date,
) -> Result<BTreeSet<Date>, PlanError> {
    let lake = lake.clone();
    on_a_thread(move || find(&lake, market, today)).await
}

fn find(lake: &Lake, market: Market, today: Date) -> Result<BTreeSet<Date>, LakeError> {
    let mut days = BTreeSet::new();
    for back in 0..=DAYS_BACK {
        let Ok(day) = today.checked_sub(jiff::Span::new().days(back)) else {
            break;
        };
        let files = lake.captures(&day_folder(Dataset::Trades, market, day))?;
        let is_one = |path: &str| format_of(Dataset::Trades, path).is_some();
        if files.iter().any(|(path, _)| is_one(path.file_name())) {
            days.extend([Some(day), day.yesterday().ok()].into_iter().flatten());
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_those_of_flushes_and_the_days_before() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        for (day, file) in [
            ("trades/date=2025-09-14", "trades_20250914.jsonl"),
            ("trades/date=2025-09-18", "trades_20250918.jsonl"),
            ("trades/date=2025-09-20", "notes.txt"),
            (
                "trades/date=2025-09-22",
                "trades_20250922T101512123456_0123abcd.parquet",
            ),
        ] {
            let day = folder.path().join(day);
            std::fs::create_dir_all(&day).unwrap();
            std::fs::write(day.join(file), "").unwrap();
        }
        let find = |market| find(&lake, market, date(2025, 9, 22)).unwrap();

        let days = [
            date(2025, 9, 17),
            date(2025, 9, 18),
            date(2025, 9, 21),
            date(2025, 9, 22),
        ];
        assert_eq!(find(Market::Um), BTreeSet::from(days));
        assert_eq!(find(Market::Cm), BTreeSet::new());
    }
}

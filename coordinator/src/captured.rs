//! Which days without an archive a collector may have captured.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tapemill_capture::{Dataset, day_folder, format_of};
use tapemill_exchange::RestSpec;
use tapemill_lake::{Lake, LakeError};
use tapemill_market::{ArchiveName, Data, Market};

/// Puts captured trades before the exchange for days on which some were flushed, or on the day after. Whether they are of
/// the symbol, and all of them, is seen where they are read.
pub(crate) fn captured_first(
    lake: &Lake,
    mut asked: Vec<(ArchiveName, RestSpec)>,
) -> Result<Vec<(ArchiveName, RestSpec)>, LakeError> {
    let mut flushed: BTreeMap<(Market, Date), bool> = BTreeMap::new();
    for (name, spec) in &mut asked {
        if name.data != Data::AggTrades || !name.period.is_day() {
            continue;
        }
        let day = name.period.first_day();
        for day in [Some(day), day.tomorrow().ok()].into_iter().flatten() {
            let known = flushed.get(&(name.market, day)).copied();
            let has_some = match known {
                Some(known) => known,
                None => has_trades(lake, name.market, day)?,
            };
            flushed.insert((name.market, day), has_some);
            spec.captured_first |= has_some;
        }
    }
    Ok(asked)
}

fn has_trades(lake: &Lake, market: Market, day: Date) -> Result<bool, LakeError> {
    let files = lake.captures(&day_folder(Dataset::Trades, market, day))?;
    let is_one = |path: &str| format_of(Dataset::Trades, path).is_some();
    Ok(files.iter().any(|(path, _)| is_one(path.file_name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_on_which_trades_were_flushed_are_read_before_the_exchange_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        let day = folder.path().join("trades/date=2025-09-22");
        std::fs::create_dir_all(&day).unwrap();
        std::fs::write(day.join("trades_20250922.jsonl"), "").unwrap();
        std::fs::create_dir_all(folder.path().join("trades/date=2025-09-24")).unwrap();
        let spec = RestSpec {
            closed_by_ms: 1,
            captured_first: false,
        };
        let asked = [
            "um/aggTrades/BTCUSDT/2025-09-21",
            "um/aggTrades/ETHUSDT/2025-09-22",
            "um/aggTrades/BTCUSDT/2025-09-23",
            "cm/aggTrades/BTCUSD_PERP/2025-09-22",
            "um/klines:1m/BTCUSDT/2025-09-22",
        ];
        let name = |id: &str| ArchiveName::from_task_id(id).unwrap();
        let asked = asked.map(|id| (name(id), spec)).to_vec();

        let found = captured_first(&lake, asked).unwrap();

        let found: Vec<bool> = found.iter().map(|(_, spec)| spec.captured_first).collect();
        assert_eq!(found, [true, true, false, false, false]);
    }
}

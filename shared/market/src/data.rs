//! What a task mills: the items of `--data`, the archive's files for them, and the tables they become.

use crate::{Interval, Market, NameError, Period, Symbol};

/// One item of `--data`: a kind of archive, with the interval where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// Aggregate trades: `aggTrades`.
    AggTrades,
    /// The exchange's own candles: `klines:1m`.
    Klines(Interval),
}

impl Data {
    /// The folder of this kind in the archive.
    pub fn archive_folder(self) -> &'static str {
        match self {
            Self::AggTrades => "aggTrades",
            Self::Klines(_) => "klines",
        }
    }

    /// The tables a task of this kind writes, the main one first.
    pub fn tables(self) -> Vec<String> {
        match self {
            Self::AggTrades => vec!["aggtrades_1m".into(), "factors_1h".into()],
            Self::Klines(Interval::MINUTE) => vec!["klines_1m".into(), "klines_1h_from_1m".into()],
            Self::Klines(interval) => vec![format!("klines_{interval}")],
        }
    }

    /// Reads a comma-separated `--data` list; an item given twice counts once.
    ///
    /// # Errors
    ///
    /// Names the item that is not known, or that has or lacks an interval.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, NameError> {
        let mut items = Vec::new();
        for item in text.split(',') {
            let item: Self = item.trim().parse()?;
            if !items.contains(&item) {
                items.push(item);
            }
        }
        Ok(items)
    }
}

impl std::fmt::Display for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AggTrades => f.write_str("aggTrades"),
            Self::Klines(interval) => write!(f, "klines:{interval}"),
        }
    }
}

impl std::str::FromStr for Data {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once(':') {
            None if text == "aggTrades" => Ok(Self::AggTrades),
            Some(("klines", interval)) => Ok(Self::Klines(interval.parse()?)),
            _ => Err(NameError::new(
                "data",
                text,
                "aggTrades or klines:INTERVAL, such as klines:1m",
            )),
        }
    }
}

/// One archive file: what a task is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveName {
    /// The market.
    pub market: Market,
    /// The kind of data.
    pub data: Data,
    /// The symbol.
    pub symbol: Symbol,
    /// The month or day.
    pub period: Period,
}

impl ArchiveName {
    /// The task's id, such as `um/aggTrades/BTCUSDT/2024-01`.
    pub fn task_id(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.market, self.data, self.symbol, self.period
        )
    }

    /// The ids of the tasks of a month's days, which it replaces; none for a day's archive.
    pub fn task_ids_of_days(&self) -> impl Iterator<Item = String> + use<> {
        let days = match self.period {
            Period::Month(first) => first.days_in_month(),
            Period::Day(_) => 0,
        };
        // A plan needs them for each of its months: what they have in common is put together once.
        let month = self.task_id();
        (1..=days).map(move |day| format!("{month}-{day:02}"))
    }

    /// Reads a task's id back.
    ///
    /// # Errors
    ///
    /// Names the id when it has not the four parts, or one of them is wrong.
    pub fn from_task_id(id: &str) -> Result<Self, NameError> {
        let parts: Vec<_> = id.split('/').collect();
        let [market, data, symbol, period] = parts[..] else {
            return Err(NameError::new("task id", id, "MARKET/DATA/SYMBOL/PERIOD"));
        };
        Ok(Self {
            market: market.parse()?,
            data: data.parse()?,
            symbol: Symbol::exact(symbol)?,
            period: period.parse()?,
        })
    }

    /// The file's own path in the archive, without host.
    pub fn key(&self) -> String {
        let folder = archive_folder(
            self.market,
            self.data,
            &self.symbol,
            self.period.archive_folder(),
        );
        format!("{folder}{}", self.file_name())
    }

    /// The archives of a month's days, which it replaces; none for a day's archive.
    pub fn days(&self) -> impl Iterator<Item = Self> + '_ {
        let days = match self.period {
            Period::Month(first) => first.days_in_month(),
            Period::Day(_) => 0,
        };
        (0..days).map(|offset| {
            let day = self.period.first_day() + jiff::Span::new().days(offset);
            Self {
                period: Period::Day(day),
                ..self.clone()
            }
        })
    }

    /// The ZIP's name.
    pub fn file_name(&self) -> String {
        format!(
            "{}{}.zip",
            archive_stem(self.data, &self.symbol),
            self.period
        )
    }

    /// Reads the period out of a file name of this kind and symbol; `None` for strays and sidecars.
    pub fn period_of(data: Data, symbol: &Symbol, file_name: &str) -> Option<Period> {
        let rest = file_name.strip_prefix(archive_stem(data, symbol).as_str())?;
        rest.strip_suffix(".zip")?.parse().ok()
    }

    /// The symbol of an archive file found by its name alone; `None` when it is not of this kind.
    pub fn symbol_of(data: Data, file_name: &str) -> Option<Symbol> {
        let kind = match data {
            Data::AggTrades => "-aggTrades-".to_owned(),
            Data::Klines(interval) => format!("-{interval}-"),
        };
        let (symbol, _) = file_name.split_once(&kind)?;
        let symbol = Symbol::exact(symbol).ok()?;
        Self::period_of(data, &symbol, file_name)?;
        Some(symbol)
    }
}

/// Where the archive keeps one symbol's files, with a final slash; `frequency` is `monthly` or `daily`.
pub fn archive_folder(market: Market, data: Data, symbol: &Symbol, frequency: &str) -> String {
    let symbols = symbols_folder(market, data, frequency);
    match data {
        Data::AggTrades => format!("{symbols}{symbol}/"),
        Data::Klines(interval) => format!("{symbols}{symbol}/{interval}/"),
    }
}

/// Where the archive keeps the folders of all symbols, with a final slash.
pub fn symbols_folder(market: Market, data: Data, frequency: &str) -> String {
    format!(
        "{}/{frequency}/{}/",
        market.archive_prefix(),
        data.archive_folder()
    )
}

/// What a symbol's file names of one kind begin with; the period follows.
pub fn archive_stem(data: Data, symbol: &Symbol) -> String {
    match data {
        Data::AggTrades => format!("{symbol}-aggTrades-"),
        Data::Klines(interval) => format!("{symbol}-{interval}-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: &str) -> ArchiveName {
        ArchiveName::from_task_id(id).unwrap()
    }

    #[test]
    fn keys_are_the_archives_own_paths() {
        assert_eq!(
            name("um/aggTrades/BTCUSDT/2024-01").key(),
            "data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip"
        );
        assert_eq!(
            name("spot/klines:1mo/BTCUSDT/2024-01").key(),
            "data/spot/monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2024-01.zip"
        );
        assert_eq!(
            name("cm/klines:1m/BTCUSD_PERP/2024-01-17").key(),
            "data/futures/cm/daily/klines/BTCUSD_PERP/1m/BTCUSD_PERP-1m-2024-01-17.zip"
        );
    }

    #[test]
    fn a_task_id_reads_back() {
        for id in [
            "um/aggTrades/BTCUSDT/2024-01",
            "um/klines:1m/BTCUSDT/2024-01-02",
        ] {
            assert_eq!(name(id).task_id(), id);
        }
        for id in [
            "um/aggTrades/BTCUSDT",
            "um/aggTrades/btcusdt/2024-01",
            "um/x/BTCUSDT/2024-01",
        ] {
            assert!(ArchiveName::from_task_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_month_replaces_each_of_its_days() {
        let days: Vec<_> = name("um/aggTrades/BTCUSDT/2024-02")
            .days()
            .map(|day| day.task_id())
            .collect();
        assert_eq!(days.len(), 29);
        assert_eq!(days[28], "um/aggTrades/BTCUSDT/2024-02-29");
        let ids = name("um/aggTrades/BTCUSDT/2024-02").task_ids_of_days();
        assert!(ids.eq(days));
        assert_eq!(
            name("um/aggTrades/BTCUSDT/2024-02-03")
                .task_ids_of_days()
                .count(),
            0
        );
        assert_eq!(name("um/aggTrades/BTCUSDT/2024-02-03").days().count(), 0);
    }

    #[test]
    fn strays_in_a_listing_have_no_period() {
        let symbol = Symbol::exact("BTCUSDT").unwrap();
        let period = |file| ArchiveName::period_of(Data::AggTrades, &symbol, file);
        assert!(period("BTCUSDT-aggTrades-2024-01.zip").is_some());
        assert!(period("part-00000-0fae7358-c000.zip").is_none());
        assert!(period("BTCUSDT-aggTrades-2024-01.zip.CHECKSUM").is_none());
        assert!(period("BTCUSDT-aggTrades-2024-01-1.zip").is_none());
    }

    #[test]
    fn a_loose_file_tells_its_symbol() {
        let minute = Data::Klines(Interval::MINUTE);
        let symbol = |data, file| ArchiveName::symbol_of(data, file).map(|s| s.to_string());
        assert_eq!(
            symbol(minute, "BTCUSD_PERP-1m-2024-01.zip").as_deref(),
            Some("BTCUSD_PERP")
        );
        assert_eq!(symbol(Data::AggTrades, "BTCUSD_PERP-1m-2024-01.zip"), None);
    }

    #[test]
    fn the_data_list_accepts_1_m_as_a_month_and_drops_repeats() {
        let list = Data::parse_list("aggTrades, klines:1M,klines:1mo").unwrap();
        assert_eq!(
            list.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["aggTrades", "klines:1mo"]
        );
        assert!(Data::parse_list("").is_err());
        assert!(Data::parse_list("aggTrades,").is_err());
        assert!(Data::parse_list("klines").is_err());
    }
}

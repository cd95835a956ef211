//! What a task mills: the items of `--data`, the archive's files for them, and the tables they become.

use crate::dataset::{AGG_TRADES, Dataset};
use crate::{Interval, Market, NameError, Period, Symbol};

/// One item of `--data`: a kind of archive, with the interval where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// Minutes and hours made of aggregate trades: `aggTrades`.
    AggTrades,
    /// The same, and every trade as it is: `aggTrades:raw`.
    RawAggTrades,
    /// The exchange's own candles: `klines:1m`, `markPriceKlines:1h` and so on.
    Klines(Bars, Interval),
    /// Rows as they are: `fundingRate` and so on.
    Rows(&'static Dataset),
}

/// Whose prices the exchange's candles are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bars {
    /// Of trades.
    Trade,
    /// Of a future's mark price.
    MarkPrice,
    /// Of the index a future follows; a cm index is of a pair (`BTCUSD`), not of a contract.
    IndexPrice,
    /// Of a perpetual's premium over its index; may be negative.
    PremiumIndex,
}

impl Bars {
    const ALL: [Self; 4] = [
        Self::Trade,
        Self::MarkPrice,
        Self::IndexPrice,
        Self::PremiumIndex,
    ];

    /// The archive's folder.
    pub fn archive_folder(self) -> &'static str {
        match self {
            Self::Trade => "klines",
            Self::MarkPrice => "markPriceKlines",
            Self::IndexPrice => "indexPriceKlines",
            Self::PremiumIndex => "premiumIndexKlines",
        }
    }

    /// What its tables' names begin with.
    fn table(self) -> &'static str {
        match self {
            Self::Trade => "klines",
            Self::MarkPrice => "mark_price_klines",
            Self::IndexPrice => "index_price_klines",
            Self::PremiumIndex => "premium_index_klines",
        }
    }
}

impl Data {
    /// Candles of trades.
    pub const fn klines(interval: Interval) -> Self {
        Self::Klines(Bars::Trade, interval)
    }

    /// The folder of this kind in the archive.
    pub fn archive_folder(self) -> &'static str {
        match self {
            Self::AggTrades | Self::RawAggTrades => "aggTrades",
            Self::Klines(bars, _) => bars.archive_folder(),
            Self::Rows(dataset) => dataset.name,
        }
    }

    /// The tables a task of this kind writes, the main one first.
    pub fn tables(self) -> Vec<String> {
        match self {
            Self::AggTrades => vec!["aggtrades_1m".into(), "factors_1h".into()],
            Self::RawAggTrades => vec![
                "aggtrades_1m".into(),
                "factors_1h".into(),
                AGG_TRADES.table.into(),
            ],
            Self::Klines(Bars::Trade, Interval::MINUTE) => {
                vec!["klines_1m".into(), "klines_1h_from_1m".into()]
            }
            Self::Klines(bars, interval) => vec![format!("{}_{interval}", bars.table())],
            Self::Rows(dataset) => vec![dataset.table.into()],
        }
    }

    /// The kind whose tasks write this table; `None` for a name that none writes.
    pub fn of_table(table: &str) -> Option<Self> {
        let minute = Self::klines(Interval::MINUTE);
        let rows = Dataset::of_table(table).map(Self::Rows);
        let plain = [Self::AggTrades, Self::RawAggTrades, minute].into_iter();
        let bars = Bars::ALL.into_iter().filter_map(|bars| {
            let interval = table.strip_prefix(bars.table())?.strip_prefix('_')?;
            Some(Self::Klines(bars, interval.parse().ok()?))
        });
        plain
            .chain(rows)
            .chain(bars)
            .find(|data| data.tables().iter().any(|written| written == table))
    }

    /// Whether the exchange publishes archives of this kind for the market.
    ///
    /// # Errors
    ///
    /// Says which markets have it.
    pub fn check_market(self, market: Market) -> Result<(), NameError> {
        let futures = "a kind of data of the market (only um and cm have it)";
        let expected = match (self, market) {
            (Self::Klines(Bars::Trade, interval), Market::Um | Market::Cm)
                if interval.as_str() == "1s" =>
            {
                "an interval of the market (only spot has 1s)"
            }
            (Self::Klines(bars, _), Market::Spot) if bars != Bars::Trade => futures,
            (Self::Rows(dataset), _) if dataset.layout(market).is_none() => futures,
            _ => return Ok(()),
        };
        Err(NameError::new(
            "data",
            &format!("{self} of {market}"),
            expected,
        ))
    }

    /// Reads a comma-separated `--data` list; an item given twice counts once, and `aggTrades` is part of
    /// `aggTrades:raw`.
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
        if items.contains(&Self::RawAggTrades) {
            items.retain(|&item| item != Self::AggTrades);
        }
        Ok(items)
    }

    /// Every kind of data there is, by the name of its archives.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["aggTrades"]
            .into_iter()
            .chain(Bars::ALL.map(Bars::archive_folder))
            .chain(Dataset::names())
    }
}

impl std::fmt::Display for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AggTrades => f.write_str("aggTrades"),
            Self::RawAggTrades => f.write_str("aggTrades:raw"),
            Self::Klines(bars, interval) => write!(f, "{}:{interval}", bars.archive_folder()),
            Self::Rows(dataset) => f.write_str(dataset.name),
        }
    }
}

impl std::str::FromStr for Data {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        let bars = Bars::ALL
            .into_iter()
            .find(|bars| bars.archive_folder() == name);
        match (name, rest, bars, Dataset::named(name)) {
            ("aggTrades", None, ..) => Ok(Self::AggTrades),
            ("aggTrades", Some("raw"), ..) => Ok(Self::RawAggTrades),
            (_, Some(interval), Some(bars), _) => Ok(Self::Klines(bars, interval.parse()?)),
            (_, None, _, Some(dataset)) => Ok(Self::Rows(dataset)),
            _ => {
                let names: Vec<_> = Self::names()
                    .map(
                        |name| match Bars::ALL.iter().any(|bars| bars.archive_folder() == name) {
                            true => format!("{name}:INTERVAL"),
                            false => name.to_owned(),
                        },
                    )
                    .collect();
                Err(NameError::new(
                    "data",
                    text,
                    format!("one of aggTrades:raw, {}", names.join(", ")),
                ))
            }
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
        let (market, data): (Market, Data) = (market.parse()?, data.parse()?);
        data.check_market(market)?;
        Ok(Self {
            market,
            data,
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
        let (symbol, _) = file_name.split_once(&file_kind(data))?;
        let symbol = Symbol::exact(symbol).ok()?;
        Self::period_of(data, &symbol, file_name)?;
        Some(symbol)
    }
}

/// Where the archive keeps one symbol's files, with a final slash; `frequency` is `monthly` or `daily`.
pub fn archive_folder(market: Market, data: Data, symbol: &Symbol, frequency: &str) -> String {
    let symbols = symbols_folder(market, data, frequency);
    match data {
        Data::Klines(_, interval) => format!("{symbols}{symbol}/{interval}/"),
        _ => format!("{symbols}{symbol}/"),
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
    format!("{symbol}{}", file_kind(data))
}

/// What a file name has between symbol and period. All candles of one interval have the same.
fn file_kind(data: Data) -> String {
    match data {
        Data::Klines(_, interval) => format!("-{interval}-"),
        _ => format!("-{}-", data.archive_folder()),
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
        let minute = Data::klines(Interval::MINUTE);
        let symbol = |data, file| ArchiveName::symbol_of(data, file).map(|s| s.to_string());
        assert_eq!(
            symbol(minute, "BTCUSD_PERP-1m-2024-01.zip").as_deref(),
            Some("BTCUSD_PERP")
        );
        assert_eq!(symbol(Data::AggTrades, "BTCUSD_PERP-1m-2024-01.zip"), None);
    }

    #[test]
    fn every_kind_reads_back_and_has_its_tables() {
        for (item, tables) in [
            ("aggTrades", "aggtrades_1m factors_1h"),
            ("aggTrades:raw", "aggtrades_1m factors_1h aggtrades"),
            ("klines:1m", "klines_1m klines_1h_from_1m"),
            ("klines:1h", "klines_1h"),
            ("markPriceKlines:1m", "mark_price_klines_1m"),
            ("indexPriceKlines:1h", "index_price_klines_1h"),
            ("premiumIndexKlines:1d", "premium_index_klines_1d"),
            ("trades", "trades"),
            ("fundingRate", "funding_rate"),
            ("metrics", "metrics"),
            ("bookDepth", "book_depth"),
            ("bookTicker", "book_ticker"),
            ("liquidationSnapshot", "liquidation_snapshot"),
        ] {
            let data: Data = item.parse().unwrap();
            assert_eq!(data.to_string(), item);
            assert_eq!(data.tables().join(" "), tables);
            for table in data.tables() {
                let of = Data::of_table(&table).unwrap();
                assert!(of == data || data == Data::RawAggTrades, "{table}");
            }
        }
        for item in [
            "trades:1m",
            "fundingRate:8h",
            "markPriceKlines",
            "aggTrades:all",
            "funding_rate",
        ] {
            assert!(item.parse::<Data>().is_err(), "{item}");
        }
    }

    #[test]
    fn a_name_that_no_task_writes_is_no_table() {
        for table in ["klines_7m", "klines", "minutes", "catalogue", ""] {
            assert_eq!(Data::of_table(table), None, "{table}");
        }
    }

    #[test]
    fn a_market_has_only_its_own_kinds() {
        let has = |item: &str, market| item.parse::<Data>().unwrap().check_market(market).is_ok();
        for item in ["aggTrades:raw", "trades", "klines:1h"] {
            assert!(
                [Market::Um, Market::Cm, Market::Spot]
                    .into_iter()
                    .all(|market| has(item, market)),
                "{item}"
            );
        }
        for item in ["fundingRate", "metrics", "markPriceKlines:1h", "bookTicker"] {
            assert!(
                has(item, Market::Um) && has(item, Market::Cm) && !has(item, Market::Spot),
                "{item}"
            );
        }
        assert!(has("klines:1s", Market::Spot) && !has("klines:1s", Market::Um));
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

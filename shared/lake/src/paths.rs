//! Where things lie in a lake: `/`-joined relative keys, the same for a folder and for a bucket.

use std::fmt;
use std::str::FromStr;

use crate::error::{LakeError, Result};
use crate::segment::{LONGEST_SEGMENT, decode, encode, refused};

/// The folder of kept archives.
pub(crate) const RAW: &str = "raw";

/// The most folders of a path, and its longest length in bytes.
const DEEPEST: usize = 16;
const LONGEST_PATH: usize = 900;

/// How the folders of tables are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Layout {
    /// `aggtrades_1m/um/BTCUSDT/2024-01.parquet`
    #[default]
    Plain,
    /// `aggtrades_1m/market=um/symbol=BTCUSDT/period=2024-01.parquet`
    Hive,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Plain => "plain",
            Layout::Hive => "hive",
        })
    }
}

impl FromStr for Layout {
    type Err = LakeError;

    fn from_str(name: &str) -> Result<Layout> {
        match name {
            "plain" => Ok(Layout::Plain),
            "hive" => Ok(Layout::Hive),
            _ => Err(refused("layout", name, "it is neither plain nor hive")),
        }
    }
}

/// A checked relative path in a lake, `/`-joined, its segments encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LakePath(String);

impl LakePath {
    /// The place of a kept archive: `raw/` and the archive's own path.
    ///
    /// # Errors
    ///
    /// [`LakeError::Name`] when a segment of the key cannot be a file name.
    pub fn raw(archive_key: &str) -> Result<LakePath> {
        if archive_key.len() > LONGEST_PATH {
            return Err(refused("key", archive_key, "it is too long"));
        }
        let mut path = String::from(RAW);
        for segment in archive_key.split('/') {
            path.push('/');
            path.push_str(&encode("key", segment)?);
        }
        LakePath::parse(&path)
    }

    /// A path of these names, each encoded.
    ///
    /// # Errors
    ///
    /// [`LakeError::Name`] when one cannot be a file name.
    pub fn of(names: &[&str]) -> Result<LakePath> {
        let segments = names.iter().map(|name| encode("file", name));
        let segments: Vec<_> = segments.collect::<Result<_>>()?;
        LakePath::parse(&segments.join("/"))
    }

    /// A path that is already encoded, as [`LakePath::as_str`] gives it.
    ///
    /// # Errors
    ///
    /// [`LakeError::Name`] when it is empty, too long or deep, absolute, or not in its one spelling.
    pub fn parse(path: &str) -> Result<LakePath> {
        if path.len() > LONGEST_PATH || path.split('/').count() > DEEPEST {
            return Err(refused("path", path, "it is too long or too deep"));
        }
        for segment in path.split('/') {
            // Hive folders carry one `=` of their own.
            let value = segment.split_once('=').map_or(segment, |(_, value)| value);
            let key = segment.split_once('=').map(|(key, _)| key);
            // Folders of our own making, like the catalogue's, begin with an underscore.
            let value = value.strip_prefix('_').unwrap_or(value);
            if segment.len() > LONGEST_SEGMENT
                || key.is_some_and(|key| decode(key).is_none())
                || decode(value).is_none()
            {
                return Err(refused("path", path, "a segment is not a checked name"));
            }
        }
        Ok(LakePath(path.to_owned()))
    }

    /// The path as text, without a leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for LakePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which table a file holds: one dataset, market, symbol and period.
///
/// The names are the decoded ones. Ordered by dataset, market, symbol, period, so that a month stands before its days.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TablePath {
    dataset: String,
    market: String,
    symbol: String,
    period: String,
}

impl TablePath {
    /// Names a table.
    ///
    /// # Errors
    ///
    /// [`LakeError::Name`] when a name cannot be a file name, the dataset is one of the lake's own folders, or the
    /// period is neither `YYYY-MM` nor `YYYY-MM-DD`.
    pub fn new(dataset: &str, market: &str, symbol: &str, period: &str) -> Result<TablePath> {
        encode("dataset", dataset)?;
        encode("market", market)?;
        encode("symbol", symbol)?;
        if dataset == RAW || dataset.starts_with(['_', '.']) {
            return Err(refused(
                "dataset",
                dataset,
                "the lake uses that folder itself",
            ));
        }
        if !is_month(period) && !is_day(period) {
            return Err(refused(
                "period",
                period,
                "it is neither YYYY-MM nor YYYY-MM-DD",
            ));
        }
        Ok(TablePath {
            dataset: dataset.to_owned(),
            market: market.to_owned(),
            symbol: symbol.to_owned(),
            period: period.to_owned(),
        })
    }

    /// The table's path in a layout.
    ///
    /// # Errors
    ///
    /// [`LakeError::Name`] when the names are too long together.
    pub fn path(&self, layout: Layout) -> Result<LakePath> {
        let dataset = encode("dataset", &self.dataset)?;
        let market = encode("market", &self.market)?;
        let symbol = encode("symbol", &self.symbol)?;
        let period = &self.period;
        LakePath::parse(&match layout {
            Layout::Plain => format!("{dataset}/{market}/{symbol}/{period}.parquet"),
            Layout::Hive => {
                format!("{dataset}/market={market}/symbol={symbol}/period={period}.parquet")
            }
        })
    }

    /// The table and layout behind a relative path; `None` for a file that is no table of a lake.
    pub fn parse(path: &str) -> Option<(TablePath, Layout)> {
        let mut segments = path.split('/');
        let (dataset, market, symbol) = (segments.next()?, segments.next()?, segments.next()?);
        let period = segments.next()?.strip_suffix(".parquet")?;
        if segments.next().is_some() {
            return None;
        }
        let hive = (
            market.strip_prefix("market="),
            symbol.strip_prefix("symbol="),
            period.strip_prefix("period="),
        );
        let (market, symbol, period, layout) = match hive {
            (Some(market), Some(symbol), Some(period)) => (market, symbol, period, Layout::Hive),
            (None, None, None) => (market, symbol, period, Layout::Plain),
            _ => return None,
        };
        let table = TablePath::new(
            &decode(dataset)?,
            &decode(market)?,
            &decode(symbol)?,
            period,
        );
        Some((table.ok()?, layout))
    }

    /// The dataset, as `aggtrades_1m`.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// The market: `um`, `cm` or `spot`.
    pub fn market(&self) -> &str {
        &self.market
    }

    /// The symbol as the exchange writes it.
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// The period: `2024-01` or `2024-01-17`.
    pub fn period(&self) -> &str {
        &self.period
    }

    /// The month's table that replaces this day's; `None` when this is a month already.
    pub fn month(&self) -> Option<TablePath> {
        is_day(&self.period).then(|| TablePath {
            period: self.period[..7].to_owned(),
            ..self.clone()
        })
    }
}

fn is_month(period: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    period.len() == 7
        && period.is_ascii()
        && digits(&period[..4])
        && &period[4..5] == "-"
        && digits(&period[5..])
        && ("01"..="12").contains(&&period[5..])
}

fn is_day(period: &str) -> bool {
    period.len() == 10
        && period.is_ascii()
        && is_month(&period[..7])
        && &period[7..8] == "-"
        && period[8..].bytes().all(|byte| byte.is_ascii_digit())
        && ("01"..="31").contains(&&period[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_one_path_per_layout_and_comes_back_from_both() {
        let table = TablePath::new("aggtrades_1m", "um", "币USDT", "2024-01-17").unwrap();

        let plain = table.path(Layout::Plain).unwrap();
        let hive = table.path(Layout::Hive).unwrap();

        assert_eq!(
            plain.as_str(),
            "aggtrades_1m/um/%E5%B8%81USDT/2024-01-17.parquet"
        );
        assert_eq!(
            hive.as_str(),
            "aggtrades_1m/market=um/symbol=%E5%B8%81USDT/period=2024-01-17.parquet"
        );
        assert_eq!(
            TablePath::parse(plain.as_str()),
            Some((table.clone(), Layout::Plain))
        );
        assert_eq!(TablePath::parse(hive.as_str()), Some((table, Layout::Hive)));
    }

    #[test]
    fn files_that_are_no_tables_are_not_parsed() {
        for path in [
            "aggtrades_1m/um/BTCUSDT/2024-01.parquet.part",
            "aggtrades_1m/um/BTCUSDT/.2024-01.parquet.0123456789abcdef.part",
            "aggtrades_1m/um/BTCUSDT/2024-13.parquet",
            "aggtrades_1m/um/BTCUSDT/2024-01-32.parquet",
            "aggtrades_1m/um/BTCUSDT/2024-1é.parquet",
            "aggtrades_1m/um/BTCUSDT/notes.parquet",
            "aggtrades_1m/um/2024-01.parquet",
            "aggtrades_1m/um/a/BTCUSDT/2024-01.parquet",
            "aggtrades_1m/market=um/BTCUSDT/2024-01.parquet",
            "aggtrades_1m/um/../2024-01.parquet",
            "_catalogue/um/BTCUSDT/2024-01.parquet",
            "raw/um/BTCUSDT/2024-01.parquet",
            "queue.db",
            "",
        ] {
            assert_eq!(TablePath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn folders_of_the_lake_itself_are_no_datasets() {
        for dataset in ["raw", "_catalogue", ".git"] {
            let refused = TablePath::new(dataset, "um", "BTCUSDT", "2024-01");

            assert!(matches!(
                refused,
                Err(LakeError::Name {
                    what: "dataset",
                    ..
                })
            ));
        }
    }

    #[test]
    fn a_day_names_its_month_and_a_month_none() {
        let day = TablePath::new("klines_1m", "um", "BTCUSDT", "2024-02-29").unwrap();

        let month = day.month().unwrap();

        assert_eq!(month.period(), "2024-02");
        assert_eq!(month.symbol(), "BTCUSDT");
        assert_eq!(month.month(), None);
    }

    #[test]
    fn a_kept_archive_lies_under_raw_in_its_own_path() {
        let key = "data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip";

        let path = LakePath::raw(key).unwrap();

        assert_eq!(path.as_str(), format!("raw/{key}"));
        assert_eq!(path.file_name(), "BTCUSDT-aggTrades-2024-01.zip");
        for key in [
            "",
            "/etc/passwd",
            "a//b",
            "a/../b",
            "a/b/",
            &"a/".repeat(40),
        ] {
            assert!(
                matches!(LakePath::raw(key), Err(LakeError::Name { .. })),
                "{key}"
            );
        }
    }

    #[test]
    fn a_path_from_outside_is_checked_segment_by_segment() {
        for path in [
            "_catalogue/aggtrades_1m/um.parquet",
            "a/market=um/symbol=X/period=2024-01.parquet",
        ] {
            assert_eq!(LakePath::parse(path).unwrap().as_str(), path);
        }
        for path in [
            "", "/a", "a/", "a/../b", "a/./b", "a b", "a/%2e", "a=b=c", "=", "a/.part", "a\\b",
        ] {
            assert!(LakePath::parse(path).is_err(), "{path}");
        }
    }
}

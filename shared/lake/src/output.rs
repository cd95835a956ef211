//! What decides where an archive's tables lie and what is in them, the archive aside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Map, Value};
use tapemill_market::{ArchiveName, Data, Market, Period, Symbol, Thresholds};

use crate::error::{LakeError, Result};
use crate::lake::{Lake, is_absent};
use crate::lineage::CODEC;
use crate::paths::{LakePath, Layout, TablePath};

/// A lake, and the settings that shape its files.
#[derive(Debug, Clone)]
pub struct Output {
    /// Where tables go.
    pub lake: Lake,
    /// How their folders are named.
    pub layout: Layout,
    /// Whale and retail quotes.
    pub thresholds: Thresholds,
}

impl Output {
    /// Where a table of this archive lies.
    ///
    /// # Errors
    ///
    /// [`LakeError::Name`] for a symbol that cannot be a folder.
    pub fn place(&self, name: &ArchiveName, table: &str) -> Result<LakePath> {
        let period = name.period.to_string();
        TablePath::new(table, name.market.as_str(), name.symbol.as_str(), &period)?
            .path(self.layout)
    }

    /// What shapes the bytes of tables of this kind: the `tapemill.settings` of their footers.
    pub fn settings_of(&self, data: Data) -> Map<String, Value> {
        let mut settings = Map::new();
        if data == Data::AggTrades {
            let Thresholds {
                whale_quote,
                retail_quote,
            } = &self.thresholds;
            settings.insert("retail_quote".into(), retail_quote.to_string().into());
            settings.insert("whale_quote".into(), whale_quote.to_string().into());
        }
        settings
    }

    /// Everything that shapes the bytes and paths of any table: what a queue fixes for all who share it.
    pub fn fixed_settings(&self) -> BTreeMap<String, String> {
        let Thresholds {
            whale_quote,
            retail_quote,
        } = &self.thresholds;
        BTreeMap::from([
            ("codec".to_owned(), CODEC.to_string()),
            ("layout".to_owned(), self.layout.to_string()),
            ("retail-quote".to_owned(), retail_quote.to_string()),
            ("whale-quote".to_owned(), whale_quote.to_string()),
        ])
    }

    /// Removes the files of a month's days, which its published month replaces. Returns how many there were.
    ///
    /// # Errors
    ///
    /// [`LakeError`] for a file that cannot be removed.
    pub fn remove_days_of(&self, month: &ArchiveName) -> Result<usize> {
        let mut removed = 0;
        for day in month.days() {
            for table in month.data.tables() {
                removed += usize::from(self.lake.remove(&self.place(&day, &table)?)?);
            }
        }
        Ok(removed)
    }

    /// The published months of a series that still have files of their days beside them.
    ///
    /// A month counts when every table of its task is there; one look into each folder.
    ///
    /// # Errors
    ///
    /// [`LakeError`] for a folder that cannot be read.
    pub fn months_with_leftover_days(
        &self,
        market: Market,
        data: Data,
        symbol: &Symbol,
    ) -> Result<BTreeSet<Period>> {
        let mut months: Option<BTreeSet<Period>> = None;
        let mut with_days = BTreeSet::new();
        for table in data.tables() {
            let periods = self.periods(market, &table, symbol)?;
            let (days, here): (BTreeSet<Period>, _) = periods.into_iter().partition(|p| p.is_day());
            with_days.extend(days.into_iter().map(Period::month));
            months = Some(match months {
                None => here,
                Some(before) => &before & &here,
            });
        }
        Ok(&months.unwrap_or_default() & &with_days)
    }

    /// The periods of a table that are there.
    fn periods(&self, market: Market, table: &str, symbol: &Symbol) -> Result<BTreeSet<Period>> {
        // Any period will do: all lie in one folder.
        let any = TablePath::new(table, market.as_str(), symbol.as_str(), "2000-01")?;
        let file = self.lake.locate(&any.path(self.layout)?);
        let folder = file.parent().unwrap_or(self.lake.root());
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(BTreeSet::new()),
            Err(error) => return Err(LakeError::io("read folder", folder, error)),
        };
        let mut periods = BTreeSet::new();
        for entry in entries {
            let entry = entry.map_err(|error| LakeError::io("read folder", folder, error))?;
            let name = entry.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".parquet"));
            let period = stem.map(|stem| stem.strip_prefix("period=").unwrap_or(stem));
            periods.extend(period.and_then(|period| period.parse::<Period>().ok()));
        }
        Ok(periods)
    }
}

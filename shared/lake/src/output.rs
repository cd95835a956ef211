//! What decides where an archive's tables lie and what is in them, the archive aside.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tapemill_market::{ArchiveName, Data, Thresholds};

use crate::error::Result;
use crate::lake::Lake;
use crate::lineage::CODEC;
use crate::paths::{LakePath, Layout, TablePath};
use crate::task_spec::TaskSpec;

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
    /// [`LakeError::Name`](crate::LakeError::Name) for a symbol that cannot be a folder.
    pub fn place(&self, name: &ArchiveName, table: &str) -> Result<LakePath> {
        let period = name.period.to_string();
        TablePath::new(table, name.market.as_str(), name.symbol.as_str(), &period)?
            .path(self.layout)
    }

    /// What shapes the bytes of tables of this kind: the `tapemill.settings` of their footers.
    pub fn settings_of(&self, data: Data) -> Map<String, Value> {
        let mut settings = Map::new();
        if matches!(data, Data::AggTrades | Data::RawAggTrades) {
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

    /// Removes the files of a month's days, which its published month replaces; none of them need be there. `spec` is
    /// what the plan said of the task: in a bucket only [`TaskSpec::days`] costs a request, and days that came since the plan
    /// are left to the next one.
    ///
    /// # Errors
    ///
    /// [`LakeError`](crate::LakeError) for a file that cannot be removed.
    pub fn finish_month(&self, month: &ArchiveName, spec: TaskSpec) -> Result<()> {
        if self.lake.folder().is_none() && !spec.days {
            return Ok(());
        }
        self.remove_days_of(month)
    }

    /// Removes the files of a month's days; none of them need be there.
    ///
    /// # Errors
    ///
    /// [`LakeError`](crate::LakeError) for a file that cannot be removed.
    pub fn remove_days_of(&self, month: &ArchiveName) -> Result<()> {
        let tables = month.data.tables();
        let mut files = Vec::new();
        for day in month.days() {
            for table in &tables {
                files.push(self.place(&day, table)?);
            }
        }
        if files.is_empty() {
            return Ok(());
        }
        self.lake.remove_all(&files)
    }
}

//! The catalogue: one small table per dataset and market that tells people what there is.
//!
//! It lies under `_catalogue`, which is no dataset. Nothing reads it to decide what is right.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use tapemill_market::Market;

use crate::columns::{self, numbers, texts, word, words};
use crate::error::Result;
use crate::lake::Lake;
use crate::lineage::Footer;
use crate::paths::{LakePath, TablePath};
use crate::reader::read_table;
use crate::writer::{TableOptions, TableWriter};

const FOLDER: &str = "_catalogue";

/// Rows of a row group.
const GROUP_ROWS: usize = 131_072;

/// One archive, by symbol and period.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogueRow {
    /// The symbol.
    pub symbol: String,
    /// The month or day.
    pub period: String,
    /// How its task stands: done, missing, dead, pending, leased. A file that no task is known of is done.
    pub state: String,
    /// The size of the file; absent when there is none.
    pub bytes: Option<u64>,
    /// The SHA-256 of the archive, in hexadecimal digits.
    pub sha256: Option<String>,
    /// The rows of the archive.
    pub rows: Option<u64>,
    /// What was found about the archive.
    pub verdict: Option<String>,
    /// The archive's own path.
    pub key: String,
}

impl Lake {
    /// The rows of a catalogue, in order; `None` when there is none, or none of this release.
    ///
    /// # Errors
    ///
    /// [`LakeError`](crate::LakeError) for a file that cannot be read; what the store says for a bucket.
    pub fn catalogue(&self, dataset: &str, market: Market) -> Result<Option<Vec<CatalogueRow>>> {
        let batches = match read_table(self, &place(dataset, market)?) {
            Ok(batches) => batches,
            Err(error) if error.is_absent() || error.is_file() => return Ok(None),
            Err(error) => return Err(error),
        };
        let batches = batches.iter().map(rows_of);
        Ok(batches
            .collect::<Option<Vec<_>>>()
            .map(|batches| batches.concat()))
    }

    /// Publishes the rows of a catalogue, which must be in order.
    ///
    /// # Errors
    ///
    /// As [`TableWriter::write`] and [`crate::Staged::publish`].
    pub fn publish_catalogue(
        &self,
        dataset: &str,
        market: Market,
        rows: &[CatalogueRow],
    ) -> Result<()> {
        let options = TableOptions {
            sort_by: Vec::new(),
            unique: false,
            row_group_rows: GROUP_ROWS,
        };
        let place = place(dataset, market)?;
        let mut writer = TableWriter::create(self, &place, &schema(), &options)?;
        writer.write(&batch(rows))?;
        writer.finish(Footer::default())?.publish()?;
        Ok(())
    }
}

/// `_catalogue/{dataset}/{market}.parquet`.
fn place(dataset: &str, market: Market) -> Result<LakePath> {
    // A dataset that could be no folder of tables has no catalogue either.
    TablePath::new(dataset, market.as_str(), "X", "2000-01")?;
    LakePath::parse(&format!("{FOLDER}/{dataset}/{market}.parquet"))
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("symbol", word(), false),
        Field::new("period", DataType::Utf8, false),
        Field::new("state", word(), false),
        Field::new("bytes", DataType::Int64, true),
        Field::new("sha256", DataType::Utf8, true),
        Field::new("rows", DataType::Int64, true),
        Field::new("verdict", word(), true),
        Field::new("key", DataType::Utf8, false),
    ])
}

fn batch(rows: &[CatalogueRow]) -> RecordBatch {
    let columns = vec![
        words(rows.iter().map(|row| Some(row.symbol.as_str()))),
        texts(rows.iter().map(|row| Some(row.period.as_str()))),
        words(rows.iter().map(|row| Some(row.state.as_str()))),
        numbers(rows.iter().map(|row| row.bytes)),
        texts(rows.iter().map(|row| row.sha256.as_deref())),
        numbers(rows.iter().map(|row| row.rows)),
        words(rows.iter().map(|row| row.verdict.as_deref())),
        texts(rows.iter().map(|row| Some(row.key.as_str()))),
    ];
    RecordBatch::try_new(Arc::new(schema()), columns).expect("columns are made to the schema")
}

/// `None` for a batch of other columns.
fn rows_of(batch: &RecordBatch) -> Option<Vec<CatalogueRow>> {
    let text = |name: &str| columns::texts_of(batch.column_by_name(name)?);
    let number = |name: &str| columns::numbers_of(batch.column_by_name(name)?);
    let (symbols, periods, states) = (text("symbol")?, text("period")?, text("state")?);
    let (digests, verdicts, keys) = (text("sha256")?, text("verdict")?, text("key")?);
    let (bytes, rows) = (number("bytes")?, number("rows")?);
    (0..batch.num_rows())
        .map(|at| {
            Some(CatalogueRow {
                symbol: symbols[at].clone()?,
                period: periods[at].clone()?,
                state: states[at].clone()?,
                bytes: bytes[at],
                sha256: digests[at].clone(),
                rows: rows[at],
                verdict: verdicts[at].clone(),
                key: keys[at].clone()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(symbol: &str, sha256: Option<&str>) -> CatalogueRow {
        CatalogueRow {
            symbol: symbol.to_owned(),
            period: "2024-01".to_owned(),
            state: "done".to_owned(),
            bytes: sha256.map(|_| 7),
            sha256: sha256.map(str::to_owned),
            rows: sha256.map(|_| 3),
            verdict: sha256.map(|_| "ok".to_owned()),
            key: format!("data/{symbol}.zip"),
        }
    }

    #[test]
    fn a_catalogue_comes_back_and_is_no_table() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        let rows = [row("A", Some("00")), row("B", None), row("币", Some("ff"))];

        let before = lake.catalogue("klines_1m", Market::Um).unwrap();
        lake.publish_catalogue("klines_1m", Market::Um, &rows)
            .unwrap();
        let after = lake.catalogue("klines_1m", Market::Um).unwrap();

        assert_eq!((before, after.as_deref()), (None, Some(&rows[..])));
        assert!(
            folder
                .path()
                .join("_catalogue/klines_1m/um.parquet")
                .exists()
        );
        assert!(lake.tables().unwrap().is_empty());
        assert!(crate::cleanup::plan(&lake).unwrap().is_empty());
        assert!(lake.publish_catalogue("../x", Market::Um, &rows).is_err());
    }

    #[test]
    fn a_file_of_other_columns_is_no_catalogue() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        let at = folder.path().join("_catalogue/klines_1m/um.parquet");
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();

        std::fs::write(at, "PAR1 cut").unwrap();

        assert_eq!(lake.catalogue("klines_1m", Market::Um).unwrap(), None);
    }
}

//! One Parquet file a dataset and flush.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use tapemill_capture::{COVERAGE_KEY, Coverage, Dataset, parquet_path};
use tapemill_lake::{Lake, LakeError, LakePath, Part};

use tapemill_stream::Mark;

use super::{Followed, Session, Sink, Stored, recent_folders};
use crate::error::SinkError;
use crate::rows::Batch;

/// Columns that rise, or nearly: their differences are small.
const RISING: [&str; 11] = [
    "event_time",
    "trade_time",
    "transaction_time",
    "received_ns",
    "first_update_id",
    "final_update_id",
    "prev_final_update_id",
    "agg_id",
    "trade_id",
    "first_trade_id",
    "last_trade_id",
];

/// Footers that are read, from the newest on, to know what was stored last: a stream that none of them has is a new one.
const MOST_FOOTERS: usize = 2_000;

/// Writes files below a folder or a bucket.
pub struct ParquetSink {
    lake: Lake,
    session: Session,
}

impl ParquetSink {
    /// Nothing is written yet.
    pub fn new(lake: Lake, session: Session) -> Self {
        Self { lake, session }
    }

    fn file(&self, batch: &Batch, sequence: u64) -> Result<u64, SinkError> {
        let now_us = Timestamp::now().as_microsecond();
        let market = self.session.market;
        let path = parquet_path(batch.dataset, market, now_us, rand::random());
        let path = path.ok_or_else(|| SinkError::Other("the clock shows no time".to_owned()))?;
        let place = LakePath::parse(&path)?;
        let mut part = Part::create(&self.lake, &place)?;
        let failed = |error: parquet::errors::ParquetError| {
            SinkError::Lake(LakeError::Table {
                table: path.clone(),
                problem: error.to_string(),
            })
        };
        let options = ArrowWriterOptions::new().with_properties(properties(batch.dataset));
        let schema = batch.rows.schema();
        let mut writer =
            ArrowWriter::try_new_with_options(Vec::new(), schema, options).map_err(failed)?;
        writer.write(&batch.rows).map_err(failed)?;
        let coverage = self.session.coverage(batch, sequence);
        let coverage = serde_json::to_string(&coverage)
            .map_err(|error| SinkError::Other(error.to_string()))?;
        writer.append_key_value_metadata(KeyValue::new(COVERAGE_KEY.to_owned(), coverage));
        let bytes = writer.into_inner().map_err(failed)?;
        part.append(&bytes)?;
        part.stage()?.publish()?;
        Ok(bytes.len() as u64)
    }
}

fn properties(dataset: Dataset) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        // Most values come once.
        .set_dictionary_enabled(false);
    for name in [
        "event_type",
        "symbol",
        "connection",
        "source",
        "market",
        "session",
    ] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), true);
    }
    for name in RISING {
        let column = ColumnPath::from(name);
        properties = properties.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    if dataset == Dataset::OrderBook {
        // Prices and quantities of levels come again and again.
        for side in ["bids", "asks"] {
            for value in ["price", "qty"] {
                let path = [side, "list", "element", value].map(str::to_owned);
                let column = ColumnPath::new(path.to_vec());
                properties = properties.set_column_dictionary_enabled(column, true);
            }
        }
    }
    properties.build()
}

impl Sink for ParquetSink {
    fn store(&mut self, batch: &Batch, sequence: u64) -> Result<Stored, SinkError> {
        Ok(Stored {
            files: 1,
            bytes: self.file(batch, sequence)?,
            rows: batch.rows.num_rows() as u64,
        })
    }

    fn last(&mut self, streams: &[Followed]) -> Result<BTreeMap<String, Mark>, SinkError> {
        let datasets: BTreeSet<Dataset> = streams.iter().map(|stream| stream.dataset).collect();
        let mut last = BTreeMap::new();
        for dataset in datasets {
            let mut wanted: BTreeSet<&str> = streams
                .iter()
                .filter(|stream| stream.dataset == dataset)
                .map(|stream| stream.stream.as_str())
                .collect();
            let mut files = Vec::new();
            for folder in recent_folders(dataset, self.session.market) {
                // By name, which is by the time of the flush.
                let mut found = self.lake.captures(&folder)?;
                found.sort();
                files.extend(found.into_iter().rev());
            }
            for (path, _) in files.into_iter().take(MOST_FOOTERS) {
                if wanted.is_empty() {
                    break;
                }
                if !path.as_str().ends_with(".parquet") {
                    continue;
                }
                let capture = self.lake.open_capture(&path)?;
                let Some(coverage) = capture.key(COVERAGE_KEY) else {
                    continue;
                };
                let coverage: Coverage = serde_json::from_str(coverage)
                    .map_err(|error| self.lake.damaged(&path, &error))?;
                for (stream, span) in coverage.coverage {
                    if wanted.remove(stream.as_str()) {
                        let mark = Mark {
                            id: span.last_id,
                            event_ms: span.last_ms,
                        };
                        last.insert(stream, mark);
                    }
                }
            }
        }
        Ok(last)
    }
}

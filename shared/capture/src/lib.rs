//! What collectors wrote: columns, files, and reading them back.
//!
//! A capture is a folder of files as they were flushed, each with the rows of many symbols in the order they came:
//!
//! ```text
//! {output}/orderbook/date=2025-09-22/orderbook_20250922T101512123456_0123abcd.parquet    one a flush
//! {output}/orderbook/date=2025-09-22/orderbook_20250922.jsonl                            or one a day, appended to
//! {output}/cm/orderbook/…, {output}/spot/orderbook/…                                     the other markets
//! ```

mod columns;
mod coverage;
mod dataset;
mod files;
mod jsonl;
mod lines;
mod names;
mod reader;
mod schema;

pub use coverage::{COVERAGE_KEY, Coverage, Span};
pub use dataset::Dataset;
pub use files::{CaptureFile, FILLED, files, snapshot_stream, trade_streams};
pub use lines::{CapturedDay, Fault, Proven};
pub use names::{Format, day_folder, format_of, jsonl_path, parquet_path};
pub use reader::{AggTradeRow, TradeRow, Wanted, agg_trade_rows, depth_rows, symbols, trade_rows};
pub use schema::{level_field, level_fields, schema};

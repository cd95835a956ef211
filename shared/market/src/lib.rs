//! Symbols, periods, archive names, rows, exact minutes and hours: pure functions over bytes and values.
//!
//! Bytes of a CSV go into a mill ([`AggTradesMill`], [`KlinesMill`], [`RowsMill`]) in chunks of any size; out come
//! [`Minute`]s, [`Factors`], [`Kline`]s or rows as they are, and the [`Quality`] of what was read. No result depends on the order of rows or on where
//! the chunks were cut; the one exception is which of two contradicting rows with one id counts.
//!
//! No files, sockets, clocks or randomness here.

mod account;
mod agg_trade;
mod agg_trades;
mod agreement;
#[cfg(target_arch = "x86_64")]
mod block;
mod cells;
mod coverage;
mod data;
pub mod dataset;
mod decimal;
mod error;
mod exact;
mod factors;
mod ids;
mod interval;
mod iso;
mod kline;
mod kline_row;
mod klines;
mod lines;
mod market;
mod minute;
mod period;
mod quality;
mod rows;
#[cfg(target_arch = "x86_64")]
mod shape;
#[cfg(target_arch = "x86_64")]
mod stretch;
mod sums;
mod symbol;
mod tail;
mod version;
mod wide;

pub use account::{Account, Evidence, Kept, kept};
pub use agg_trade::AggTrade;
pub use agg_trades::{AggTradesMill, AggTradesResult, Milled, RepeatedIds};
pub use agreement::{Agreement, compare_hours, compare_minutes};
pub use coverage::{Chosen, Listed, choose, days_to_list};
pub use data::{ArchiveName, Bars, Data, archive_folder, archive_stem, symbols_folder};
pub use dataset::Dataset;
pub use decimal::Decimal;
pub use error::{NameError, RowError};
pub use exact::ExactSum;
pub use factors::{Factors, factors};
pub use interval::Interval;
pub use iso::iso_time;
pub use kline::{Kline, fold_klines};
pub use klines::{KlinesMill, MilledKlines};
pub use market::Market;
pub use minute::{Minute, Thresholds};
pub use period::{DateRange, Period, day_of};
pub use quality::Quality;
pub use rows::{AgainRows, Cells, MilledRows, NULL, RowOrder, RowsMill, RowsResult, Unique, Words};
pub use symbol::Symbol;
pub use tail::{MAX_GAP_DAYS, Now, Unarchived, unarchived};
pub use version::Version;

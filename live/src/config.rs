//! What a collector is told.

use std::time::Duration;

use tapemill_market::{Market, Symbol};
use tapemill_stream::Channel;

/// What is collected, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// The market.
    pub market: Market,
    /// The symbols.
    pub symbols: Vec<Symbol>,
    /// Of each symbol these.
    pub channels: Vec<Channel>,
    /// Rows are stored at least so often.
    pub flush_interval: Duration,
    /// And where so many are held, times the symbols.
    pub max_batch_size: usize,
    /// Levels of each side that a snapshot is asked for with.
    pub depth_limit: u32,
    /// Each book gets a fresh snapshot about so often: where a day has one, it can be rebuilt by itself.
    pub snapshot_every: Duration,
    /// Ids that a book's updates may jump over without a new snapshot; the exchange's own rule is 0.
    pub max_update_gap: u32,
    /// The wait before the second try to connect; it doubles with each.
    pub backoff: Duration,
    /// The longest such wait.
    pub max_backoff: Duration,
    /// A stream that brings nothing for so long is held against the exchange.
    pub silent_after: Duration,
    /// A connection is replaced after about so long: the exchange ends it after a day.
    pub rotate_after: Duration,
    /// How long its successor may take to be on a level with it.
    pub overlap: Duration,
    /// Each stream by two connections.
    pub redundant: bool,
    /// Bytes of rows in memory, about; with more, sockets are not read.
    pub max_buffer: usize,
}

impl Config {
    /// With the defaults of the command line.
    pub fn new(market: Market, symbols: Vec<Symbol>, channels: Vec<Channel>) -> Self {
        Self {
            market,
            symbols,
            channels,
            flush_interval: Duration::from_secs(5),
            max_batch_size: 1_000,
            depth_limit: 1_000,
            snapshot_every: Duration::from_secs(3600),
            max_update_gap: 0,
            backoff: Duration::from_secs(2),
            max_backoff: Duration::from_secs(60),
            silent_after: Duration::from_secs(30),
            rotate_after: Duration::from_secs(23 * 3600),
            overlap: Duration::from_secs(30),
            redundant: false,
            max_buffer: 256 << 20,
        }
    }
}

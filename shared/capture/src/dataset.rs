//! The datasets that collectors write, and where their files lie.

use std::fmt;

use tapemill_market::{Interval, Market};

/// What the rows of a capture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dataset {
    /// Updates of order books, and their snapshots.
    OrderBook,
    /// Aggregated trades.
    Trades,
    /// Single trades.
    RawTrades,
    /// Best prices.
    BookTicker,
    /// Mark prices and funding rates.
    MarkPrice,
    /// Klines as they grow.
    Klines(Interval),
    /// Forced orders.
    Liquidations,
    /// What the collector did: sessions, connections, holes.
    Ledger,
}

const NAMES: [(Dataset, &str); 7] = [
    (Dataset::OrderBook, "orderbook"),
    (Dataset::Trades, "trades"),
    (Dataset::RawTrades, "raw_trades"),
    (Dataset::BookTicker, "book_ticker"),
    (Dataset::MarkPrice, "mark_price"),
    (Dataset::Liquidations, "liquidations"),
    (Dataset::Ledger, "ledger"),
];

impl Dataset {
    /// The dataset's name, as in paths: `orderbook`, `klines_1m_live`.
    pub fn name(self) -> String {
        match self {
            Self::Klines(interval) => format!("klines_{interval}_live"),
            _ => NAMES
                .iter()
                .find(|(dataset, _)| *dataset == self)
                .map_or_else(String::new, |(_, name)| (*name).to_owned()),
        }
    }

    /// The dataset of this name; `None` where no capture has it.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some((dataset, _)) = NAMES.iter().find(|(_, known)| *known == name) {
            return Some(*dataset);
        }
        let interval = name.strip_prefix("klines_")?.strip_suffix("_live")?;
        let interval: Interval = interval.parse().ok()?;
        (Self::Klines(interval).name() == name).then_some(Self::Klines(interval))
    }

    /// The dataset's folder below the output: `orderbook` for um, `cm/orderbook` and `spot/orderbook` for the others,
    /// since a symbol can be of more than one market.
    pub fn folder(self, market: Market) -> String {
        match market {
            Market::Um => self.name(),
            Market::Cm | Market::Spot => format!("{market}/{self}"),
        }
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_comes_back_from_its_name() {
        let klines = Dataset::Klines("5m".parse().unwrap());
        for (dataset, name) in NAMES.iter().copied().chain([(klines, "klines_5m_live")]) {
            assert_eq!(dataset.name(), name);
            assert_eq!(Dataset::parse(name), Some(dataset));
        }
        for name in [
            "",
            "orderbooks",
            "klines_1m",
            "klines_7m_live",
            "klines_1M_live",
        ] {
            assert_eq!(Dataset::parse(name), None, "{name}");
        }
    }

    #[test]
    fn each_market_has_a_folder_of_its_own() {
        assert_eq!(Dataset::OrderBook.folder(Market::Um), "orderbook");
        assert_eq!(Dataset::OrderBook.folder(Market::Cm), "cm/orderbook");
        assert_eq!(Dataset::Ledger.folder(Market::Spot), "spot/ledger");
    }
}

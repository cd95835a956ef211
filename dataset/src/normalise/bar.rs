//! A bar as research stores have it.

use tapemill_market::{Kline, Market, Symbol};

/// The names of a bar's values, in order.
pub const FIELDS: [&str; 10] = [
    "open",
    "high",
    "low",
    "close",
    "volume",
    "amount",
    "vwap",
    "trades",
    "taker_buy_volume",
    "taker_buy_amount",
];

pub(super) const OPEN: usize = 0;
pub(super) const HIGH: usize = 1;
pub(super) const LOW: usize = 2;
pub(super) const CLOSE: usize = 3;
pub(super) const VOLUME: usize = 4;
pub(super) const AMOUNT: usize = 5;
pub(super) const VWAP: usize = 6;
pub(super) const TRADES: usize = 7;
pub(super) const TAKER_BUY_VOLUME: usize = 8;
pub(super) const TAKER_BUY_AMOUNT: usize = 9;

/// What happened from `open_us` (UTC microseconds) on; a value that nobody knows is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// First microsecond of the bar.
    pub open_us: i64,
    /// The values of [`FIELDS`].
    pub cells: [f64; FIELDS.len()],
}

impl Bar {
    /// A bar of the calendar of which nothing is known.
    pub fn empty(open_us: i64) -> Self {
        Self {
            open_us,
            cells: [f64::NAN; FIELDS.len()],
        }
    }

    /// The exchange's candle: volumes in base units, amounts in quote units.
    ///
    /// Candles of cm count contracts of a fixed size in USD, and base units beside them. Here base units are the volume, and
    /// contracts times their size the amount, so that `vwap` is a price in every market.
    pub fn of(kline: &Kline, market: Market, symbol: &Symbol) -> Self {
        let [volume, amount, bought_volume, bought_amount] = match market {
            Market::Cm => {
                let size = symbol.contract_size_usd() as f64;
                [
                    kline.quote_volume,
                    kline.volume * size,
                    kline.taker_buy_quote_volume,
                    kline.taker_buy_volume * size,
                ]
            }
            _ => [
                kline.volume,
                kline.quote_volume,
                kline.taker_buy_volume,
                kline.taker_buy_quote_volume,
            ],
        };
        Self {
            open_us: kline.open_time_us,
            cells: [
                kline.open,
                kline.high,
                kline.low,
                kline.close,
                volume,
                amount,
                f64::NAN,
                kline.trades as f64,
                bought_volume,
                bought_amount,
            ],
        }
        .with_vwap()
    }

    /// Sets the average price where it is unknown and something traded.
    pub fn with_vwap(mut self) -> Self {
        if self.cells[VWAP].is_nan() && self.cells[VOLUME] > 0.0 {
            self.cells[VWAP] = self.cells[AMOUNT] / self.cells[VOLUME];
        }
        self
    }

    /// Whether every value is there; of an average price there is none where nothing traded.
    pub fn is_whole(&self) -> bool {
        let mut cells = self.cells.iter().enumerate();
        cells.all(|(at, cell)| at == VWAP || !cell.is_nan())
    }

    /// Whether no value is there.
    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.is_nan())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contracts_of_cm_become_coins_and_dollars() {
        let kline = Kline {
            volume: 30.0,
            quote_volume: 0.06,
            taker_buy_volume: 10.0,
            taker_buy_quote_volume: 0.02,
            ..Kline::default()
        };
        let symbol = Symbol::exact("BTCUSD_PERP").unwrap();

        let cells = Bar::of(&kline, Market::Cm, &symbol).cells;

        assert_eq!((cells[VOLUME], cells[AMOUNT]), (0.06, 3000.0));
        assert_eq!(cells[VWAP], 50_000.0);
        assert_eq!(
            (cells[TAKER_BUY_VOLUME], cells[TAKER_BUY_AMOUNT]),
            (0.02, 1000.0)
        );
        let cells = Bar::of(&kline, Market::Um, &symbol).cells;
        assert_eq!((cells[VOLUME], cells[AMOUNT]), (30.0, 0.06));
    }

    #[test]
    fn nothing_traded_has_no_average_price() {
        let symbol = Symbol::exact("BTCUSDT").unwrap();
        let bar = Bar::of(&Kline::default(), Market::Um, &symbol);
        assert!(bar.cells[VWAP].is_nan() && bar.is_whole() && !bar.is_empty());
        assert!(Bar::empty(0).is_empty() && !Bar::empty(0).is_whole());
    }
}

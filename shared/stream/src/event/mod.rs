//! The messages of streams, field by field.

mod bar;
mod book;
mod fields;
mod liquidation;
mod mark_price;
mod trade;

use crate::channel::Kind;
use crate::error::Malformed;

pub use bar::Bar;
pub use book::{BookTicker, DepthUpdate, Level, Snapshot};
pub use liquidation::Liquidation;
pub use mark_price::MarkPrice;
pub use trade::{AggTrade, Trade};

/// A message of a stream. Times are the exchange's milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Of [`Kind::Depth`].
    Depth(DepthUpdate),
    /// Of [`Kind::AggTrade`].
    AggTrade(AggTrade),
    /// Of [`Kind::Trade`].
    Trade(Trade),
    /// Of [`Kind::BookTicker`].
    BookTicker(BookTicker),
    /// Of [`Kind::MarkPrice`].
    MarkPrice(MarkPrice),
    /// Of [`Kind::Kline`].
    Kline(Bar),
    /// Of [`Kind::ForceOrder`].
    ForceOrder(Liquidation),
}

/// A message, its symbol as the exchange writes it, and what nobody here knows of.
#[derive(Debug, Clone, PartialEq)]
pub struct Read<'a> {
    /// The symbol, upper-case.
    pub symbol: &'a str,
    /// The message.
    pub event: Event,
    /// Fields that have no place in `event`, as a JSON object; mostly there are none.
    pub extra: Option<String>,
}

impl Event {
    /// Reads a message of a kind.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where it is no JSON, is of another kind, or lacks a field.
    pub fn read(kind: Kind, data: &str) -> Result<Read<'_>, Malformed> {
        match kind {
            Kind::Depth => book::depth(data),
            Kind::AggTrade => trade::agg_trade(data),
            Kind::Trade => trade::trade(data),
            Kind::BookTicker => book::book_ticker(data),
            Kind::MarkPrice => mark_price::mark_price(data),
            Kind::Kline(_) => bar::kline(data),
            Kind::ForceOrder => liquidation::force_order(data),
        }
    }

    /// The exchange's time of it, if it tells one.
    pub fn event_ms(&self) -> Option<i64> {
        match self {
            Self::Depth(update) => Some(update.event_ms),
            Self::AggTrade(trade) => Some(trade.event_ms),
            Self::Trade(trade) => Some(trade.event_ms),
            Self::BookTicker(ticker) => ticker.event_ms,
            Self::MarkPrice(mark) => Some(mark.event_ms),
            Self::Kline(bar) => Some(bar.event_ms),
            Self::ForceOrder(order) => Some(order.event_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(kind: Kind, data: &str) -> Event {
        let read = Event::read(kind, data).unwrap();
        assert_eq!(read.symbol, "BTCUSDT");
        assert_eq!(read.extra, None);
        read.event
    }

    #[test]
    fn a_difference_of_a_book_has_levels_and_ids() {
        let text = r#"{"e":"depthUpdate","E":2,"T":1,"s":"BTCUSDT","U":10,"u":12,"pu":9,"b":[["1.5","0"],["1.4","2"]],"a":[]}"#;
        let Event::Depth(update) = read(Kind::Depth, text) else {
            panic!("another kind");
        };
        assert_eq!((update.event_ms, update.transaction_ms), (2, Some(1)));
        assert_eq!(
            (update.first_id, update.last_id, update.previous_id),
            (10, 12, Some(9))
        );
        let level = |price, quantity| Level { price, quantity };
        assert_eq!(update.bids, [level(1.5, 0.0), level(1.4, 2.0)]);
        assert_eq!(update.asks, []);
    }

    #[test]
    fn fields_that_nobody_knows_are_kept() {
        let text = r#"{"new":{"x":[1]},"e":"aggTrade","E":2,"s":"BTCUSDT","a":1,"p":"0.1","q":"3","f":1,"l":2,"T":1,"m":true,"nq":"2.0"}"#;
        let read = Event::read(Kind::AggTrade, text).unwrap();
        assert_eq!(
            read.extra.as_deref(),
            Some(r#"{"new":{"x":[1]},"nq":"2.0"}"#)
        );
    }

    #[test]
    fn every_kind_is_read_as_it_is_documented() {
        let trade = r#"{"e":"trade","E":2,"T":1,"s":"BTCUSDT","t":5,"p":"1.0","q":"2.0","X":"MARKET","m":false}"#;
        assert!(matches!(read(Kind::Trade, trade), Event::Trade(trade) if trade.trade_id == 5));
        let spot = r#"{"u":400,"s":"BTCUSDT","b":"25.3","B":"31.2","a":"25.4","A":"40.6"}"#;
        let ticker = read(Kind::BookTicker, spot);
        assert_eq!(ticker.event_ms(), None);
        assert!(matches!(ticker, Event::BookTicker(ticker) if ticker.ask_quantity == 40.6));
        let mark = r#"{"e":"markPriceUpdate","E":2,"s":"BTCUSDT","p":"1.1","i":"1.2","P":"1.3","r":"","T":9}"#;
        let Event::MarkPrice(mark) = read(Kind::MarkPrice, mark) else {
            panic!("another kind");
        };
        assert_eq!((mark.funding_rate, mark.settle_price), (None, Some(1.3)));
        let bar = r#"{"e":"kline","E":2,"s":"BTCUSDT","k":{"t":0,"T":59999,"s":"BTCUSDT","i":"1m","f":100,"L":200,"o":"0.1",
            "c":"0.2","h":"0.3","l":"0.05","v":"1000","n":100,"x":true,"q":"1.0","V":"500","Q":"0.5","B":"123"}}"#;
        let interval = "1m".parse().unwrap();
        assert!(
            matches!(read(Kind::Kline(interval), bar), Event::Kline(bar) if bar.is_closed && bar.trades == 100)
        );
        let order = r#"{"e":"forceOrder","E":2,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910",
            "ap":"9911","X":"FILLED","l":"0.014","z":"0.014","T":1}}"#;
        assert!(
            matches!(read(Kind::ForceOrder, order), Event::ForceOrder(order) if order.side == "SELL")
        );
    }

    #[test]
    fn what_is_no_message_of_its_kind_is_refused() {
        for (kind, text) in [
            (
                Kind::Depth,
                r#"{"e":"depthUpdate","E":2,"s":"B","U":10,"u":12,"b":[]}"#,
            ),
            (
                Kind::Depth,
                r#"{"e":"depthUpdate","E":2,"s":"B","U":13,"u":12,"b":[],"a":[]}"#,
            ),
            (
                Kind::Depth,
                r#"{"e":"depthUpdate","E":2,"s":"B","U":1,"u":12,"b":[["1"]],"a":[]}"#,
            ),
            (
                Kind::Depth,
                r#"{"e":"depthUpdate","E":2,"s":"B","U":1,"u":12,"b":[["x","1"]],"a":[]}"#,
            ),
            (
                Kind::Depth,
                r#"{"e":"depthUpdate","E":2,"s":"B","U":1,"u":12,"b":[["-1","1"]],"a":[]}"#,
            ),
            (
                Kind::Trade,
                r#"{"e":"aggTrade","E":2,"T":1,"s":"B","t":5,"p":"1","q":"2","m":false}"#,
            ),
            (
                Kind::Trade,
                r#"{"e":"trade","E":2,"T":1,"s":"B","t":5,"p":"NaN","q":"2","m":false}"#,
            ),
            (Kind::AggTrade, "[]"),
            (Kind::AggTrade, r#"{"e":"aggTrade"}"#),
            (
                Kind::ForceOrder,
                r#"{"e":"forceOrder","E":2,"o":{"s":"BTCUSDT"}}"#,
            ),
        ] {
            assert!(Event::read(kind, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_book_is_read_whole() {
        let text =
            r#"{"lastUpdateId": 5, "E": 7, "T": 6, "bids": [["2","1"]], "asks": [["3","1",[]]]}"#;
        let snapshot = Snapshot::read(text).unwrap();
        assert_eq!((snapshot.last_id, snapshot.event_ms), (5, Some(7)));
        assert_eq!(snapshot.asks[0].price, 3.0);
        assert!(Snapshot::read(r#"{"code":-1121,"msg":"Invalid symbol."}"#).is_err());
    }
}

//! What can be subscribed to: `depth@100ms`, `aggTrade`, and their like.

use std::fmt;

use tapemill_market::{Interval, Market, Symbol};

use crate::error::UnknownChannel;

/// What the messages of a channel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Differences of an order book.
    Depth,
    /// Trades, those of one taker order at one price as one.
    AggTrade,
    /// Every trade.
    Trade,
    /// The best bid and ask, whenever they change.
    BookTicker,
    /// The mark price, the index price and the funding rate.
    MarkPrice,
    /// The bar that is being made.
    Kline(Interval),
    /// Liquidations.
    ForceOrder,
}

/// One of the exchange's channels, at one speed. With a symbol before it, it names a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel {
    kind: Kind,
    name: String,
}

impl Channel {
    /// Reads the exchange's own name, such as `depth@100ms`, `markPrice@1s` or `kline_1m`.
    ///
    /// # Errors
    ///
    /// [`UnknownChannel`] for a name that this market does not have.
    pub fn parse(name: &str, market: Market) -> Result<Self, UnknownChannel> {
        let unknown = |why: &str| UnknownChannel {
            market,
            name: name.to_owned(),
            why: why.to_owned(),
        };
        let (base, speed) = match name.split_once('@') {
            Some((base, speed)) => (base, Some(speed)),
            None => (name, None),
        };
        let is_spot = market == Market::Spot;
        let (kind, speeds): (_, &[&str]) = match base {
            "depth" if is_spot => (Kind::Depth, &["100ms", "1000ms"]),
            // 0ms is of before 2025, and in recordings.
            "depth" => (Kind::Depth, &["0ms", "100ms", "250ms", "500ms"]),
            "aggTrade" => (Kind::AggTrade, &[]),
            "trade" => (Kind::Trade, &[]),
            "bookTicker" => (Kind::BookTicker, &[]),
            "markPrice" if !is_spot => (Kind::MarkPrice, &["1s"]),
            "forceOrder" if !is_spot => (Kind::ForceOrder, &[]),
            "markPrice" | "forceOrder" => return Err(unknown("only futures have it")),
            _ => match base.strip_prefix("kline_") {
                Some(interval) => (
                    Kind::Kline(
                        kline_interval(interval)
                            .ok_or_else(|| unknown("there is no such interval"))?,
                    ),
                    &[],
                ),
                None => {
                    return Err(unknown(
                        "it has depth, aggTrade, trade, bookTicker, kline_INTERVAL, and of futures markPrice and forceOrder",
                    ));
                }
            },
        };
        match speed {
            Some(speed) if !speeds.contains(&speed) => Err(unknown(&match speeds {
                [] => format!("{base} has no speeds"),
                speeds => format!("the speeds of {base} are {}", speeds.join(", ")),
            })),
            _ => Ok(Self {
                kind,
                name: name.to_owned(),
            }),
        }
    }

    /// What its messages are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name, without a symbol.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its stream of a symbol: `btcusdt@depth@100ms`.
    pub fn of(&self, symbol: &Symbol) -> String {
        format!("{}@{}", symbol.as_str().to_lowercase(), self.name)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The exchange's streams call a month `1M`.
fn kline_interval(name: &str) -> Option<Interval> {
    match name {
        "1M" => "1mo".parse().ok(),
        "1mo" => None,
        name => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_exchange_s_own() {
        let symbol = Symbol::parse("BTCUSDT").unwrap();
        for (name, market, kind) in [
            ("depth@100ms", Market::Um, Kind::Depth),
            ("depth", Market::Spot, Kind::Depth),
            ("aggTrade", Market::Cm, Kind::AggTrade),
            ("markPrice@1s", Market::Um, Kind::MarkPrice),
            ("kline_1M", Market::Um, Kind::Kline("1mo".parse().unwrap())),
        ] {
            let channel = Channel::parse(name, market).unwrap();
            assert_eq!(channel.kind(), kind);
            assert_eq!(channel.of(&symbol), format!("btcusdt@{name}"));
        }
    }

    #[test]
    fn what_a_market_does_not_have_is_told() {
        for (name, market, says) in [
            ("markPrice", Market::Spot, "only futures"),
            ("depth@250ms", Market::Spot, "100ms, 1000ms"),
            ("aggTrade@100ms", Market::Um, "no speeds"),
            ("kline_7m", Market::Um, "no such interval"),
            ("depth5", Market::Um, "it has depth"),
            ("", Market::Um, "it has depth"),
        ] {
            let error = Channel::parse(name, market).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}

//! Where streams are asked for, and how many at once: what the exchange documents of each market.

use tapemill_market::Market;

use crate::channel::Kind;

/// What of a market is served where: a path below the market's address for each kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// For messages and logs.
    pub name: &'static str,
    /// Where depth, best prices and single trades are.
    public: &'static str,
    /// Where all others are.
    market: &'static str,
}

/// One address for all.
const PLAIN: Route = Route {
    name: "plain",
    public: "/stream",
    market: "/stream",
};

/// Since 2026-04-23, for um: the plain address acknowledges every subscription, and delivers only what is public.
const SPLIT: Route = Route {
    name: "split",
    public: "/public/stream",
    market: "/market/stream",
};

impl Route {
    /// The path below the market's address.
    pub fn path(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Depth | Kind::BookTicker | Kind::Trade => self.public,
            _ => self.market,
        }
    }
}

/// The routes of a market, the documented one first: where a fresh connection brings nothing, the next is tried.
pub fn routes(market: Market) -> &'static [Route] {
    match market {
        Market::Um => &[SPLIT, PLAIN],
        // Sources disagree since April 2026.
        Market::Cm => &[PLAIN, SPLIT],
        Market::Spot => &[PLAIN],
    }
}

/// The exchange's own address for a market's streams.
pub fn official_address(market: Market) -> &'static str {
    match market {
        Market::Um => "wss://fstream.binance.com",
        Market::Cm => "wss://dstream.binance.com",
        Market::Spot => "wss://stream.binance.com:9443",
    }
}

/// What a market takes of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Streams of one connection: the exchange takes 1,024; fewer share one fate.
    pub streams: usize,
    /// Messages to the exchange a second, pings among them; below what it takes.
    pub messages_a_second: u32,
    /// Names in one subscription.
    pub names: usize,
}

impl Limits {
    /// Of a market.
    pub fn of(market: Market) -> Self {
        Self {
            streams: 200,
            messages_a_second: match market {
                Market::Um | Market::Cm => 4,
                Market::Spot => 2,
            },
            names: 100,
        }
    }
}

/// A message that subscribes to streams, or ends subscriptions.
pub fn subscription(method: Method, id: u64, streams: &[&str]) -> String {
    let method = match method {
        Method::Subscribe => "SUBSCRIBE",
        Method::Unsubscribe => "UNSUBSCRIBE",
    };
    let names = streams.join("\",\"");
    format!("{{\"method\":\"{method}\",\"params\":[\"{names}\"],\"id\":{id}}}")
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// To get them.
    Subscribe,
    /// To get them no longer.
    Unsubscribe,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn um_has_two_addresses_and_the_others_one() {
        let path = |market, kind| routes(market)[0].path(kind);
        assert_eq!(path(Market::Um, Kind::Depth), "/public/stream");
        assert_eq!(path(Market::Um, Kind::AggTrade), "/market/stream");
        assert_eq!(path(Market::Cm, Kind::AggTrade), "/stream");
        assert_eq!(path(Market::Spot, Kind::Depth), "/stream");
    }

    #[test]
    fn a_subscription_is_json() {
        let text = subscription(
            Method::Subscribe,
            7,
            &["btcusdt@aggTrade", "btcusdt@depth@100ms"],
        );
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["method"], "SUBSCRIBE");
        assert_eq!(json["params"][1], "btcusdt@depth@100ms");
        assert_eq!(json["id"], 7);
    }
}

//! What the exchange answers: paths, parameters, rows an answer, and what a question weighs.

use std::time::Duration;

use tapemill_market::{ArchiveName, Bars, Data, Market, Symbol};

/// An answer of rows holds at most 1,500 of some 200 bytes.
const OF_ROWS: Bounds = Bounds {
    bytes: 8 << 20,
    time: Duration::from_secs(60),
};

/// What spot says of its symbols is some 20 MB.
const OF_A_MARKET: Bounds = Bounds {
    bytes: 64 << 20,
    time: Duration::from_secs(300),
};

/// Where the rows of one archive name are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    market: Market,
    path: &'static str,
    /// The parameter that names the symbol, and the name.
    symbol: (&'static str, String),
    interval: Option<String>,
    pub(crate) rows: Rows,
}

/// What an answer's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Candles, as arrays in the order of the archive's columns; their length, where it is fixed.
    Bars { length_ms: Option<i64> },
    /// Objects of `fundingTime` and `fundingRate`.
    Funding,
    /// Objects with one-letter names; `M` only for spot.
    AggTrades { best_match: bool },
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The path below the host.
    pub path: &'static str,
    /// The parameters, in order.
    pub pairs: Vec<(&'static str, String)>,
    /// What it costs of the host's weight.
    pub weight: u32,
    /// The rows it asks for at most.
    pub limit: u32,
    /// What its answer may come to.
    pub(crate) bounds: Bounds,
}

/// What an answer may come to, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub bytes: usize,
    pub time: Duration,
}

impl Question {
    /// What a market says of its symbols.
    pub(crate) fn info(market: Market) -> Self {
        let (path, weight) = match market {
            Market::Um => ("/fapi/v1/exchangeInfo", 1),
            Market::Cm => ("/dapi/v1/exchangeInfo", 1),
            Market::Spot => ("/api/v3/exchangeInfo", 20),
        };
        Self::of_a_market(path, weight)
    }

    /// What the symbols of a market traded within the last 24 hours.
    pub(crate) fn ticker(market: Market) -> Self {
        let (path, weight) = match market {
            Market::Um => ("/fapi/v1/ticker/24hr", 40),
            Market::Cm => ("/dapi/v1/ticker/24hr", 40),
            Market::Spot => ("/api/v3/ticker/24hr", 80),
        };
        Self::of_a_market(path, weight)
    }

    /// A symbol's order book, at most so many levels of each side.
    pub(crate) fn book(market: Market, symbol: &Symbol, levels: u32) -> Self {
        let (path, weight) = match (market, levels) {
            (Market::Um, _) => ("/fapi/v1/depth", futures_book_weight(levels)),
            (Market::Cm, _) => ("/dapi/v1/depth", futures_book_weight(levels)),
            (Market::Spot, 0..=100) => ("/api/v3/depth", 5),
            (Market::Spot, 101..=500) => ("/api/v3/depth", 25),
            (Market::Spot, 501..=1000) => ("/api/v3/depth", 50),
            (Market::Spot, _) => ("/api/v3/depth", 250),
        };
        Self::of_a_symbol(path, symbol, ("limit", levels), weight)
    }

    /// A symbol's trades from an id on, or the last ones.
    pub(crate) fn trades(market: Market, symbol: &Symbol, from_id: Option<i64>, most: u32) -> Self {
        let (path, weight) = match market {
            Market::Um => ("/fapi/v1/aggTrades", 20),
            Market::Cm => ("/dapi/v1/aggTrades", 20),
            Market::Spot => ("/api/v3/aggTrades", 4),
        };
        let mut question = Self::of_a_symbol(path, symbol, ("limit", most), weight);
        if let Some(id) = from_id {
            question.pairs.push(("fromId", id.to_string()));
        }
        question
    }

    fn of_a_symbol(
        path: &'static str,
        symbol: &Symbol,
        (limit, rows): (&'static str, u32),
        weight: u32,
    ) -> Self {
        Self {
            path,
            pairs: vec![("symbol", symbol.to_string()), (limit, rows.to_string())],
            weight,
            limit: rows,
            bounds: OF_ROWS,
        }
    }

    fn of_a_market(path: &'static str, weight: u32) -> Self {
        Self {
            path,
            pairs: Vec::new(),
            weight,
            limit: u32::MAX,
            bounds: OF_A_MARKET,
        }
    }
}

fn futures_book_weight(levels: u32) -> u32 {
    match levels {
        0..=50 => 2,
        51..=100 => 5,
        101..=500 => 10,
        _ => 20,
    }
}

impl Endpoint {
    /// The endpoint for an archive's rows; `None` for kinds that only the archive has.
    pub fn of(name: &ArchiveName) -> Option<Self> {
        let bars = |interval: tapemill_market::Interval| Rows::Bars {
            length_ms: interval.length_us().map(|length| length / 1000),
        };
        let (path, rows, interval) = match (name.market, name.data) {
            (market, Data::Klines(kind, interval)) => {
                let path = bars_path(market, kind)?;
                (path, bars(interval), Some(rest_interval(interval)))
            }
            (market, Data::AggTrades | Data::RawAggTrades) => {
                let path = match market {
                    Market::Um => "/fapi/v1/aggTrades",
                    Market::Cm => "/dapi/v1/aggTrades",
                    Market::Spot => "/api/v3/aggTrades",
                };
                let best_match = market == Market::Spot;
                (path, Rows::AggTrades { best_match }, None)
            }
            (Market::Um, Data::Rows(dataset)) if dataset.name == "fundingRate" => {
                ("/fapi/v1/fundingRate", Rows::Funding, None)
            }
            (Market::Cm, Data::Rows(dataset)) if dataset.name == "fundingRate" => {
                ("/dapi/v1/fundingRate", Rows::Funding, None)
            }
            (_, Data::Rows(_)) => return None,
        };
        let parameter = match name.data {
            // An index is of a pair.
            Data::Klines(Bars::IndexPrice, _) => "pair",
            _ => "symbol",
        };
        Some(Self {
            market: name.market,
            path,
            symbol: (parameter, name.symbol.to_string()),
            interval,
            rows,
        })
    }

    /// A name for lineages: the path and what is asked for, without host and times.
    pub fn key(&self) -> String {
        let (parameter, symbol) = &self.symbol;
        let mut key = format!("rest{}?{parameter}={symbol}", self.path);
        if let Some(interval) = &self.interval {
            key.push_str(&format!("&interval={interval}"));
        }
        key
    }

    /// A question for about so many rows, from parameters that say which.
    pub(crate) fn question(&self, rows: u32, which: Vec<(&'static str, String)>) -> Question {
        let (limit, weight) = self.limit_and_weight(rows);
        let mut pairs = vec![(self.symbol.0, self.symbol.1.clone())];
        if let Some(interval) = &self.interval {
            pairs.push(("interval", interval.clone()));
        }
        pairs.extend(which);
        pairs.push(("limit", limit.to_string()));
        Question {
            path: self.path,
            pairs,
            weight,
            limit,
            bounds: OF_ROWS,
        }
    }

    /// The most rows worth asking for at once, and what that weighs: futures' candles cost least a row at 499.
    fn limit_and_weight(&self, rows: u32) -> (u32, u32) {
        match (self.rows, self.market) {
            (Rows::Bars { .. }, Market::Spot) => (1000, 2),
            (Rows::Bars { .. }, _) if rows < 100 => (rows.max(1), 1),
            (Rows::Bars { .. }, _) => (499, 2),
            (Rows::Funding, _) => (1000, 1),
            (Rows::AggTrades { .. }, Market::Spot) => (1000, 4),
            (Rows::AggTrades { .. }, _) => (1000, 20),
        }
    }
}

fn bars_path(market: Market, bars: Bars) -> Option<&'static str> {
    Some(match (market, bars) {
        (Market::Um, Bars::Trade) => "/fapi/v1/klines",
        (Market::Um, Bars::MarkPrice) => "/fapi/v1/markPriceKlines",
        (Market::Um, Bars::IndexPrice) => "/fapi/v1/indexPriceKlines",
        (Market::Um, Bars::PremiumIndex) => "/fapi/v1/premiumIndexKlines",
        (Market::Cm, Bars::Trade) => "/dapi/v1/klines",
        (Market::Cm, Bars::MarkPrice) => "/dapi/v1/markPriceKlines",
        (Market::Cm, Bars::IndexPrice) => "/dapi/v1/indexPriceKlines",
        (Market::Cm, Bars::PremiumIndex) => "/dapi/v1/premiumIndexKlines",
        (Market::Spot, Bars::Trade) => "/api/v3/klines",
        (Market::Spot, _) => return None,
    })
}

/// The exchange writes a month `1M`.
fn rest_interval(interval: tapemill_market::Interval) -> String {
    match interval.as_str() {
        "1mo" => "1M".to_owned(),
        name => name.to_owned(),
    }
}

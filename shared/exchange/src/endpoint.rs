//! What the exchange answers: paths, parameters, rows an answer, and what a question weighs.

use tapemill_market::{ArchiveName, Bars, Data, Market};

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

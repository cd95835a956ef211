//! What a market says of its symbols: since when, until when, and by which rules they trade.

use serde::Deserialize;
use tapemill_market::Symbol;

use crate::pages::BadAnswer;

/// The delivery of what is never delivered: 2100-12-25.
const NEVER_MS: i64 = 4_133_404_800_000;

/// What a market says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExchangeInfo {
    /// Its symbols, in its own order; those of which no archive can be named are left out.
    pub symbols: Vec<SymbolInfo>,
    /// What requests of one address may weigh a minute.
    pub weight_a_minute: Option<u32>,
}

/// What a market says of one symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolInfo {
    /// Its name.
    pub symbol: Symbol,
    /// `TRADING`, `SETTLING`, `BREAK` and others.
    pub status: String,
    /// `PERPETUAL`, `CURRENT_QUARTER` and others; spot has none.
    pub contract_type: Option<String>,
    /// What is traded.
    pub base_asset: String,
    /// What prices are in.
    pub quote_asset: String,
    /// What positions are held in; spot has none.
    pub margin_asset: Option<String>,
    /// What a contract is of: `BTCUSD` of `BTCUSD_PERP`; spot has none.
    pub pair: Option<String>,
    /// When it was listed, in milliseconds since 1970; spot does not tell.
    pub onboard_ms: Option<i64>,
    /// When it is delivered, in milliseconds since 1970; none for what goes on.
    pub delivery_ms: Option<i64>,
    /// The USD of one contract; only cm has contracts.
    pub contract_size: Option<u64>,
    /// How it may be ordered.
    pub rules: Rules,
}

/// How a symbol may be ordered, as the exchange writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Prices are multiples of this.
    pub tick_size: Option<String>,
    /// Quantities are multiples of this.
    pub step_size: Option<String>,
    /// The least quantity of an order.
    pub min_quantity: Option<String>,
    /// The most.
    pub max_quantity: Option<String>,
    /// The least that price times quantity may be.
    pub min_notional: Option<String>,
}

impl ExchangeInfo {
    /// Reads an answer of any market; what it says beside is passed over.
    ///
    /// # Errors
    ///
    /// [`BadAnswer`] names what is missing or of another kind, and where.
    pub fn parse(answer: &[u8]) -> Result<Self, BadAnswer> {
        let told: Told = serde_json::from_slice(answer)
            .map_err(|error| BadAnswer(format!("no description of a market: {error}")))?;
        let symbols = told.symbols.into_iter().filter_map(ToldSymbol::info);
        Ok(Self {
            symbols: symbols.collect::<Result<_, _>>()?,
            weight_a_minute: told.rate_limits.iter().find_map(Limit::weight_a_minute),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(default)]
    rate_limits: Vec<Limit>,
    symbols: Vec<ToldSymbol>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limit {
    rate_limit_type: String,
    interval: String,
    interval_num: u32,
    limit: u32,
}

impl Limit {
    fn weight_a_minute(&self) -> Option<u32> {
        let is_weight = self.rate_limit_type == "REQUEST_WEIGHT" && self.interval == "MINUTE";
        match is_weight {
            true => self.limit.checked_div(self.interval_num),
            false => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldSymbol {
    symbol: String,
    status: Option<String>,
    /// What cm calls it.
    contract_status: Option<String>,
    contract_type: Option<String>,
    base_asset: String,
    quote_asset: String,
    margin_asset: Option<String>,
    pair: Option<String>,
    onboard_date: Option<i64>,
    delivery_date: Option<i64>,
    contract_size: Option<u64>,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(
    tag = "filterType",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
enum Filter {
    #[serde(rename = "PRICE_FILTER")]
    Price {
        tick_size: String,
    },
    LotSize {
        step_size: String,
        min_qty: String,
        max_qty: String,
    },
    MinNotional {
        /// As um calls it.
        #[serde(alias = "minNotional")]
        notional: String,
    },
    Notional {
        min_notional: String,
    },
    #[serde(other)]
    Other,
}

impl ToldSymbol {
    /// `None` for a name that no archive can have.
    fn info(self) -> Option<Result<SymbolInfo, BadAnswer>> {
        let symbol = Symbol::exact(&self.symbol).ok()?;
        let Some(status) = self.status.or(self.contract_status) else {
            return Some(Err(BadAnswer(format!("{symbol} has no status"))));
        };
        let is_told = |time: &i64| *time > 0;
        Some(Ok(SymbolInfo {
            symbol,
            status,
            // What does not trade yet has an empty one.
            contract_type: self.contract_type.filter(|name| !name.is_empty()),
            base_asset: self.base_asset,
            quote_asset: self.quote_asset,
            margin_asset: self.margin_asset,
            pair: self.pair,
            onboard_ms: self.onboard_date.filter(is_told),
            delivery_ms: (self.delivery_date.filter(is_told)).filter(|time| *time != NEVER_MS),
            contract_size: self.contract_size,
            rules: rules(self.filters),
        }))
    }
}

fn rules(filters: Vec<Filter>) -> Rules {
    let mut rules = Rules::default();
    for filter in filters {
        match filter {
            Filter::Price { tick_size } => rules.tick_size = Some(tick_size),
            Filter::LotSize {
                step_size,
                min_qty,
                max_qty,
            } => {
                rules.step_size = Some(step_size);
                rules.min_quantity = Some(min_qty);
                rules.max_quantity = Some(max_qty);
            }
            Filter::MinNotional { notional }
            | Filter::Notional {
                min_notional: notional,
            } => rules.min_notional = Some(notional),
            Filter::Other => {}
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    const CM: &str = r#"{"timezone":"UTC","serverTime":1714694400000,
        "rateLimits":[{"rateLimitType":"ORDERS","interval":"MINUTE","intervalNum":1,"limit":1200},
            {"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":2,"limit":4800}],
        "exchangeFilters":[],"symbols":[{"symbol":"BTCUSD_240628","pair":"BTCUSD","contractType":"CURRENT_QUARTER",
            "deliveryDate":1719561600000,"onboardDate":1703836800000,"contractStatus":"TRADING","contractSize":100,
            "marginAsset":"BTC","baseAsset":"BTC","quoteAsset":"USD","equalQtyPrecision":4,"filters":[
            {"filterType":"PRICE_FILTER","minPrice":"1000","maxPrice":"4520958","tickSize":"0.1"},
            {"filterType":"LOT_SIZE","stepSize":"1","minQty":"1","maxQty":"1000000"},
            {"filterType":"MAX_NUM_ORDERS","limit":200}]}]}"#;

    const SPOT: &str = r#"{"symbols":[{"symbol":"ETHBTC","status":"BREAK","baseAsset":"ETH","quoteAsset":"BTC",
        "isSpotTradingAllowed":true,"filters":[
            {"filterType":"PRICE_FILTER","minPrice":"0.00001000","maxPrice":"922327.00000000","tickSize":"0.00001000"},
            {"filterType":"LOT_SIZE","minQty":"0.00010000","maxQty":"100000.00000000","stepSize":"0.00010000"},
            {"filterType":"NOTIONAL","minNotional":"0.00010000","applyMinToMarket":true,"avgPriceMins":5}]},
        {"symbol":"bad name","status":"TRADING","baseAsset":"A","quoteAsset":"B"}]}"#;

    fn parse(text: &str) -> Result<ExchangeInfo, BadAnswer> {
        ExchangeInfo::parse(text.as_bytes())
    }

    #[test]
    fn a_contract_has_a_size_a_listing_and_a_delivery() {
        let info = parse(CM).unwrap();

        assert_eq!(info.weight_a_minute, Some(2400));
        let [contract] = info.symbols.as_slice() else {
            panic!("{info:?}");
        };
        assert_eq!(contract.status, "TRADING");
        assert_eq!(contract.contract_type.as_deref(), Some("CURRENT_QUARTER"));
        assert_eq!(contract.pair.as_deref(), Some("BTCUSD"));
        assert_eq!(contract.contract_size, Some(100));
        assert_eq!(contract.onboard_ms, Some(1_703_836_800_000));
        assert_eq!(contract.delivery_ms, Some(1_719_561_600_000));
        assert_eq!(contract.rules.tick_size.as_deref(), Some("0.1"));
        assert_eq!(contract.rules.min_notional, None);
        let perpetual = parse(&CM.replace("1719561600000", "4133404800000")).unwrap();
        assert_eq!(perpetual.symbols[0].delivery_ms, None);
    }

    #[test]
    fn spot_has_rules_and_no_contracts() {
        let info = parse(SPOT).unwrap();

        assert_eq!(info.weight_a_minute, None);
        let [pair] = info.symbols.as_slice() else {
            panic!("{info:?}");
        };
        assert_eq!((pair.symbol.as_str(), &*pair.status), ("ETHBTC", "BREAK"));
        assert_eq!((&pair.contract_type, &pair.margin_asset), (&None, &None));
        assert_eq!((pair.onboard_ms, pair.delivery_ms), (None, None));
        assert_eq!(
            pair.rules,
            Rules {
                tick_size: Some("0.00001000".to_owned()),
                step_size: Some("0.00010000".to_owned()),
                min_quantity: Some("0.00010000".to_owned()),
                max_quantity: Some("100000.00000000".to_owned()),
                min_notional: Some("0.00010000".to_owned()),
            }
        );
    }

    #[test]
    fn the_least_of_an_order_goes_by_three_names() {
        for (filter, told) in [
            (r#"{"filterType":"MIN_NOTIONAL","notional":"5"}"#, Some("5")),
            (
                r#"{"filterType":"MIN_NOTIONAL","minNotional":"10.0"}"#,
                Some("10.0"),
            ),
            (r#"{"minNotional":"7","filterType":"NOTIONAL"}"#, Some("7")),
            (r#"{"filterType":"ICEBERG_PARTS","limit":10}"#, None),
        ] {
            let text = format!(
                r#"{{"symbols":[{{"symbol":"AUSDT","status":"TRADING","baseAsset":"A","quoteAsset":"USDT","filters":[{filter}]}}]}}"#
            );
            let info = parse(&text).unwrap();
            assert_eq!(info.symbols[0].rules.min_notional.as_deref(), told);
        }
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for (text, told) in [
            ("[]", "no description of a market"),
            ("{}", "missing field `symbols`"),
            (&CM[..CM.len() - 2], "EOF"),
            (&CM.replace("\"baseAsset\":\"BTC\",", ""), "baseAsset"),
            (&CM.replace("1703836800000", "\"soon\""), "soon"),
            (
                &CM.replace("\"tickSize\":\"0.1\"", "\"tick\":1"),
                "tickSize",
            ),
            (
                &CM.replace("contractStatus", "state"),
                "BTCUSD_240628 has no status",
            ),
        ] {
            let bad = parse(text).unwrap_err().to_string();
            assert!(bad.contains(told), "{told}: {bad}");
        }
    }
}

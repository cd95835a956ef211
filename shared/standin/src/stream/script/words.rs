//! How each market writes its messages, in the order of fields in which they come.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::book::{Moved, TrueBook};
use crate::Market;

const MINUTE_MS: i64 = 60_000;

/// A symbol's way of writing.
#[derive(Debug)]
pub(super) struct Words {
    market: Market,
    pub symbol: String,
    lower: String,
    /// `"s":"…"`, on COIN-M with its `"ps"`.
    named: String,
}

/// A trade, or several of one order at one price.
#[derive(Debug)]
pub(super) struct Fill {
    pub id: u64,
    pub first: u64,
    pub last: u64,
    pub price: i64,
    pub quantity: i64,
    pub is_buyer_maker: bool,
}

/// The candle of the running minute.
#[derive(Debug)]
pub(super) struct Bar {
    open_ms: i64,
    first: i64,
    last: i64,
    /// Open, high, low, close.
    prices: [i64; 4],
    trades: u64,
    /// Quantity, and of it what takers bought; the same times the price.
    volume: [i64; 2],
    quote: [i128; 2],
}

impl Bar {
    pub(super) fn new(now: i64, price: i64) -> Self {
        Self {
            open_ms: now - now.rem_euclid(MINUTE_MS),
            first: -1,
            last: -1,
            prices: [price; 4],
            trades: 0,
            volume: [0; 2],
            quote: [0; 2],
        }
    }

    pub(super) fn add(&mut self, now: i64, fill: &Fill) {
        if now >= self.open_ms + MINUTE_MS {
            *self = Self::new(now, fill.price);
        }
        if self.trades == 0 {
            (self.first, self.prices) = (fill.id as i64, [fill.price; 4]);
        }
        self.last = fill.id as i64;
        self.trades += 1;
        self.prices[1] = self.prices[1].max(fill.price);
        self.prices[2] = self.prices[2].min(fill.price);
        self.prices[3] = fill.price;
        let bought = if fill.is_buyer_maker { 1 } else { 2 };
        for which in 0..bought {
            self.volume[which] += fill.quantity;
            self.quote[which] += i128::from(fill.quantity) * i128::from(fill.price);
        }
    }
}

impl Words {
    pub(super) fn new(market: Market, symbol: &str) -> Self {
        let pair = symbol.split('_').next().unwrap_or_default();
        let named = match market {
            Market::Cm => format!("\"s\":\"{symbol}\",\"ps\":\"{pair}\""),
            _ => format!("\"s\":\"{symbol}\""),
        };
        Self {
            market,
            symbol: symbol.to_owned(),
            lower: symbol.to_lowercase(),
            named,
        }
    }

    pub(super) fn frame(&self, kind: &str, data: &str) -> String {
        format!("{{\"stream\":\"{}@{kind}\",\"data\":{data}}}", self.lower)
    }

    fn price(&self, ticks: i64) -> String {
        match self.market {
            Market::Spot => format!("{}.{:02}000000", ticks / 100, ticks % 100),
            _ => format!("{}.{}", ticks / 10, ticks % 10),
        }
    }

    /// Contracts are whole.
    fn quantity(&self, units: i64) -> String {
        match self.market {
            Market::Cm => units.to_string(),
            Market::Um => format!("{}.{:03}", units / 1000, units % 1000),
            Market::Spot => format!("{}.{:05}000", units / 100_000, units % 100_000),
        }
    }

    fn levels<'a>(&self, levels: impl Iterator<Item = (&'a i64, &'a i64)>) -> String {
        let mut text = String::new();
        for (price, quantity) in levels {
            let comma = if text.is_empty() { "" } else { "," };
            let (price, quantity) = (self.price(*price), self.quantity(*quantity));
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}[\"{price}\",\"{quantity}\"]");
        }
        text
    }

    pub(super) fn depth(&self, now: i64, moved: &Moved) -> String {
        let (first, last, previous) = (moved.first_id, moved.last_id, moved.previous_id);
        // In the order in which recordings have them.
        let levels = |side: &BTreeMap<i64, i64>| self.levels(side.iter());
        let (bids, asks, named) = (levels(&moved.bids), levels(&moved.asks), &self.named);
        let (before, chain) = match self.market {
            Market::Spot => (String::new(), String::new()),
            _ => (format!("\"T\":{},", now - 4), format!(",\"pu\":{previous}")),
        };
        format!(
            "{{\"e\":\"depthUpdate\",\"E\":{now},{before}{named},\"U\":{first},\"u\":{last}{chain},\"b\":[{bids}],\"a\":[{asks}]}}"
        )
    }

    pub(super) fn snapshot(&self, now: i64, book: &TrueBook) -> String {
        let bids = self.levels(book.bids.iter().rev());
        let asks = self.levels(book.asks.iter());
        let last = book.last_id;
        let pair = self.symbol.split('_').next().unwrap_or_default();
        let told = match self.market {
            Market::Spot => String::new(),
            Market::Um => format!("\"E\":{now},\"T\":{},", now - 4),
            Market::Cm => format!(
                "\"E\":{now},\"T\":{},\"symbol\":\"{}\",\"pair\":\"{pair}\",",
                now - 4,
                self.symbol
            ),
        };
        format!("{{\"lastUpdateId\":{last},{told}\"bids\":[{bids}],\"asks\":[{asks}]}}")
    }

    pub(super) fn ticker(&self, now: i64, book: &TrueBook) -> String {
        let bid = book.bids.last_key_value().unwrap_or((&0, &0));
        let ask = book.asks.first_key_value().unwrap_or((&0, &0));
        let (id, named, traded) = (book.last_id, &self.named, now - 4);
        let sides = format!(
            "\"b\":\"{}\",\"B\":\"{}\",\"a\":\"{}\",\"A\":\"{}\"",
            self.price(*bid.0),
            self.quantity(*bid.1),
            self.price(*ask.0),
            self.quantity(*ask.1)
        );
        match self.market {
            Market::Um => format!(
                "{{\"e\":\"bookTicker\",\"u\":{id},{named},{sides},\"T\":{traded},\"E\":{now}}}"
            ),
            Market::Cm => format!(
                "{{\"u\":{id},\"e\":\"bookTicker\",{named},{sides},\"T\":{traded},\"E\":{now}}}"
            ),
            Market::Spot => format!("{{\"u\":{id},{named},{sides}}}"),
        }
    }

    pub(super) fn trade(&self, now: i64, fill: &Fill) -> String {
        let (symbol, id, maker, traded) = (&self.symbol, fill.id, fill.is_buyer_maker, now - 1);
        let (price, quantity) = (self.price(fill.price), self.quantity(fill.quantity));
        match self.market {
            Market::Spot => format!(
                "{{\"e\":\"trade\",\"E\":{now},\"s\":\"{symbol}\",\"t\":{id},\"p\":\"{price}\",\"q\":\"{quantity}\",\"T\":{traded},\"m\":{maker},\"M\":true}}"
            ),
            _ => format!(
                "{{\"e\":\"trade\",\"E\":{now},\"T\":{traded},\"s\":\"{symbol}\",\"t\":{id},\"p\":\"{price}\",\"q\":\"{quantity}\",\"X\":\"MARKET\",\"m\":{maker}}}"
            ),
        }
    }

    pub(super) fn agg_trade(&self, now: i64, fill: &Fill) -> String {
        let (symbol, id, maker, traded) = (&self.symbol, fill.id, fill.is_buyer_maker, now - 1);
        let (price, quantity) = (self.price(fill.price), self.quantity(fill.quantity));
        let named = match self.market {
            Market::Spot => format!("\"s\":\"{symbol}\",\"a\":{id}"),
            _ => format!("\"a\":{id},\"s\":\"{symbol}\""),
        };
        let ends = match self.market {
            Market::Spot => ",\"M\":true",
            _ => "",
        };
        let (first, last) = (fill.first, fill.last);
        format!(
            "{{\"e\":\"aggTrade\",\"E\":{now},{named},\"p\":\"{price}\",\"q\":\"{quantity}\",\"f\":{first},\"l\":{last},\"T\":{traded},\"m\":{maker}{ends}}}"
        )
    }

    pub(super) fn kline(&self, now: i64, bar: &Bar) -> String {
        let (symbol, open) = (&self.symbol, bar.open_ms);
        let [first_price, high, low, close] = bar.prices.map(|price| self.price(price));
        let [volume, bought] = bar.volume.map(|volume| self.quantity(volume));
        // Price and quantity together have so many digits behind the point.
        let (unit, digits) = match self.market {
            Market::Um => (10_000, 4),
            Market::Cm => (10, 1),
            Market::Spot => (10_000_000, 7),
        };
        let [quote, quote_bought] = bar
            .quote
            .map(|quote| format!("{}.{:0digits$}", quote / unit, quote % unit));
        let (end, is_closed) = (open + MINUTE_MS - 1, now >= open + MINUTE_MS);
        let (first, last, trades) = (bar.first, bar.last, bar.trades);
        format!(
            "{{\"e\":\"kline\",\"E\":{now},\"s\":\"{symbol}\",\"k\":{{\"t\":{open},\"T\":{end},\"s\":\"{symbol}\",\"i\":\"1m\",\"f\":{first},\"L\":{last},\"o\":\"{first_price}\",\"c\":\"{close}\",\"h\":\"{high}\",\"l\":\"{low}\",\"v\":\"{volume}\",\"n\":{trades},\"x\":{is_closed},\"q\":\"{quote}\",\"V\":\"{bought}\",\"Q\":\"{quote_bought}\",\"B\":\"0\"}}}}"
        )
    }

    pub(super) fn mark(&self, now: i64, middle: i64) -> String {
        let symbol = &self.symbol;
        // Every eight hours.
        let funding = (now / 28_800_000 + 1) * 28_800_000;
        let [mark, settle, index] =
            [1, 2, 3].map(|off| format!("{}{off}234567", self.price(middle + off)));
        format!(
            "{{\"e\":\"markPriceUpdate\",\"E\":{now},\"s\":\"{symbol}\",\"p\":\"{mark}\",\"P\":\"{settle}\",\"i\":\"{index}\",\"r\":\"0.00002754\",\"T\":{funding}}}"
        )
    }

    pub(super) fn liquidation(&self, now: i64, side: &str, price: i64, quantity: i64) -> String {
        let named = &self.named;
        let (price, average) = (self.price(price), self.price(price + 3));
        let (quantity, traded) = (self.quantity(quantity), now - 6);
        format!(
            "{{\"e\":\"forceOrder\",\"E\":{now},\"o\":{{{named},\"S\":\"{side}\",\"o\":\"LIMIT\",\"f\":\"IOC\",\"q\":\"{quantity}\",\"p\":\"{price}\",\"ap\":\"{average}\",\"X\":\"FILLED\",\"l\":\"{quantity}\",\"z\":\"{quantity}\",\"T\":{traded}}}}}"
        )
    }
}

//! The messages of streams, field by field.

use crate::channel::Kind;
use crate::error::Malformed;
use crate::json::Json;

/// A level of a book: price and quantity, absolute; a quantity of zero removes the level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// In the quote.
    pub price: f64,
    /// In the base, or in contracts.
    pub quantity: f64,
}

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

/// Differences of an order book.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DepthUpdate {
    /// When the exchange sent it.
    pub event_ms: i64,
    /// When the matching engine did it; spot does not tell.
    pub transaction_ms: Option<i64>,
    /// The first update that is in it.
    pub first_id: i64,
    /// The last.
    pub last_id: i64,
    /// The last of the message before; futures tell it.
    pub previous_id: Option<i64>,
    /// Levels of the bid side.
    pub bids: Vec<Level>,
    /// Levels of the ask side.
    pub asks: Vec<Level>,
}

/// A trade, those of one taker order at one price together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct AggTrade {
    pub event_ms: i64,
    pub trade_ms: i64,
    pub agg_id: i64,
    pub price: f64,
    pub quantity: f64,
    pub first_trade_id: i64,
    pub last_trade_id: i64,
    pub is_buyer_maker: bool,
}

/// A trade.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct Trade {
    pub event_ms: i64,
    pub trade_ms: i64,
    pub trade_id: i64,
    pub price: f64,
    pub quantity: f64,
    pub is_buyer_maker: bool,
    /// `MARKET`, `INSURANCE_FUND` and their like; futures tell it.
    pub order_type: Option<String>,
}

/// The best bid and ask.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct BookTicker {
    /// Futures tell it.
    pub event_ms: Option<i64>,
    pub transaction_ms: Option<i64>,
    pub update_id: i64,
    pub bid_price: f64,
    pub bid_quantity: f64,
    pub ask_price: f64,
    pub ask_quantity: f64,
}

/// What a future is valued at.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct MarkPrice {
    pub event_ms: i64,
    pub mark_price: f64,
    pub index_price: Option<f64>,
    pub settle_price: Option<f64>,
    pub funding_rate: Option<f64>,
    pub next_funding_ms: Option<i64>,
}

/// A bar as it is so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct Bar {
    pub event_ms: i64,
    pub open_ms: i64,
    pub close_ms: i64,
    pub first_trade_id: i64,
    pub last_trade_id: i64,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    pub trades: i64,
    pub is_closed: bool,
    pub quote_volume: f64,
    pub taker_buy_volume: f64,
    pub taker_buy_quote_volume: f64,
}

/// An order that closed a position by force.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the columns', documented in docs/live.md"
)]
pub struct Liquidation {
    pub event_ms: i64,
    pub trade_ms: i64,
    pub side: String,
    pub order_type: String,
    pub time_in_force: String,
    pub quantity: f64,
    pub price: f64,
    pub average_price: f64,
    pub status: String,
    pub last_quantity: f64,
    pub filled_quantity: f64,
}

/// The answer to a question for a book.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The last update that is in it.
    pub last_id: i64,
    /// When the exchange answered; spot does not tell.
    pub event_ms: Option<i64>,
    /// Of the bid side, from the best.
    pub bids: Vec<Level>,
    /// Of the ask side, from the best.
    pub asks: Vec<Level>,
}

impl Event {
    /// Reads a message of a kind.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where it is no JSON, is of another kind, or lacks a field.
    pub fn read(kind: Kind, data: &str) -> Result<Read<'_>, Malformed> {
        match kind {
            Kind::Depth => depth(data),
            Kind::AggTrade => agg_trade(data),
            Kind::Trade => trade(data),
            Kind::BookTicker => book_ticker(data),
            Kind::MarkPrice => mark_price(data),
            Kind::Kline(_) => kline(data),
            Kind::ForceOrder => force_order(data),
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

impl Snapshot {
    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where it is no book.
    pub fn read(text: &str) -> Result<Self, Malformed> {
        let (mut snapshot, mut last_id) = (Self::default(), None);
        let mut json = Json::new(text);
        json.object(|key, json| {
            match key {
                "lastUpdateId" => last_id = Some(json.integer()?),
                "E" => snapshot.event_ms = Some(json.integer()?),
                "bids" => levels(json, &mut snapshot.bids)?,
                "asks" => levels(json, &mut snapshot.asks)?,
                _ => _ = json.skip()?,
            }
            Ok(())
        })?;
        json.end()?;
        snapshot.last_id = present(last_id, "no lastUpdateId")?;
        Ok(snapshot)
    }
}

/// Levels of one side in one message: more are no book.
const MOST_LEVELS: usize = 100_000;

fn levels(json: &mut Json<'_>, into: &mut Vec<Level>) -> Result<(), Malformed> {
    json.array(|json| {
        let (mut values, mut at) = ([0.0; 2], 0);
        json.array(|json| {
            match values.get_mut(at) {
                Some(value) => *value = json.decimal()?,
                // Old answers have an empty array behind them.
                None => _ = json.skip()?,
            }
            at += 1;
            Ok(())
        })?;
        let [price, quantity] = values;
        if at < 2 || price <= 0.0 || quantity < 0.0 {
            return Err(json.wrong("no level"));
        }
        if into.len() >= MOST_LEVELS {
            return Err(json.wrong("more levels than a book has"));
        }
        into.push(Level { price, quantity });
        Ok(())
    })
}

fn present<T>(value: Option<T>, what: &'static str) -> Result<T, Malformed> {
    value.ok_or(Malformed { what, at: 0 })
}

/// What every message has, and what is left over.
#[derive(Default)]
struct Common<'a> {
    symbol: Option<&'a str>,
    event: Option<&'a str>,
    extra: Option<String>,
}

impl<'a> Common<'a> {
    /// Takes a field that no one else takes.
    fn take(&mut self, key: &str, json: &mut Json<'a>) -> Result<(), Malformed> {
        match key {
            "e" => self.event = Some(json.string()?),
            "s" => self.symbol = Some(json.string()?),
            _ => {
                let value = json.skip()?;
                let extra = self.extra.get_or_insert_with(|| "{".to_owned());
                if extra.len() > 1 {
                    extra.push(',');
                }
                extra.push('"');
                extra.push_str(key);
                extra.push_str("\":");
                extra.push_str(value);
            }
        }
        Ok(())
    }

    /// `named`: what `e` has to be; some messages may lack it.
    fn read(self, named: &str, event: Event) -> Result<Read<'a>, Malformed> {
        let symbol = present(self.symbol, "no symbol")?;
        match (self.event, named) {
            (None, "bookTicker") => {}
            (Some(event), named) if event == named => {}
            _ => {
                return Err(Malformed {
                    what: "an event of another kind",
                    at: 0,
                });
            }
        }
        Ok(Read {
            symbol,
            event,
            extra: self.extra.map(|extra| extra + "}"),
        })
    }
}

/// Reads an object: `take` takes the fields it knows, and says whether it did.
fn fields<'a>(
    data: &'a str,
    mut take: impl FnMut(&str, &mut Json<'a>) -> Result<bool, Malformed>,
) -> Result<Common<'a>, Malformed> {
    let mut common = Common::default();
    let mut json = Json::new(data);
    json.object(|key, json| match take(key, json)? {
        true => Ok(()),
        false => common.take(key, json),
    })?;
    json.end()?;
    Ok(common)
}

/// Fills named places from keys, and tells which are empty: `field!(json, key; "U" => first: integer, …)`.
macro_rules! take {
    ($json:ident, $key:ident; $($name:literal => $place:ident: $read:ident),+ $(,)?) => {
        match $key {
            $($name => $place = Some($json.$read()?),)+
            _ => return Ok(false),
        }
    };
}

fn depth(data: &str) -> Result<Read<'_>, Malformed> {
    let mut update = DepthUpdate::default();
    let (mut time, mut first, mut last) = (None, None, None);
    let (mut transaction, mut previous) = (None, None);
    let mut sides = 0;
    let common = fields(data, |key, json| {
        match key {
            "b" => levels(json, &mut update.bids)?,
            "a" => levels(json, &mut update.asks)?,
            _ => {
                take!(json, key; "E" => time: integer, "T" => transaction: integer, "U" => first: integer,
                    "u" => last: integer, "pu" => previous: integer);
                return Ok(true);
            }
        }
        sides += 1;
        Ok(true)
    })?;
    update.event_ms = present(time, "no E")?;
    update.first_id = present(first, "no U")?;
    update.last_id = present(last, "no u")?;
    (update.transaction_ms, update.previous_id) = (transaction, previous);
    if sides != 2 || update.first_id > update.last_id {
        return Err(Malformed {
            what: "no update of a book",
            at: 0,
        });
    }
    common.read("depthUpdate", Event::Depth(update))
}

fn agg_trade(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut trade_time, mut id, mut price) = (None, None, None, None);
    let (mut quantity, mut first, mut last, mut maker) = (None, None, None, None);
    let common = fields(data, |key, json| {
        // Of spot, and to be ignored, as its documentation says.
        if key == "M" {
            json.skip()?;
            return Ok(true);
        }
        take!(json, key; "E" => time: integer, "T" => trade_time: integer, "a" => id: integer, "p" => price: decimal,
            "q" => quantity: decimal, "f" => first: integer, "l" => last: integer, "m" => maker: boolean);
        Ok(true)
    })?;
    let trade = AggTrade {
        event_ms: present(time, "no E")?,
        trade_ms: present(trade_time, "no T")?,
        agg_id: present(id, "no a")?,
        price: present(price, "no p")?,
        quantity: present(quantity, "no q")?,
        first_trade_id: present(first, "no f")?,
        last_trade_id: present(last, "no l")?,
        is_buyer_maker: present(maker, "no m")?,
    };
    common.read("aggTrade", Event::AggTrade(trade))
}

fn trade(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut trade_time, mut id, mut price) = (None, None, None, None);
    let (mut quantity, mut maker, mut order_type) = (None, None, None);
    let common = fields(data, |key, json| {
        if key == "M" {
            json.skip()?;
            return Ok(true);
        }
        take!(json, key; "E" => time: integer, "T" => trade_time: integer, "t" => id: integer, "p" => price: decimal,
            "q" => quantity: decimal, "m" => maker: boolean, "X" => order_type: string);
        Ok(true)
    })?;
    let trade = Trade {
        event_ms: present(time, "no E")?,
        trade_ms: present(trade_time, "no T")?,
        trade_id: present(id, "no t")?,
        price: present(price, "no p")?,
        quantity: present(quantity, "no q")?,
        is_buyer_maker: present(maker, "no m")?,
        order_type: order_type.map(str::to_owned),
    };
    common.read("trade", Event::Trade(trade))
}

fn book_ticker(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut transaction, mut id) = (None, None, None);
    let (mut bid, mut bid_quantity, mut ask, mut ask_quantity) = (None, None, None, None);
    let common = fields(data, |key, json| {
        take!(json, key; "E" => time: integer, "T" => transaction: integer, "u" => id: integer, "b" => bid: decimal,
            "B" => bid_quantity: decimal, "a" => ask: decimal, "A" => ask_quantity: decimal);
        Ok(true)
    })?;
    let ticker = BookTicker {
        event_ms: time,
        transaction_ms: transaction,
        update_id: present(id, "no u")?,
        bid_price: present(bid, "no b")?,
        bid_quantity: present(bid_quantity, "no B")?,
        ask_price: present(ask, "no a")?,
        ask_quantity: present(ask_quantity, "no A")?,
    };
    common.read("bookTicker", Event::BookTicker(ticker))
}

fn mark_price(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut mark, mut next) = (None, None, None);
    let (mut index, mut settle, mut rate) = (None, None, None);
    let common = fields(data, |key, json| {
        match key {
            // Contracts with an end have no rate: an empty text, or a zero.
            "r" => rate = maybe(json)?,
            "i" => index = maybe(json)?,
            "P" => settle = maybe(json)?,
            _ => take!(json, key; "E" => time: integer, "p" => mark: decimal, "T" => next: integer),
        }
        Ok(true)
    })?;
    let mark = MarkPrice {
        event_ms: present(time, "no E")?,
        mark_price: present(mark, "no p")?,
        index_price: index,
        settle_price: settle,
        funding_rate: rate,
        next_funding_ms: next,
    };
    common.read("markPriceUpdate", Event::MarkPrice(mark))
}

/// A number, or an empty text.
fn maybe(json: &mut Json<'_>) -> Result<Option<f64>, Malformed> {
    match json.skip()? {
        "\"\"" | "null" => Ok(None),
        text => Json::new(text).decimal().map(Some),
    }
}

fn kline(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut bar) = (None, None);
    let common = fields(data, |key, json| {
        match key {
            "E" => time = Some(json.integer()?),
            "k" => bar = Some(bar_of(json)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let bar = Bar {
        event_ms: present(time, "no E")?,
        ..present(bar, "no k")?
    };
    common.read("kline", Event::Kline(bar))
}

fn bar_of(json: &mut Json<'_>) -> Result<Bar, Malformed> {
    let mut bar = Bar::default();
    let mut seen = 0;
    json.object(|key, json| {
        match key {
            "t" => bar.open_ms = json.integer()?,
            "T" => bar.close_ms = json.integer()?,
            "f" => bar.first_trade_id = json.integer()?,
            "L" => bar.last_trade_id = json.integer()?,
            "o" => bar.open = json.decimal()?,
            "c" => bar.close = json.decimal()?,
            "h" => bar.high = json.decimal()?,
            "l" => bar.low = json.decimal()?,
            "v" => bar.volume = json.decimal()?,
            "n" => bar.trades = json.integer()?,
            "x" => bar.is_closed = json.boolean()?,
            "q" => bar.quote_volume = json.decimal()?,
            "V" => bar.taker_buy_volume = json.decimal()?,
            "Q" => bar.taker_buy_quote_volume = json.decimal()?,
            // The symbol and the interval are the stream's; B is to be ignored.
            _ => {
                json.skip()?;
                return Ok(());
            }
        }
        seen += 1;
        Ok(())
    })?;
    match seen {
        14 => Ok(bar),
        _ => Err(json.wrong("no bar")),
    }
}

fn force_order(data: &str) -> Result<Read<'_>, Malformed> {
    let (mut time, mut order, mut symbol) = (None, None, None);
    let mut common = fields(data, |key, json| {
        match key {
            "E" => time = Some(json.integer()?),
            "o" => {
                let (of, read) = liquidation(json)?;
                (symbol, order) = (of, Some(read));
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    common.symbol = symbol;
    let order = Liquidation {
        event_ms: present(time, "no E")?,
        ..present(order, "no o")?
    };
    common.read("forceOrder", Event::ForceOrder(order))
}

fn liquidation<'a>(json: &mut Json<'a>) -> Result<(Option<&'a str>, Liquidation), Malformed> {
    let (mut order, mut symbol) = (Liquidation::default(), None);
    let mut seen = 0;
    json.object(|key, json| {
        match key {
            "s" => symbol = Some(json.string()?),
            "S" => order.side = json.string()?.to_owned(),
            "o" => order.order_type = json.string()?.to_owned(),
            "f" => order.time_in_force = json.string()?.to_owned(),
            "q" => order.quantity = json.decimal()?,
            "p" => order.price = json.decimal()?,
            "ap" => order.average_price = json.decimal()?,
            "X" => order.status = json.string()?.to_owned(),
            "l" => order.last_quantity = json.decimal()?,
            "z" => order.filled_quantity = json.decimal()?,
            "T" => order.trade_ms = json.integer()?,
            _ => {
                json.skip()?;
                return Ok(());
            }
        }
        seen += 1;
        Ok(())
    })?;
    match seen {
        11 => Ok((symbol, order)),
        _ => Err(json.wrong("no liquidation")),
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

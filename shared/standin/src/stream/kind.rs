//! What a stream carries, by its name.

use crate::Market;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Depth,
    AggTrade,
    Trade,
    BookTicker,
    MarkPrice,
    Kline,
    ForceOrder,
    Other,
}

impl Kind {
    /// Of `btcusdt@depth@100ms` and its like.
    pub(super) fn of(stream: &str) -> Self {
        let mut parts = stream.split('@').skip(1);
        match parts.next().unwrap_or_default() {
            "depth" => Self::Depth,
            "aggTrade" => Self::AggTrade,
            "trade" => Self::Trade,
            "bookTicker" => Self::BookTicker,
            "markPrice" => Self::MarkPrice,
            "forceOrder" => Self::ForceOrder,
            kind if kind.starts_with("kline_") => Self::Kline,
            _ => Self::Other,
        }
    }

    /// The field that tells its messages apart.
    pub(super) fn id_field(self) -> &'static str {
        match self {
            Self::Depth | Self::BookTicker => "u",
            Self::AggTrade => "a",
            Self::Trade => "t",
            _ => "E",
        }
    }

    /// The numbers that go on counting from one lap of a tape to the next.
    pub(super) fn counted(self) -> &'static [&'static str] {
        match self {
            Self::Depth => &["U", "u", "pu"],
            Self::BookTicker => &["u"],
            Self::AggTrade => &["a", "f", "l"],
            Self::Trade => &["t"],
            _ => &[],
        }
    }

    /// Whether the split addresses of the futures have it under `/public`; the rest is under `/market`.
    fn is_public(self) -> bool {
        matches!(self, Self::Depth | Self::BookTicker | Self::Trade)
    }
}

/// How a market's paths are split by what they deliver. Every path acknowledges everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// `/stream` and `/ws` deliver everything; there is no other path.
    Plain,
    /// `/public/…` delivers depth, bookTicker and trade, `/market/…` the rest, `/stream` and `/ws` what `/public` does.
    Split,
    /// The same, but `/stream` and `/ws` deliver nothing.
    SplitSilent,
}

impl Routing {
    /// What the exchange documents for a market.
    pub fn of(market: Market) -> Self {
        match market {
            Market::Um => Self::Split,
            Market::Cm | Market::Spot => Self::Plain,
        }
    }

    /// What the path before `/stream` or `/ws` delivers; `None` where there is no such path.
    pub(super) fn at(self, prefix: &str) -> Option<Delivers> {
        match (self, prefix) {
            (Self::Plain, "") => Some(Delivers::All),
            (Self::Split, "") | (Self::Split | Self::SplitSilent, "/public") => {
                Some(Delivers::Public)
            }
            (Self::SplitSilent, "") => Some(Delivers::Nothing),
            (Self::Split | Self::SplitSilent, "/market") => Some(Delivers::Market),
            _ => None,
        }
    }
}

/// What a connection delivers of what it acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivers {
    All,
    Public,
    Market,
    Nothing,
}

impl Delivers {
    pub(super) fn has(self, kind: Kind) -> bool {
        match self {
            Self::All => true,
            Self::Public => kind.is_public(),
            Self::Market => !kind.is_public(),
            Self::Nothing => false,
        }
    }
}

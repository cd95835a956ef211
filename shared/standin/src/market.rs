use std::fmt;
use std::str::FromStr;

use crate::StandinError;

/// One of the exchange's three markets that publish trades and klines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Market {
    /// USD-M futures: quantities in base units.
    Um,
    /// COIN-M futures: quantities in contracts of a fixed size in USD.
    Cm,
    /// Spot: quantities in base units, one more column in aggTrades.
    Spot,
}

impl Market {
    /// `um`, `cm` or `spot`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Um => "um",
            Self::Cm => "cm",
            Self::Spot => "spot",
        }
    }

    /// The market's folder in the archive, without a slash at either end.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Um => "data/futures/um",
            Self::Cm => "data/futures/cm",
            Self::Spot => "data/spot",
        }
    }

    /// What one unit of quantity is worth in USD where quantities are contracts: 100 for BTC, 10 for the rest.
    pub fn contract_size(self, symbol: &str) -> Option<u64> {
        match self {
            Self::Cm if symbol.split('_').next() == Some("BTCUSD") => Some(100),
            Self::Cm => Some(10),
            Self::Um | Self::Spot => None,
        }
    }
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Market {
    type Err = StandinError;

    fn from_str(text: &str) -> Result<Self, StandinError> {
        match text {
            "um" => Ok(Self::Um),
            "cm" => Ok(Self::Cm),
            "spot" => Ok(Self::Spot),
            _ => Err(StandinError::invalid(
                format!("market {text:?}"),
                "expected um, cm or spot",
            )),
        }
    }
}

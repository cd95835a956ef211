//! The three markets whose archives are milled.

use crate::NameError;

/// A market of the exchange, named as its archive and its users name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Market {
    /// USDⓈ-M futures: quantities in base units, quote in USDT or USDC.
    Um,
    /// COIN-M futures: quantities in contracts of a fixed USD size.
    Cm,
    /// Spot.
    Spot,
}

impl Market {
    /// The name used in paths, task ids and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Um => "um",
            Self::Cm => "cm",
            Self::Spot => "spot",
        }
    }

    /// Where the market's folders begin in the archive, without a final slash.
    pub fn archive_prefix(self) -> &'static str {
        match self {
            Self::Um => "data/futures/um",
            Self::Cm => "data/futures/cm",
            Self::Spot => "data/spot",
        }
    }
}

impl std::fmt::Display for Market {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Market {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.to_ascii_lowercase().as_str() {
            "um" => Ok(Self::Um),
            "cm" => Ok(Self::Cm),
            "spot" => Ok(Self::Spot),
            _ => Err(NameError::new("market", text, "one of um, cm, spot")),
        }
    }
}

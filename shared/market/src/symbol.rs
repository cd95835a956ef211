//! Symbols, as the exchange writes them.

use crate::NameError;

/// A symbol such as `BTCUSDT`, `BTCUSD_PERP` or `ETHUSDT_240329`, upper case.
///
/// Letters and digits of any script and `_` only: so a symbol can never leave its folder, whatever a listing says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(String);

const LONGEST: usize = 64;

impl Symbol {
    /// A symbol as a person writes it: any case; `BTC/USDT`, `BTC-USDT` and `BTC/USDT:USDT` mean `BTCUSDT`.
    ///
    /// # Errors
    ///
    /// Names the text when a character is left that no symbol has.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let pair = match text.split_once(':') {
            Some((pair, settlement)) if pair.contains('/') && !settlement.is_empty() => pair,
            Some(_) => return Err(bad(text)),
            None => text,
        };
        let joined: String = pair
            .trim()
            .chars()
            .filter(|c| !matches!(c, '/' | '-'))
            .flat_map(char::to_uppercase)
            .collect();
        Self::exact(&joined).map_err(|_| bad(text))
    }

    /// A symbol exactly as the archive writes it.
    ///
    /// # Errors
    ///
    /// Names the text when it holds a character that no symbol has, or is empty or longer than 64 bytes.
    pub fn exact(text: &str) -> Result<Self, NameError> {
        let plain = |c: char| c == '_' || (c.is_alphanumeric() && !c.is_lowercase());
        if text.is_empty() || text.len() > LONGEST || !text.chars().all(plain) {
            return Err(bad(text));
        }
        Ok(Self(text.to_owned()))
    }

    /// The symbol's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Size of one COIN-M contract in USD: 100 for Bitcoin, 10 for every other coin.
    pub fn contract_size_usd(&self) -> u64 {
        match self.0.split('_').next() {
            Some("BTCUSD") => 100,
            _ => 10,
        }
    }
}

fn bad(text: &str) -> NameError {
    NameError::new(
        "symbol",
        text,
        "letters, digits and _ such as BTCUSDT or BTC/USDT",
    )
}

impl std::fmt::Display for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accepted_spelling_means_the_same_symbol() {
        for text in [
            "BTCUSDT",
            "btcusdt",
            "BTC/USDT",
            "btc-usdt",
            "BTC/USDT:USDT",
            " BtcUsdt ",
        ] {
            assert_eq!(Symbol::parse(text).unwrap().as_str(), "BTCUSDT", "{text}");
        }
        assert_eq!(
            Symbol::parse("btcusd_perp").unwrap().as_str(),
            "BTCUSD_PERP"
        );
        assert_eq!(
            Symbol::parse("币安人生usdt").unwrap().as_str(),
            "币安人生USDT"
        );
    }

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for text in [
            "",
            "..",
            "../BTC",
            "BTC.USDT",
            "A B",
            "BTC:USDT",
            "BTC/USDT:",
            "A\0B",
            "A%2fB",
        ] {
            assert!(Symbol::parse(text).is_err(), "{text:?}");
        }
        assert!(Symbol::exact("btcusdt").is_err());
        assert!(Symbol::exact(&"A".repeat(65)).is_err());
    }

    #[test]
    fn only_bitcoin_contracts_are_worth_a_hundred_dollars() {
        assert_eq!(
            Symbol::exact("BTCUSD_PERP").unwrap().contract_size_usd(),
            100
        );
        assert_eq!(
            Symbol::exact("ETHUSD_240329").unwrap().contract_size_usd(),
            10
        );
        assert_eq!(
            Symbol::exact("BTCUSDX_PERP").unwrap().contract_size_usd(),
            10
        );
    }
}

//! What an instrument is called.

use tapemill_market::{Market, Symbol};

/// What stands before a symbol, so that the instruments of several exchanges and markets do not collide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// The longest prefix.
const LONGEST: usize = 64;

impl Prefix {
    /// `binance_um.`
    pub fn of(market: Market) -> Self {
        Self(format!("binance_{market}."))
    }

    /// The prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a symbol.
    pub fn name(&self, symbol: &Symbol) -> Name {
        Name {
            code: format!("{}{symbol}", self.0),
        }
    }

    /// The symbol whose source CSV has this name; `None` for one of another prefix.
    pub fn symbol_of(&self, file: &str) -> Option<Symbol> {
        let stem = file.strip_suffix(".csv")?;
        let code = stem.strip_prefix(DEVICE).unwrap_or(stem);
        Symbol::exact(code.strip_prefix(&self.0)?).ok()
    }
}

impl std::str::FromStr for Prefix {
    type Err = &'static str;

    fn from_str(prefix: &str) -> Result<Self, Self::Err> {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if prefix.len() > LONGEST || prefix.starts_with('.') || !prefix.chars().all(plain) {
            return Err(
                "up to 64 letters, digits, '_', '-' and '.', not beginning with '.', are expected",
            );
        }
        Ok(Self(prefix.to_owned()))
    }
}

/// An instrument's name, as `binance_um.BTCUSDT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    code: String,
}

/// What Qlib puts before names that Windows keeps for its devices.
const DEVICE: &str = "_qlib_";

impl Name {
    /// As it stands in columns.
    pub fn as_str(&self) -> &str {
        &self.code
    }

    /// The name of its CSV, without `.csv`.
    pub fn stem(&self) -> String {
        as_file(&self.code)
    }

    /// The name of the folder of its features.
    pub fn folder(&self) -> String {
        as_file(&self.code.to_lowercase()).to_lowercase()
    }

    /// The name in the list of instruments.
    pub fn listed(&self) -> String {
        self.code.to_lowercase().to_uppercase()
    }
}

fn as_file(code: &str) -> String {
    match is_device(&code.to_uppercase()) {
        true => format!("{DEVICE}{code}"),
        false => code.to_owned(),
    }
}

fn is_device(name: &str) -> bool {
    let numbered = |kind: &str| {
        let number = name.strip_prefix(kind);
        number.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
    };
    matches!(name, "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(text: &str) -> Symbol {
        Symbol::exact(text).unwrap()
    }

    #[test]
    fn a_symbol_has_a_name_for_each_place() {
        let name = Prefix::of(Market::Um).name(&symbol("BTCUSDT"));
        assert_eq!(name.as_str(), "binance_um.BTCUSDT");
        assert_eq!(name.stem(), "binance_um.BTCUSDT");
        assert_eq!(name.folder(), "binance_um.btcusdt");
        assert_eq!(name.listed(), "BINANCE_UM.BTCUSDT");
    }

    #[test]
    fn names_of_devices_are_no_names_of_files() {
        let bare: Prefix = "".parse().unwrap();
        let name = bare.name(&symbol("COM1"));
        assert_eq!(
            (name.stem(), name.folder()),
            ("_qlib_COM1".into(), "_qlib_com1".into())
        );
        assert_eq!(name.listed(), "COM1");
        assert_eq!(bare.symbol_of("_qlib_COM1.csv"), Some(symbol("COM1")));
        assert_eq!(bare.name(&symbol("COM10")).stem(), "COM10");
    }

    #[test]
    fn a_prefix_stays_in_its_folder() {
        for prefix in ["../", "a/b", ".hidden", "tab\t", "a b", "\\"] {
            assert!(prefix.parse::<Prefix>().is_err(), "{prefix:?}");
        }
        let prefix = Prefix::of(Market::Um);
        assert_eq!(
            prefix.symbol_of("binance_um.BTCUSDT.csv"),
            Some(symbol("BTCUSDT"))
        );
        for file in ["BTCUSDT.csv", "binance_um.BTCUSDT", "binance_um.a b.csv"] {
            assert_eq!(prefix.symbol_of(file), None, "{file}");
        }
    }
}

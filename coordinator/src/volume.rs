//! Which symbols trade enough to be worth it.

use std::collections::BTreeSet;

use tapemill_exchange::{Rest, Volumes};
use tapemill_market::{Decimal, Market, Symbol};

use crate::error::PlanError;

/// Symbols without a ticker that are named.
const NAMED: usize = 5;

/// Lets only those through that traded enough within the last 24 hours.
#[derive(Debug, Clone)]
pub struct VolumeFilter {
    least: Decimal,
    volumes: Volumes,
}

impl VolumeFilter {
    /// Asks the exchange what the symbols of a market traded.
    ///
    /// # Errors
    ///
    /// [`PlanError::Volumes`] when it does not tell; [`PlanError::Selection`] when it may not be asked.
    pub async fn ask(
        exchange: Option<&Rest>,
        market: Market,
        least: Decimal,
    ) -> Result<Self, PlanError> {
        let exchange = exchange.ok_or_else(|| PlanError::Selection {
            why: "--min-volume needs the exchange: leave out --no-rest".to_owned(),
        })?;
        let volumes = exchange.volumes(market).await.map_err(PlanError::Volumes)?;
        Ok(Self { least, volumes })
    }

    /// Whether a symbol traded enough. What the exchange has no ticker of did not.
    pub fn passes(&self, symbol: &Symbol) -> bool {
        let volume = self.volumes.get(symbol);
        volume.is_some_and(|volume| volume.is_at_least(self.least))
    }

    /// How many of these it leaves out and why, in a line; `None` when all pass.
    pub fn left_out(&self, symbols: &BTreeSet<Symbol>) -> Option<String> {
        let out = symbols.iter().filter(|symbol| !self.passes(symbol));
        let (less, untold): (Vec<_>, Vec<_>) =
            out.partition(|symbol| self.volumes.contains_key(symbol));
        let mut reasons = Vec::new();
        if !less.is_empty() {
            reasons.push(format!("{} traded less within 24 hours", less.len()));
        }
        if !untold.is_empty() {
            let names = untold.iter().take(NAMED).map(|symbol| symbol.as_str());
            let mut names = names.collect::<Vec<_>>().join(", ");
            if untold.len() > NAMED {
                names.push_str(", …");
            }
            reasons.push(format!(
                "{} not in the exchange's ticker ({names})",
                untold.len()
            ));
        }
        if reasons.is_empty() {
            return None;
        }
        Some(format!(
            "--min-volume {} leaves out {} of {} symbols: {}",
            self.least,
            less.len() + untold.len(),
            symbols.len(),
            reasons.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str) -> Symbol {
        Symbol::exact(name).unwrap()
    }

    fn filter(least: &str) -> VolumeFilter {
        let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        let traded = [("AUSDT", "999999.99999999"), ("BUSDT", "1000000.00000000")];
        VolumeFilter {
            least: decimal(least),
            volumes: traded
                .map(|(name, volume)| (symbol(name), decimal(volume)))
                .into(),
        }
    }

    #[test]
    fn what_traded_as_much_or_more_passes() {
        let passing = |least: &str| {
            let names = ["AUSDT", "BUSDT", "GONEUSDT"];
            names
                .into_iter()
                .filter(|name| filter(least).passes(&symbol(name)))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(passing("1000000"), "BUSDT");
        assert_eq!(passing("1000000.000000000001"), "");
        assert_eq!(passing("999999.99999999"), "AUSDT BUSDT");
        assert_eq!(passing("0"), "AUSDT BUSDT", "no ticker is no volume");
    }

    #[test]
    fn what_is_left_out_is_told_with_its_reason() {
        let told = |names: &[&str]| {
            let symbols = names.iter().map(|name| symbol(name)).collect();
            filter("1000000").left_out(&symbols)
        };
        assert_eq!(told(&["BUSDT"]), None);
        assert_eq!(
            told(&["AUSDT", "BUSDT", "GONEUSDT"]).unwrap(),
            "--min-volume 1000000 leaves out 2 of 3 symbols: 1 traded less within 24 hours, \
             1 not in the exchange's ticker (GONEUSDT)"
        );
        let many = ["A", "B", "C", "D", "E", "F"];
        assert!(told(&many).unwrap().ends_with("(A, B, C, D, E, …)"));
    }
}

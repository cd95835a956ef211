//! The symbols that clients see, and whose tapes they play.

use super::reel::Reel;
use crate::StandinError;

/// A symbol as clients know it, and who plays it.
#[derive(Debug)]
pub(super) struct Cast {
    pub upper: String,
    pub lower: String,
    /// `BTCUSD` of `BTCUSD_PERP`.
    pub pair: String,
    /// A place in [`Reel::sources`].
    pub source: usize,
    /// Whether its tape calls it otherwise.
    pub is_renamed: bool,
}

impl Cast {
    /// The symbols of the tapes under their own names.
    pub(super) fn own(reel: &Reel) -> Result<Vec<Self>, StandinError> {
        let sources = reel.sources.iter();
        let casts: Vec<Self> = sources
            .enumerate()
            .map(|(source, name)| Self::named(name.clone(), source, false))
            .collect();
        for (at, cast) in casts.iter().enumerate() {
            if casts[..at].iter().any(|other| other.upper == cast.upper) {
                let why = "it is on two tapes: play one, or give the symbols other names";
                return Err(StandinError::invalid(&cast.upper, why));
            }
        }
        Ok(casts)
    }

    /// So many symbols with names of their own, as long as those of the symbols whose streams they play in turn.
    pub(super) fn others(reel: &Reel, count: usize) -> Result<Vec<Self>, StandinError> {
        let sources = reel.sources.iter().enumerate().cycle();
        sources
            .take(count)
            .enumerate()
            .map(|(number, (source, name))| {
                let upper = other_name(name, number).ok_or_else(|| {
                    StandinError::invalid(name, format!("too short to name {count} symbols"))
                })?;
                Ok(Self::named(upper, source, true))
            })
            .collect()
    }

    /// A recorded answer under the symbol's name.
    pub(super) fn renamed(&self, json: &str, reel: &Reel) -> String {
        let source = &reel.sources[self.source];
        let pair = source.split('_').next().unwrap_or_default();
        json.replace(&format!("\"{source}\""), &format!("\"{}\"", self.upper))
            .replace(&format!("\"{pair}\""), &format!("\"{}\"", self.pair))
    }

    fn named(upper: String, source: usize, is_renamed: bool) -> Self {
        Self {
            lower: upper.to_lowercase(),
            pair: upper.split('_').next().unwrap_or_default().to_owned(),
            upper,
            source,
            is_renamed,
        }
    }
}

/// `S0AUSDT` for the tenth that plays `BTCUSDT`.
fn other_name(name: &str, number: usize) -> Option<String> {
    let mut quotes = ["USD_PERP", "USDT"].into_iter();
    let quote = quotes.find(|quote| name.ends_with(quote)).unwrap_or("");
    let width = name.len().checked_sub(quote.len() + 1)?;
    let mut digits = vec![b'0'; width];
    let mut left = number;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[left % 36];
        left /= 36;
    }
    (left == 0).then(|| format!("S{}{quote}", String::from_utf8_lossy(&digits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Market;
    use crate::stream::tape::Tape;

    const DEPTH: &str = r#"{"stream":"btcusd_perp@depth@0ms","data":{"e":"depthUpdate"}}"#;

    #[test]
    fn a_symbol_on_two_tapes_needs_another_name() {
        let mut tape = Tape::new(Market::Cm);
        tape.push(0, DEPTH).unwrap();
        let reel = Reel::new(vec![tape.clone(), tape]).unwrap();

        assert!(Cast::own(&reel).is_err());
        let others = Cast::others(&reel, 3).unwrap();
        let sources: Vec<usize> = others.iter().map(|cast| cast.source).collect();
        assert_eq!(sources, [0, 1, 0]);
    }
}

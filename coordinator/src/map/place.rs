//! Where a task lies on the map, by its name.

/// A task's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub series: &'a str,
    pub symbol: &'a str,
    /// Months since year 0; 0 for a task without a period.
    pub month: u16,
    /// 0 for a whole month.
    pub day: u8,
}

/// Tasks of other names.
const OTHERS: &str = "other";

impl<'a> Place<'a> {
    /// `um/aggTrades/BTCUSDT/2024-01` or `…/2024-01-17`; anything else is a symbol of its own, without a month.
    pub(super) fn of(id: &'a str) -> Self {
        let parts = id.rsplit_once('/').and_then(|(rest, period)| {
            let (series, symbol) = rest.rsplit_once('/')?;
            Some((series, symbol, period_of(period)?))
        });
        match parts {
            Some((series, symbol, (month, day))) => Self {
                series,
                symbol,
                month,
                day,
            },
            None => Self {
                series: OTHERS,
                symbol: id,
                month: 0,
                day: 0,
            },
        }
    }
}

fn period_of(period: &str) -> Option<(u16, u8)> {
    let mut parts = period.split('-');
    let year = number(parts.next()?, 4)?;
    let month = number(parts.next()?, 2)?;
    let day = match parts.next() {
        Some(day) => number(day, 2).filter(|day| (1..=31).contains(day))?,
        None => 0,
    };
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1900..=2999).contains(&year) {
        return None;
    }
    Some((year * 12 + month - 1, u8::try_from(day).ok()?))
}

fn number(text: &str, digits: usize) -> Option<u16> {
    let is_plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

/// `2024-01` of a month's number.
pub(super) fn month_name(month: u16) -> String {
    format!("{:04}-{:02}", month / 12, month % 12 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_follows_from_the_name() {
        let place = |id| {
            let Place {
                series,
                symbol,
                month,
                day,
            } = Place::of(id);
            (series, symbol, month_name(month), day)
        };

        assert_eq!(
            place("um/klines:1m/BTCUSDT/2024-01"),
            ("um/klines:1m", "BTCUSDT", "2024-01".to_owned(), 0)
        );
        assert_eq!(
            place("cm/aggTrades/BTCUSD_PERP/2023-12-31"),
            ("cm/aggTrades", "BTCUSD_PERP", "2023-12".to_owned(), 31)
        );
    }

    #[test]
    fn what_has_no_period_stands_apart() {
        for id in [
            "",
            "task/1",
            "um/aggTrades/BTCUSDT/2024-13",
            "um/aggTrades/BTCUSDT/2024-01-00",
            "um/aggTrades/BTCUSDT/2024-01-01-01",
            "um/aggTrades/BTCUSDT/+024-01",
            "um/aggTrades/BTCUSDT/0000-01",
            "BTCUSDT/2024-01",
        ] {
            let place = Place::of(id);
            assert_eq!((place.series, place.symbol, place.month), (OTHERS, id, 0));
        }
    }
}

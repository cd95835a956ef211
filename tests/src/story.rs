//! Archives of every kind of data of one symbol, in which what happens from some moment on can be something else.

use std::fmt::Write;
use std::path::Path;

use tapemill_standin::generate::Packing;
use tapemill_standin::{Market, Period};

use crate::Dice;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// What to make archives of. Equal ones give equal archives.
#[derive(Debug, Clone, Copy)]
pub struct Story<'a> {
    /// The market.
    pub market: Market,
    /// The symbol, or the pair of a cm index.
    pub symbol: &'a str,
    /// Whatever happens at this time or later is something else; in milliseconds.
    pub changed_from_ms: Option<i64>,
}

impl<'a> Story<'a> {
    /// With nothing changed.
    pub fn new(market: Market, symbol: &'a str) -> Self {
        Self {
            market,
            symbol,
            changed_from_ms: None,
        }
    }

    /// Lays down one archive: `data` as for `--data`; bars lack here and there, as do settlements and readings, which come
    /// late by milliseconds and seconds.
    pub fn lay(&self, root: &Path, data: &str, period: &str) {
        let (kind, interval) = data.split_once(':').unwrap_or((data, ""));
        let months: Period = period.parse().expect("it is a period");
        let span = span_ms(period);
        let csv = match kind {
            "fundingRate" => self.funding(span),
            "metrics" => self.metrics(span),
            "aggTrades" => self.trades(span),
            bars => self.bars(bars, length_ms(interval), span),
        };
        let often = ["daily", "monthly"][usize::from(period.len() == 7)];
        let folder = match self.market {
            Market::Spot => "data/spot".to_owned(),
            futures => format!("data/futures/{}", futures.as_str()),
        };
        let symbol = self.symbol;
        let key = match interval {
            "" => format!("{folder}/{often}/{kind}/{symbol}/{symbol}-{kind}-{period}.zip"),
            _ => format!(
                "{folder}/{often}/{kind}/{symbol}/{interval}/{symbol}-{interval}-{period}.zip"
            ),
        };
        Packing::default()
            .wrap(root, &key, self.market, months, csv.as_bytes())
            .expect("the archive can be written");
    }

    /// The choices of what ends at a time.
    fn dice(&self, kind: &str, at_ms: i64, end_ms: i64) -> Dice {
        let is_changed = self.changed_from_ms.is_some_and(|from| end_ms > from);
        let text = format!("{} {kind} {at_ms} {is_changed}", self.symbol);
        let seed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |seed, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Dice::new(seed)
    }

    fn bars(&self, kind: &str, length: i64, (from, to): (i64, i64)) -> String {
        let mut csv = String::new();
        for open in (from..to).step_by(length as usize) {
            let mut dice = self.dice(kind, open, open + length);
            if dice.once_in(30) {
                continue;
            }
            let mut price = || match kind {
                "premiumIndexKlines" => {
                    let sign = dice.of(&["", "-"]);
                    format!("{sign}0.{:08}", dice.below(100_000))
                }
                _ => format!("4{:04}.{:02}", dice.below(10_000), dice.below(100)),
            };
            let prices = [price(), price(), price(), price()].join(",");
            let mut volume = || format!("{}.{:03}", dice.below(900), dice.below(1000));
            let (volume, quote, taker, taker_quote) = (volume(), volume(), volume(), volume());
            let (close, count) = (open + length - 1, open / MINUTE_MS % 97);
            writeln!(
                csv,
                "{open},{prices},{volume},{close},{quote},{count},{taker},{taker_quote},0"
            )
            .expect("text takes text");
        }
        csv
    }

    fn funding(&self, (from, to): (i64, i64)) -> String {
        let mut csv = "calc_time,funding_interval_hours,last_funding_rate\n".to_owned();
        let mut at = from;
        while at < to {
            let mut dice = self.dice("fundingRate", at, at + 1);
            let hours = dice.of(&[4, 8, 8]);
            if !dice.once_in(12) {
                let late = dice.of(&[0, 0, 1, 3, 13]);
                let sign = dice.of(&["", "-"]);
                let rate = dice.below(40_000);
                writeln!(csv, "{},{hours},{sign}0.{rate:08}", at + late).expect("text takes text");
            }
            at += 8 * HOUR_MS;
        }
        csv
    }

    fn metrics(&self, (from, to): (i64, i64)) -> String {
        let mut csv = "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,\
            sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n"
            .to_owned();
        for at in (from..to).step_by(5 * MINUTE_MS as usize) {
            let mut dice = self.dice("metrics", at, at + 1);
            // And an hour and a half of every day of which there is nothing.
            let is_away = (at - from) % (24 * HOUR_MS) / MINUTE_MS;
            if dice.once_in(9) || (600..690).contains(&is_away) {
                continue;
            }
            let time = jiff::Timestamp::from_millisecond(at + 1000 * dice.of(&[0, 0, 0, 2, 5]));
            let time = time
                .expect("it is a time")
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string();
            let ratio = dice.of(&["", "1.21341234", "0.9", "2.5e-3"]);
            writeln!(
                csv,
                "{time},{},{}.123,{}.5,1.{},{ratio},0.{},{ratio}",
                self.symbol,
                80_000 + dice.below(999),
                5_000_000 + dice.below(99_999),
                dice.below(1000),
                1 + dice.below(1000),
            )
            .expect("text takes text");
        }
        csv
    }

    fn trades(&self, (from, to): (i64, i64)) -> String {
        let mut csv = String::new();
        let mut id = from / MINUTE_MS;
        for at in (from..to).step_by(6 * MINUTE_MS as usize) {
            let quiet = self.dice("quiet", at / HOUR_MS, at).once_in(20);
            let mut dice = self.dice("aggTrades", at, at + 1);
            if quiet || dice.once_in(3) {
                continue;
            }
            id += 1;
            let (price, quantity) = (40_000 + dice.below(900), 1 + dice.below(5_000));
            let buyer = dice.of(&["true", "false"]);
            let best = ["", ",True"][usize::from(self.market == Market::Spot)];
            let quantity = match self.market {
                Market::Cm => quantity.to_string(),
                _ => format!("0.{quantity:04}"),
            };
            writeln!(
                csv,
                "{id},{price}.5,{quantity},{id},{id},{at},{buyer}{best}"
            )
            .expect("text takes text");
        }
        csv
    }
}

fn length_ms(interval: &str) -> i64 {
    match interval {
        "1m" => MINUTE_MS,
        "5m" => 5 * MINUTE_MS,
        "1h" => HOUR_MS,
        "4h" => 4 * HOUR_MS,
        "1d" => 24 * HOUR_MS,
        other => panic!("no bars of {other} are made"),
    }
}

/// The first millisecond of a month or day, and the first behind it.
fn span_ms(period: &str) -> (i64, i64) {
    let is_month = period.len() == 7;
    let first = if is_month {
        format!("{period}-01")
    } else {
        period.to_owned()
    };
    let first: jiff::civil::Date = first.parse().expect("it is a date");
    let next = match is_month {
        true => first.last_of_month().tomorrow(),
        false => first.tomorrow(),
    };
    let ms = |day: jiff::civil::Date| {
        let zoned = day
            .to_zoned(jiff::tz::TimeZone::UTC)
            .expect("UTC has all days");
        zoned.timestamp().as_millisecond()
    };
    (ms(first), ms(next.expect("it is not the last of all days")))
}

//! The tables that people edit and read: which symbols trade where, and since when.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::civil::Date;
use tapemill_lake::Series;
use tapemill_market::Market;

use super::scan::is_klines;

/// A file for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A symbol of a market by its candles.
struct Listed<'a> {
    market: Market,
    symbol: &'a str,
    first: Date,
    intervals: Vec<&'a str>,
}

/// In the order of the reports.
const MARKETS: [Market; 3] = [Market::Spot, Market::Um, Market::Cm];

/// Symbols whose candles go on, by market:
///
/// * `{market}_earliest_dates.csv` and `all_markets_earliest_dates.csv`: since when, and of which intervals;
/// * `spot_um_usdt_filtered.csv`: those of spot whose base also trades against USDT in um, oldest first;
/// * `spot_synchronal.csv`: of these, those that are a perpetual of cm as well;
/// * `consolidated_base_symbols.csv`: every base with its symbols of the three markets.
///
/// A base is what is before `USDT` (spot, um) or `USD_PERP` (cm), to the letter: `1000SHIB` is not `SHIB`.
pub fn reports(series: &[Series], today: Date) -> Vec<Report> {
    let symbols = symbols(series, today);
    let of = |market: Market| symbols.iter().filter(move |symbol| symbol.market == market);
    let mut found = Vec::new();
    let mut all = String::new();
    for market in MARKETS {
        let mut lines: Vec<String> = of(market).map(Listed::line).collect();
        lines.sort();
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        if !lines.is_empty() {
            found.push(Report {
                name: format!("{market}_earliest_dates.csv"),
                text: format!("{HEAD}\n{lines}"),
            });
        }
        all += &lines;
    }
    found.push(Report {
        name: "all_markets_earliest_dates.csv".to_owned(),
        text: format!("{HEAD}\n{all}"),
    });

    let bases = |market| -> BTreeMap<&str, &Listed<'_>> {
        of(market)
            .filter_map(|symbol| Some((symbol.base()?, symbol)))
            .collect()
    };
    let [spot, um, cm] = MARKETS.map(bases);
    let shared = |name: &str, wanted: &dyn Fn(&str) -> bool| {
        let mut lines: Vec<(Date, String)> = spot
            .iter()
            .filter(|(base, _)| wanted(base))
            .map(|(base, symbol)| (symbol.first, format!("{},{base}", symbol.line())))
            .collect();
        lines.sort();
        let lines: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
        Report {
            name: name.to_owned(),
            text: format!("{HEAD},base_symbol\n{lines}"),
        }
    };
    found.push(shared("spot_um_usdt_filtered.csv", &|base| {
        um.contains_key(base)
    }));
    found.push(shared("spot_synchronal.csv", &|base| {
        um.contains_key(base) && cm.contains_key(base)
    }));

    let mut text = "base_symbol".to_owned();
    for market in MARKETS {
        let _ = write!(
            text,
            ",{market}_symbol,{market}_earliest_date,{market}_available_intervals"
        );
    }
    text.push('\n');
    let mut every: Vec<&str> = [&spot, &um, &cm]
        .into_iter()
        .flat_map(|bases| bases.keys().copied())
        .collect();
    every.sort_unstable();
    every.dedup();
    for base in every {
        text += base;
        for bases in [&spot, &um, &cm] {
            match bases.get(base) {
                Some(symbol) => {
                    let _ = write!(
                        text,
                        ",{},{},{}",
                        symbol.symbol,
                        symbol.first,
                        symbol.intervals()
                    );
                }
                None => text += ",,,",
            }
        }
        text.push('\n');
    }
    found.push(Report {
        name: "consolidated_base_symbols.csv".to_owned(),
        text,
    });
    found
}

const HEAD: &str = "market,symbol,earliest_date,available_intervals";

impl Listed<'_> {
    fn line(&self) -> String {
        format!(
            "{},{},{},{}",
            self.market,
            self.symbol,
            self.first,
            self.intervals()
        )
    }

    fn intervals(&self) -> String {
        format!("\"{}\"", self.intervals.join(","))
    }

    fn base(&self) -> Option<&str> {
        let end = match self.market {
            Market::Spot | Market::Um => "USDT",
            Market::Cm => "USD_PERP",
        };
        self.symbol
            .strip_suffix(end)
            .filter(|base| !base.is_empty())
    }
}

/// Symbols with candles of which some interval goes on.
fn symbols(series: &[Series], today: Date) -> Vec<Listed<'_>> {
    let mut found: BTreeMap<(&str, &str), (Listed<'_>, bool)> = BTreeMap::new();
    for series in series.iter().filter(|series| is_klines(series)) {
        let Ok(market) = series.market.parse() else {
            continue;
        };
        let (listed, recent) = found
            .entry((series.market.as_str(), series.symbol.as_str()))
            .or_insert_with(|| {
                let listed = Listed {
                    market,
                    symbol: &series.symbol,
                    first: series.first,
                    intervals: Vec::new(),
                };
                (listed, false)
            });
        listed.first = listed.first.min(series.first);
        listed.intervals.push(&series.interval);
        *recent |= series.is_recent(today);
    }
    let recent = found.into_values().filter(|(_, recent)| *recent);
    recent
        .map(|(mut listed, _)| {
            listed.intervals.sort_unstable();
            listed
        })
        .collect()
}

/// The symbols of each market that had archives of a day: `(market, symbol)`.
pub fn traded_on(series: &[Series], day: Date) -> Vec<(String, String)> {
    let mut found: Vec<_> = series
        .iter()
        .filter(|series| (series.first..=series.last).contains(&day))
        .filter(|series| {
            let (month, day) = (day.strftime("%Y-%m").to_string(), day.to_string());
            !series.holes.contains(&day) && !series.holes.contains(&month)
        })
        .map(|series| (series.market.clone(), series.symbol.clone()))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(place: &str, first: &str, last: &str) -> Series {
        let [market, dataset, symbol, interval] =
            place.split('/').collect::<Vec<_>>().try_into().unwrap();
        Series {
            market: market.to_owned(),
            dataset: dataset.to_owned(),
            symbol: symbol.to_owned(),
            interval: interval.to_owned(),
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            archives: 1,
            bytes: 1,
            holes: Vec::new(),
            asked: last.parse().unwrap(),
        }
    }

    fn text(reports: &[Report], name: &str) -> String {
        let found = reports.iter().find(|report| report.name == name);
        found.unwrap_or_else(|| panic!("no {name}")).text.clone()
    }

    #[test]
    fn the_reports_are_those_of_the_system_replaced_without_its_faults() {
        let today = "2024-06-15".parse().unwrap();
        let found = [
            series("spot/klines/BTCUSDT/1d", "2017-08-17", "2024-06-14"),
            series("spot/klines/BTCUSDT/12h", "2017-08-18", "2024-06-14"),
            series("spot/klines/AAVEUSDT/1d", "2020-10-15", "2024-06-14"),
            series("spot/klines/SHIBUSDT/1d", "2021-05-10", "2024-06-14"),
            series("spot/klines/OLDUSDT/1d", "2018-01-01", "2020-01-01"),
            series("um/klines/BTCUSDT/1m", "2019-12-31", "2024-06-13"),
            series("um/klines/AAVEUSDT/1m", "2020-10-16", "2024-06-13"),
            series("um/klines/1000SHIBUSDT/1m", "2021-05-10", "2024-06-13"),
            series("um/klines/OLDUSDT/1m", "2019-12-31", "2024-06-13"),
            series("um/markPriceKlines/MARKUSDT/1m", "2019-12-31", "2024-06-13"),
            series("cm/klines/BTCUSD_PERP/1m", "2020-08-01", "2024-06-14"),
            series("cm/klines/BTCUSD_240628/1m", "2024-01-01", "2024-06-14"),
        ];

        let reports = reports(&found, today);

        assert_eq!(
            text(&reports, "spot_earliest_dates.csv"),
            "market,symbol,earliest_date,available_intervals\n\
             spot,AAVEUSDT,2020-10-15,\"1d\"\n\
             spot,BTCUSDT,2017-08-17,\"12h,1d\"\n\
             spot,SHIBUSDT,2021-05-10,\"1d\"\n"
        );
        let all = text(&reports, "all_markets_earliest_dates.csv");
        assert_eq!(all.lines().count(), 1 + 3 + 4 + 2);
        assert!(!all.contains("MARKUSDT"), "{all}");
        assert_eq!(
            text(&reports, "spot_um_usdt_filtered.csv"),
            "market,symbol,earliest_date,available_intervals,base_symbol\n\
             spot,BTCUSDT,2017-08-17,\"12h,1d\",BTC\n\
             spot,AAVEUSDT,2020-10-15,\"1d\",AAVE\n"
        );
        assert_eq!(
            text(&reports, "spot_synchronal.csv"),
            "market,symbol,earliest_date,available_intervals,base_symbol\n\
             spot,BTCUSDT,2017-08-17,\"12h,1d\",BTC\n"
        );
        let consolidated = text(&reports, "consolidated_base_symbols.csv");
        let lines: Vec<_> = consolidated.lines().collect();
        assert_eq!(
            lines[0],
            "base_symbol,spot_symbol,spot_earliest_date,spot_available_intervals,um_symbol,um_earliest_date,\
             um_available_intervals,cm_symbol,cm_earliest_date,cm_available_intervals"
        );
        assert_eq!(
            &lines[1..],
            [
                "1000SHIB,,,,1000SHIBUSDT,2021-05-10,\"1m\",,,",
                "AAVE,AAVEUSDT,2020-10-15,\"1d\",AAVEUSDT,2020-10-16,\"1m\",,,",
                "BTC,BTCUSDT,2017-08-17,\"12h,1d\",BTCUSDT,2019-12-31,\"1m\",BTCUSD_PERP,2020-08-01,\"1m\"",
                "OLD,,,,OLDUSDT,2019-12-31,\"1m\",,,",
                "SHIB,SHIBUSDT,2021-05-10,\"1d\",,,,,,",
            ]
        );
    }

    #[test]
    fn the_universe_of_a_day_is_what_had_archives_then() {
        let mut holed = series("um/klines/ETHUSDT/1d", "2020-01-01", "2024-06-14");
        holed.holes = vec!["2021-02".to_owned(), "2021-03-05".to_owned()];
        let found = [
            series("um/klines/BTCUSDT/1d", "2020-01-01", "2024-06-14"),
            series("um/aggTrades/BTCUSDT/", "2020-01-01", "2024-06-14"),
            series("um/klines/LUNAUSDT/1d", "2020-08-01", "2022-05-13"),
            holed,
        ];
        let on = |day: &str| {
            let found = traded_on(&found, day.parse().unwrap());
            found
                .into_iter()
                .map(|(_, symbol)| symbol)
                .collect::<Vec<_>>()
                .join(" ")
        };

        assert_eq!(on("2020-07-31"), "BTCUSDT ETHUSDT");
        assert_eq!(on("2021-02-10"), "BTCUSDT LUNAUSDT");
        assert_eq!(on("2021-03-05"), "BTCUSDT LUNAUSDT");
        assert_eq!(on("2022-05-14"), "BTCUSDT ETHUSDT");
        assert_eq!(on("2019-12-31"), "");
    }
}

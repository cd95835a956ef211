//! The rows between two times, page by page, as lines of the archive's CSV.

use serde_json::Value;
use tapemill_market::ArchiveName;

use crate::endpoint::{Endpoint, Question, Rows};

/// Trades are looked for in stretches of this length: the exchange answers no longer ones.
const STRETCH_MS: i64 = 3_600_000;

/// Fundings before the first one asked for are looked at this far back, for how long they lie apart.
const FUNDING_LEAD_MS: i64 = 86_400_000;

/// Hours between fundings where nothing tells.
const FUNDING_HOURS: i64 = 8;

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAnswer(pub(crate) String);

/// Asks for all rows of one archive name from one time to before another.
#[derive(Debug)]
pub struct Pages {
    endpoint: Endpoint,
    /// No row is earlier.
    start_ms: i64,
    from_ms: i64,
    until_ms: i64,
    closed_by_ms: i64,
    next: Next,
    /// The funding before the one that comes.
    funding_before: Option<i64>,
    rows: u64,
}

/// Where rows go on that were asked for before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// From this time on.
    pub time_ms: i64,
    /// Trades: from this id on.
    pub id: u64,
}

impl Since {
    /// What of a lineage's key tells until when was asked, as the time from which on it goes on.
    pub fn time_of(key: &str) -> Option<i64> {
        let (_, end) = key.rsplit_once("&endTime=")?;
        let end: i64 = end.parse().ok()?;
        end.checked_add(1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Rows from this time on.
    Time(i64),
    /// Trades from this id on.
    Id(u64),
    Nothing,
}

impl Pages {
    /// The rows of a period, of those only what had ended by a time; `None` for kinds that only the archive has.
    pub fn new(name: &ArchiveName, closed_by_ms: i64) -> Option<Self> {
        let endpoint = Endpoint::of(name)?;
        let from_ms = name.period.start_us() / 1000;
        let until_ms = (name.period.end_us() / 1000).min(closed_by_ms);
        let first = match endpoint.rows {
            Rows::Funding => from_ms - FUNDING_LEAD_MS,
            _ => from_ms,
        };
        Some(Self {
            endpoint,
            start_ms: from_ms,
            from_ms,
            until_ms,
            closed_by_ms,
            next: if from_ms < until_ms {
                Next::Time(first)
            } else {
                Next::Nothing
            },
            funding_before: None,
            rows: 0,
        })
    }

    /// Of trades only those that follow what was asked for before.
    #[must_use]
    pub fn since(mut self, since: Since) -> Self {
        if let Rows::AggTrades { .. } = self.endpoint.rows
            && since.time_ms > self.from_ms
        {
            self.from_ms = since.time_ms;
            self.next = match self.from_ms < self.until_ms {
                true => Next::Id(since.id),
                false => Next::Nothing,
            };
        }
        self
    }

    /// What names these rows in a lineage.
    pub fn key(&self) -> String {
        let (key, from, until) = (self.endpoint.key(), self.from_ms, self.until_ms);
        format!("{key}&startTime={from}&endTime={}", until - 1)
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next request; `None` when all rows are there.
    pub fn question(&self) -> Option<Question> {
        let span = |from: i64, until: i64| {
            vec![
                ("startTime", from.to_string()),
                ("endTime", (until - 1).to_string()),
            ]
        };
        match (self.next, self.endpoint.rows) {
            (Next::Nothing, _) => None,
            (Next::Id(id), _) => {
                let which = vec![("fromId", id.to_string())];
                Some(self.endpoint.question(u32::MAX, which))
            }
            (Next::Time(from), Rows::AggTrades { .. }) => {
                let until = self.until_ms.min(from + STRETCH_MS);
                Some(self.endpoint.question(u32::MAX, span(from, until)))
            }
            (Next::Time(from), rows) => {
                let count = match rows {
                    Rows::Bars {
                        length_ms: Some(length),
                    } => (self.until_ms - from + length - 1) / length,
                    _ => i64::from(u32::MAX),
                };
                let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
                Some(self.endpoint.question(count, span(from, self.until_ms)))
            }
        }
    }

    /// Takes the answer to the last question, and appends its rows to `csv`. `server_ms` is the exchange's clock, where
    /// the answer tells it: what it says has not ended yet is left out.
    ///
    /// # Errors
    ///
    /// [`BadAnswer`] for what is no answer to the question; nothing was appended.
    pub fn take(
        &mut self,
        answer: &[u8],
        limit: u32,
        server_ms: Option<i64>,
        csv: &mut String,
    ) -> Result<(), BadAnswer> {
        let rows: Vec<Value> = serde_json::from_slice(answer)
            .map_err(|error| BadAnswer(format!("no JSON array of rows: {error}")))?;
        if rows.len() > limit as usize {
            let found = rows.len();
            return Err(BadAnswer(format!(
                "{found} rows where {limit} were asked for"
            )));
        }
        let closed_by = server_ms.map_or(self.closed_by_ms, |now| now.min(self.closed_by_ms));
        let until = closed_by.min(self.until_ms);
        let full = rows.len() == limit as usize;
        let mut lines = String::new();
        let (next, count) = match self.endpoint.rows {
            Rows::Bars { .. } => self.bars(&rows, full, closed_by, &mut lines)?,
            Rows::Funding => self.fundings(&rows, full, until, &mut lines)?,
            Rows::AggTrades { best_match } => {
                self.trades(&rows, full, until, best_match, &mut lines)?
            }
        };
        self.next = next;
        self.rows += count;
        csv.push_str(&lines);
        Ok(())
    }

    fn bars(
        &self,
        rows: &[Value],
        full: bool,
        closed_by: i64,
        lines: &mut String,
    ) -> Result<(Next, u64), BadAnswer> {
        let (mut last, mut count) = (i64::MIN, 0);
        for row in rows {
            let cells = row.as_array().filter(|cells| cells.len() >= 11);
            let cells = cells.ok_or_else(|| bad("a bar of 11 or 12 cells", row))?;
            let (open, close) = (time(&cells[0])?, time(&cells[6])?);
            check_ascent(last, open, self.from_ms)?;
            last = open;
            if open >= self.until_ms || close >= closed_by {
                // Not finished: nothing behind it is either.
                return Ok((Next::Nothing, count));
            }
            for (at, cell) in cells.iter().take(11).enumerate() {
                if at > 0 {
                    lines.push(',');
                }
                push(lines, cell)?;
            }
            lines.push_str(",0\n");
            count += 1;
        }
        let next = match full && last + 1 < self.until_ms {
            true => Next::Time(last + 1),
            false => Next::Nothing,
        };
        Ok((next, count))
    }

    fn fundings(
        &mut self,
        rows: &[Value],
        full: bool,
        until: i64,
        lines: &mut String,
    ) -> Result<(Next, u64), BadAnswer> {
        let (mut last, mut count) = (i64::MIN, 0);
        let mut before = self.funding_before;
        let times = rows.iter().map(|row| time(&row["fundingTime"]));
        let times = times.collect::<Result<Vec<i64>, _>>()?;
        for (at, row) in rows.iter().enumerate() {
            let now = times[at];
            check_ascent(last, now, self.from_ms - FUNDING_LEAD_MS)?;
            last = now;
            if now >= until {
                self.funding_before = before;
                return Ok((Next::Nothing, count));
            }
            // The first funding of all has none before it: then the next one tells.
            let apart = before
                .map(|before| now - before)
                .or_else(|| times.get(at + 1).map(|next| next - now));
            before = Some(now);
            if now < self.from_ms {
                continue;
            }
            let hours = apart.map_or(FUNDING_HOURS, |apart| (apart + 1_800_000) / 3_600_000);
            let hours = match hours {
                1..=24 => hours,
                _ => FUNDING_HOURS,
            };
            lines.push_str(&format!("{now},{hours},"));
            push(lines, &row["fundingRate"])?;
            lines.push('\n');
            count += 1;
        }
        self.funding_before = before;
        let next = match full && last + 1 < self.until_ms {
            true => Next::Time(last + 1),
            false => Next::Nothing,
        };
        Ok((next, count))
    }

    fn trades(
        &self,
        rows: &[Value],
        full: bool,
        until: i64,
        best_match: bool,
        lines: &mut String,
    ) -> Result<(Next, u64), BadAnswer> {
        let (mut last_id, mut count) = (None, 0);
        for row in rows {
            let id = row["a"].as_u64().ok_or_else(|| bad("an id", &row["a"]))?;
            let is_next = match (last_id, self.next) {
                (Some(last), _) => id > last,
                (None, Next::Id(from)) => id >= from,
                (None, _) => true,
            };
            if !is_next {
                return Err(BadAnswer(format!(
                    "trade {id} does not follow the one before"
                )));
            }
            last_id = Some(id);
            let now = time(&row["T"])?;
            if now >= until {
                return Ok((Next::Nothing, count));
            }
            if now < self.start_ms {
                return Err(BadAnswer(format!(
                    "a trade of {now}, before what was asked for"
                )));
            }
            for name in ["a", "p", "q", "f", "l", "T", "m"] {
                if name != "a" {
                    lines.push(',');
                }
                push(lines, &row[name])?;
            }
            if best_match {
                lines.push(',');
                push(lines, &row["M"])?;
            }
            lines.push('\n');
            count += 1;
        }
        let next = match (last_id, self.next) {
            // Ids count on: whatever follows in time follows in ids.
            (Some(last), _) => Next::Id(last + 1),
            (None, Next::Time(from)) if from + STRETCH_MS < until => Next::Time(from + STRETCH_MS),
            (None, _) => Next::Nothing,
        };
        // A short answer by id is the last one; by time the stretch was short.
        let next = match (next, self.next) {
            (Next::Id(_), Next::Id(_)) if !full => Next::Nothing,
            (next, _) => next,
        };
        Ok((next, count))
    }
}

fn check_ascent(last: i64, now: i64, from: i64) -> Result<(), BadAnswer> {
    if now <= last || now < from {
        return Err(BadAnswer(format!(
            "a row of {now} where a later one was asked for"
        )));
    }
    Ok(())
}

fn time(value: &Value) -> Result<i64, BadAnswer> {
    let time = value.as_i64().filter(|time| (0..1 << 45).contains(time));
    time.ok_or_else(|| bad("a time in milliseconds", value))
}

/// A number as it is written, or a boolean.
fn push(lines: &mut String, value: &Value) -> Result<(), BadAnswer> {
    match value {
        Value::String(text) => {
            let is_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
            if text.is_empty() || text.len() > 64 || !text.bytes().all(is_number) {
                return Err(bad("a number", value));
            }
            lines.push_str(text);
        }
        Value::Number(number) => lines.push_str(&number.to_string()),
        Value::Bool(bool) => lines.push_str(if *bool { "true" } else { "false" }),
        _ => return Err(bad("a number", value)),
    }
    Ok(())
}

fn bad(expected: &str, found: &Value) -> BadAnswer {
    let found: String = found.to_string().chars().take(60).collect();
    BadAnswer(format!("{found} where {expected} should be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;
    /// 2024-05-03.
    const START_MS: i64 = 1_714_694_400_000;

    fn pages(id: &str, closed_by_ms: i64) -> Pages {
        Pages::new(&ArchiveName::from_task_id(id).unwrap(), closed_by_ms).unwrap()
    }

    /// The parameters of the next question, without the symbol's.
    fn asked(pages: &Pages) -> Option<String> {
        let question = pages.question()?;
        let pairs = question.pairs.iter().skip(1);
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Some(format!("{} ({})", pairs.join("&"), question.weight))
    }

    fn bar(open_ms: i64, length_ms: i64) -> String {
        let close = open_ms + length_ms - 1;
        format!(r#"[{open_ms},"1.5","2","1","1.0","10.25",{close},"15.375",7,"4","6","0"]"#)
    }

    fn bars(opens: impl IntoIterator<Item = i64>, length_ms: i64) -> String {
        let bars: Vec<_> = opens.into_iter().map(|open| bar(open, length_ms)).collect();
        format!("[{}]", bars.join(","))
    }

    fn take(pages: &mut Pages, answer: &str, server_ms: Option<i64>) -> Result<String, BadAnswer> {
        let limit = pages.question().map_or(0, |question| question.limit);
        let mut csv = String::new();
        pages
            .take(answer.as_bytes(), limit, server_ms, &mut csv)
            .map(|()| csv)
    }

    #[test]
    fn a_day_of_minutes_is_asked_for_at_the_least_weight() {
        let mut pages = pages("um/klines:1m/BTCUSDT/2024-05-03", START_MS + DAY_MS);
        let end = START_MS + DAY_MS - 1;
        let mut weight = 0;
        while let Some(question) = pages.question() {
            weight += question.weight;
            let next = match pages.next {
                Next::Time(from) => from,
                _ => unreachable!(),
            };
            assert_eq!(
                question.pairs[2..4],
                [
                    ("startTime", next.to_string()),
                    ("endTime", end.to_string())
                ]
            );
            let first = (next + 59_999) / 60_000 * 60_000;
            let opens = (0..i64::from(question.limit)).map(|at| first + at * 60_000);
            let opens: Vec<_> = opens.filter(|open| *open <= end).collect();
            let csv = take(&mut pages, &bars(opens.iter().copied(), 60_000), None).unwrap();
            assert_eq!(csv.lines().count(), opens.len());
        }
        assert_eq!((pages.rows(), weight), (1440, 6));
        assert_eq!(
            pages.key(),
            format!(
                "rest/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime={START_MS}&endTime={end}"
            )
        );
    }

    #[test]
    fn what_is_not_finished_is_never_taken() {
        let half_past = START_MS + 10 * 3_600_000 + 1_800_000;
        let opens = (0..11).map(|hour| START_MS + hour * 3_600_000);
        let answer = bars(opens, 3_600_000);
        // By the planner's clock, and by the exchange's where that is behind.
        for (closed_by, server, rows) in [
            (half_past, None, 10),
            (half_past + DAY_MS, Some(half_past), 10),
            (half_past, Some(half_past - 3_600_000), 9),
        ] {
            let mut pages = pages("um/klines:1h/BTCUSDT/2024-05-03", closed_by);
            take(&mut pages, &answer, server).unwrap();
            assert_eq!((pages.rows(), pages.question()), (rows, None));
        }
    }

    #[test]
    fn a_bar_becomes_a_line_of_the_archive() {
        let mut pages = pages(
            "cm/markPriceKlines:1h/BTCUSD_PERP/2024-05-03",
            START_MS + DAY_MS,
        );
        let csv = take(&mut pages, &bars([START_MS], 3_600_000), None).unwrap();
        let close = START_MS + 3_599_999;
        assert_eq!(
            csv,
            format!("{START_MS},1.5,2,1,1.0,10.25,{close},15.375,7,4,6,0\n")
        );
    }

    #[test]
    fn an_index_is_of_a_pair_and_a_month_has_its_own_letter() {
        let pages = pages(
            "cm/indexPriceKlines:1mo/BTCUSD/2024-05",
            START_MS + 60 * DAY_MS,
        );
        let question = pages.question().unwrap();
        assert_eq!(question.path, "/dapi/v1/indexPriceKlines");
        assert_eq!(
            question.pairs[..2],
            [("pair", "BTCUSD".to_owned()), ("interval", "1M".to_owned())]
        );
    }

    #[test]
    fn trades_are_looked_for_by_time_and_followed_by_id() {
        let trade = |id: u64, at: i64| {
            format!(r#"{{"a":{id},"p":"5","q":"2.50","f":7,"l":9,"T":{at},"m":true}}"#)
        };
        let end = START_MS + 3 * STRETCH_MS;
        let mut pages = pages("um/aggTrades/BTCUSDT/2024-05-03", end);
        assert_eq!(
            asked(&pages).unwrap(),
            format!(
                "startTime={START_MS}&endTime={}&limit=1000 (20)",
                START_MS + STRETCH_MS - 1
            )
        );
        // An hour without a trade.
        assert_eq!(take(&mut pages, "[]", None).unwrap(), "");
        let second = START_MS + STRETCH_MS;
        assert_eq!(
            asked(&pages).unwrap(),
            format!(
                "startTime={second}&endTime={}&limit=1000 (20)",
                second + STRETCH_MS - 1
            )
        );
        let csv = take(
            &mut pages,
            &format!("[{},{}]", trade(41, second), trade(43, second + 5)),
            None,
        )
        .unwrap();
        assert_eq!(
            csv,
            format!(
                "41,5,2.50,7,9,{second},true\n43,5,2.50,7,9,{},true\n",
                second + 5
            )
        );
        assert_eq!(asked(&pages).unwrap(), "fromId=44&limit=1000 (20)");
        // What is beyond the period ends it.
        let csv = take(
            &mut pages,
            &format!("[{},{}]", trade(44, end - 1), trade(45, end)),
            None,
        )
        .unwrap();
        assert_eq!((csv.lines().count(), asked(&pages)), (1, None));
    }

    #[test]
    fn fundings_tell_how_far_they_lie_apart() {
        let funding = |at: i64| {
            format!(r#"{{"symbol":"BTCUSDT","fundingTime":{at},"fundingRate":"-0.00010000"}}"#)
        };
        let hour = 3_600_000;
        let may = START_MS - 2 * DAY_MS;
        let mut pages = pages("um/fundingRate/BTCUSDT/2024-05", may + DAY_MS);
        assert!(
            asked(&pages)
                .unwrap()
                .starts_with(&format!("startTime={}&", may - DAY_MS))
        );
        let times = [may - 4 * hour, may + 3, may + 4 * hour + 1, may + 12 * hour];
        let answer = format!("[{}]", times.map(funding).join(","));
        let csv = take(&mut pages, &answer, None).unwrap();
        let hours: Vec<_> = csv
            .lines()
            .map(|line| line.split(',').nth(1).unwrap())
            .collect();
        assert_eq!(hours, ["4", "4", "8"]);
        assert!(
            csv.starts_with(&format!("{},4,-0.00010000\n", may + 3)),
            "{csv}"
        );
    }

    #[test]
    fn answers_to_other_questions_are_refused() {
        let hourly = || pages("um/klines:1h/BTCUSDT/2024-05-03", START_MS + DAY_MS);
        let long = bars((0..40).map(|hour| START_MS + hour * 3_600_000), 3_600_000);
        for answer in [
            "{}".to_owned(),
            "[1]".to_owned(),
            "[[1,2]]".to_owned(),
            bars([START_MS - 3_600_000], 3_600_000),
            bars([START_MS, START_MS], 3_600_000),
            long,
            bar(START_MS, 3_600_000).replace("1.5", "1,5\\n"),
            format!("[{}]", bar(START_MS, 3_600_000).replace("\"1.5\"", "null")),
        ] {
            let mut pages = hourly();
            let before = pages.question();
            assert!(take(&mut pages, &answer, None).is_err(), "{answer}");
            assert_eq!((pages.rows(), pages.question()), (0, before));
        }
    }

    #[test]
    fn trades_go_on_where_they_were_asked_for_before() {
        let pages = pages("um/aggTrades/BTCUSDT/2024-05-03", START_MS + DAY_MS);
        let first = pages.key();
        let until = Since::time_of("rest/x?symbol=A&startTime=5&endTime=1714694459999");
        assert_eq!(until, Some(START_MS + 60_000));
        assert_eq!(Since::time_of("data/x.zip"), None);
        let since = Since {
            time_ms: START_MS + 60_000,
            id: 77,
        };

        let mut pages = pages.since(since);

        assert_ne!(pages.key(), first);
        assert!(
            pages
                .key()
                .contains(&format!("startTime={}&", since.time_ms))
        );
        let question = pages.question().unwrap();
        assert!(question.pairs.contains(&("fromId", "77".to_owned())));
        // A straggler of the minute before is no mistake of the exchange.
        let answer = format!(
            r#"[{{"a":77,"p":"1","q":"1","f":1,"l":1,"T":{},"m":true}}]"#,
            START_MS + 59_999
        );
        let mut csv = String::new();
        pages.take(answer.as_bytes(), 1000, None, &mut csv).unwrap();
        assert_eq!((pages.rows(), pages.question()), (1, None));
    }

    #[test]
    fn nothing_is_asked_where_nothing_can_have_followed() {
        let since = Since {
            time_ms: START_MS + DAY_MS,
            id: 77,
        };
        let trades = pages("um/aggTrades/BTCUSDT/2024-05-03", START_MS + DAY_MS);
        assert_eq!(trades.since(since).question(), None);
        // Bars are asked for as a whole.
        let bars = pages("um/klines:1m/BTCUSDT/2024-05-03", START_MS + DAY_MS);
        let whole = bars.question();
        assert_eq!(bars.since(since).question(), whole);
    }
}

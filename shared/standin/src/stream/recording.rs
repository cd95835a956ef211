//! Recordings that others made of the exchange, read as tapes.
//!
//! | made by | file | a line |
//! | --- | --- | --- |
//! | hftbacktest, 2024 | `*.gz` | nanoseconds, space, message |
//! | hftbacktest, 2023 | `*.dat.gz` | microseconds, space, message |
//! | cryptofeed | `*.ws.*`, beside it `*.http.*` | `seconds.fraction: message`; snapshots as `URL -> seconds.fraction: answer` |
//!
//! A message without a stream is the answer of `GET …/depth`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::scan;
use super::tape::Tape;
use crate::{Market, StandinError};

/// No recording is longer when unpacked.
const LONGEST: u64 = 1 << 30;

/// A line and when it came, in nanoseconds since 1970; with the symbol where it is a snapshot that names none.
type Line<'a> = (i64, &'a str, Option<&'a str>);

impl Tape {
    /// Reads a recording. The market is what its messages say: futures' depth events have a `pu`, COIN-M ones a `ps`.
    ///
    /// # Errors
    ///
    /// [`StandinError::Io`] when the file cannot be read, [`StandinError::Invalid`] names the first line that is no
    /// message.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, StandinError> {
        let path = path.as_ref();
        let wrong = |why: String| StandinError::invalid(path.display().to_string(), why);
        let text = text_of(path)?;
        let beside = snapshots_beside(path).map(|path| text_of(&path));
        let beside = beside.transpose()?.unwrap_or_default();
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            match read_line(line) {
                Some(read) => lines.push(read),
                // The first line of cryptofeed's tells what was connected to; empty lines end its files.
                None if line.is_empty() || line.starts_with("wss://") => {}
                None => return Err(wrong(format!("line {} is no message", number + 1))),
            }
        }
        lines.extend(beside.lines().filter_map(read_snapshot));
        // Stable: what came at one time stays in the order of the file.
        lines.sort_by_key(|(at_ns, _, _)| *at_ns);
        let market = market_of(&lines).ok_or_else(|| wrong("no depth event in it".to_owned()))?;
        let mut tape = Self::new(market);
        let first = lines.first().map_or(0, |(at_ns, _, _)| *at_ns);
        let only = lines.iter().find_map(|(_, json, _)| symbol_of(json));
        for (at_ns, json, symbol) in lines {
            let named = || scan::string(json, 0, "symbol").map(str::to_owned);
            if scan::field(json, 0, "lastUpdateId").is_some() {
                let symbol = symbol.map(str::to_owned).or_else(named).or(only.clone());
                tape.push_snapshot(at_ns - first, &symbol.unwrap_or_default(), json);
            } else {
                tape.push(at_ns - first, json)
                    .map_err(|error| wrong(error.to_string()))?;
            }
        }
        Ok(tape)
    }
}

fn text_of(path: &Path) -> Result<String, StandinError> {
    let failed = StandinError::io;
    let file = fs::File::open(path).map_err(failed(path))?;
    let mut text = String::new();
    let read = match path.extension().is_some_and(|extension| extension == "gz") {
        true => MultiGzDecoder::new(file)
            .take(LONGEST)
            .read_to_string(&mut text),
        false => file.take(LONGEST).read_to_string(&mut text),
    };
    read.map_err(failed(path))?;
    Ok(text)
}

/// The answers that cryptofeed kept beside its messages: `X.http.0.0` beside `X.ws.1.0`.
fn snapshots_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let (stem, _) = name.split_once(".ws.")?;
    let beside = path.with_file_name(format!("{stem}.http.0.0"));
    beside.is_file().then_some(beside)
}

fn read_line(line: &str) -> Option<Line<'_>> {
    let (at, json) = line.split_once(' ')?;
    let at_ns = match at.strip_suffix(':') {
        Some(seconds) => seconds_ns(seconds)?,
        None if at.len() == 19 => at.parse().ok()?,
        None if at.len() == 16 => at.parse::<i64>().ok()?.checked_mul(1000)?,
        None => return None,
    };
    json.starts_with('{').then_some((at_ns, json, None))
}

fn read_snapshot(line: &str) -> Option<Line<'_>> {
    let (url, answer) = line.split_once(" -> ")?;
    let (seconds, json) = answer.split_once(": ")?;
    let (_, query) = url.split_once("/depth?")?;
    let symbol = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("symbol="));
    Some((seconds_ns(seconds)?, json, symbol))
}

/// `1626992741.06217` in nanoseconds.
fn seconds_ns(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction: i64 = format!("{fraction:0<9.9}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(fraction)
}

fn market_of(lines: &[Line<'_>]) -> Option<Market> {
    lines.iter().find_map(|(_, json, _)| {
        let data = scan::field(json, 0, "data")?.start;
        if scan::string(json, data, "e")? != "depthUpdate" {
            return None;
        }
        let has = |name| scan::field(json, data, name).is_some();
        Some(match (has("pu"), has("ps")) {
            (true, true) => Market::Cm,
            (true, false) => Market::Um,
            (false, _) => Market::Spot,
        })
    })
}

fn symbol_of(json: &str) -> Option<String> {
    let stream = scan::string(json, 0, "stream")?;
    Some(stream.split('@').next()?.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_a_second_have_any_number_of_digits() {
        assert_eq!(
            seconds_ns("1626992741.06217"),
            Some(1_626_992_741_062_170_000)
        );
        assert_eq!(seconds_ns("1626992741"), Some(1_626_992_741_000_000_000));
        assert_eq!(seconds_ns("x.1"), None);
    }

    #[test]
    fn lines_of_each_recorder_are_read() {
        let second = 1_680_652_700_000_000_000_i64;
        assert_eq!(
            read_line("1680652700000000000 {}"),
            Some((second, "{}", None))
        );
        assert_eq!(read_line("1680652700000000 {}"), Some((second, "{}", None)));
        assert_eq!(read_line("1680652700.0: {}"), Some((second, "{}", None)));
        assert_eq!(read_line("168065270 {}"), None);
        assert_eq!(
            read_snapshot("https://x/fapi/v1/depth?symbol=AB&limit=5 -> 1680652700.0: {}"),
            Some((second, "{}", Some("AB")))
        );
    }
}

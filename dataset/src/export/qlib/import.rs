//! Source CSVs that the collector wrote: `date`, the values by name, and what else there may be.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tapemill_lake::LakeError;
use tapemill_market::Symbol;

use super::name::Prefix;
use super::{ExportError, Frequency};
use crate::normalise::{Bar, FIELDS, distinct};

/// The longest line.
const LONGEST_LINE: u64 = 4096;

/// The source CSVs in a folder, by symbol.
pub type Imports = BTreeMap<Symbol, BTreeMap<Frequency, PathBuf>>;

/// Looks for source CSVs in a folder, or in its folders `source_1min`, `source_60min`, `source_4h`, `source_1d`.
///
/// # Errors
///
/// [`ExportError::Import`] for a folder whose name tells no frequency, or that has none, and for a CSV of another prefix.
pub fn find(folder: &Path, prefix: &Prefix, asked: &[Frequency]) -> Result<Imports, ExportError> {
    let reading = |error| LakeError::io("read", folder, error);
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).map_err(reading)? {
        let path = entry.map_err(reading)?.path();
        if let (true, Some(frequency)) = (path.is_dir(), frequency_of(&path)) {
            sources.push((path, frequency));
        }
    }
    if sources.is_empty() {
        let whole = folder.canonicalize().map_err(reading)?;
        let frequency = match (frequency_of(&whole), asked) {
            (Some(frequency), _) => frequency,
            (None, &[only]) => only,
            _ => {
                return Err(broken(
                    folder,
                    None,
                    "its name does not tell the length of its bars: name it source_1min, source_60min, source_4h or source_1d, or one --interval",
                ));
            }
        };
        sources.push((folder.to_path_buf(), frequency));
    }
    let mut found = Imports::new();
    for (folder, frequency) in sources {
        let reading = |error| LakeError::io("read", &folder, error);
        for entry in fs::read_dir(&folder).map_err(reading)? {
            let path = entry.map_err(reading)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.ends_with(".csv") || name.starts_with('.') {
                continue;
            }
            let Some(symbol) = prefix.symbol_of(&name) else {
                let problem = format!(
                    "it is not named {}SYMBOL.csv: --prefix says how it begins",
                    prefix.as_str()
                );
                return Err(broken(&path, None, &problem));
            };
            found
                .entry(symbol)
                .or_default()
                .insert(frequency, path.clone());
        }
    }
    if found.is_empty() {
        return Err(broken(folder, None, "it has no source CSVs"));
    }
    Ok(found)
}

fn frequency_of(folder: &Path) -> Option<Frequency> {
    let name = folder.file_name()?.to_str()?;
    name.strip_prefix("source_")?.parse().ok()
}

/// A digest of a file's bytes.
pub fn digest(path: &Path) -> Result<String, ExportError> {
    let mut digest = Sha256::new();
    let read = File::open(path).and_then(|file| {
        let mut file = BufReader::new(file);
        loop {
            let bytes = file.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            digest.update(bytes);
            let count = bytes.len();
            file.consume(count);
        }
    });
    read.map_err(|error: io::Error| LakeError::io("read", path, error))?;
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Reads a source CSV: in order of time; of rows of one time the first counts.
///
/// # Errors
///
/// [`ExportError::Import`] names the file and the line that is broken.
pub fn read(path: &Path, frequency: Frequency) -> Result<Vec<Bar>, ExportError> {
    let file = File::open(path).map_err(|error| LakeError::io("read", path, error))?;
    let mut lines = Lines {
        reader: BufReader::new(file),
        line: Vec::new(),
        number: 0,
    };
    let refused = |number: u64, problem: &str| broken(path, Some(number), problem);
    let header = lines.next().map_err(|problem| refused(1, &problem))?;
    let header = header.ok_or_else(|| refused(1, "it is empty: a header is expected"))?;
    let columns = Columns::of(header).map_err(|problem| refused(1, &problem))?;
    let mut bars = Vec::new();
    loop {
        let number = lines.number + 1;
        let line = lines.next().map_err(|problem| refused(number, &problem))?;
        let Some(line) = line else {
            return Ok(distinct(bars));
        };
        if !line.is_empty() {
            let bar = columns.bar(line, frequency);
            bars.push(bar.map_err(|problem| refused(number, &problem))?);
        }
    }
}

fn broken(file: &Path, line: Option<u64>, problem: &str) -> ExportError {
    ExportError::Import {
        place: match line {
            Some(line) => format!("{} line {line}", file.display()),
            None => file.display().to_string(),
        },
        problem: problem.to_owned(),
    }
}

/// The lines of a file, none longer than a row can be.
struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    fn next(&mut self) -> Result<Option<&str>, String> {
        self.line.clear();
        let mut bounded = (&mut self.reader).take(LONGEST_LINE + 1);
        let read = bounded.read_until(b'\n', &mut self.line);
        if read.map_err(|error| error.to_string())? == 0 {
            return Ok(None);
        }
        if self.line.len() as u64 > LONGEST_LINE {
            return Err(format!("it is longer than {LONGEST_LINE} bytes"));
        }
        self.number += 1;
        let text = std::str::from_utf8(&self.line).map_err(|_| "it is no text in UTF-8")?;
        Ok(Some(text.trim_end_matches(['\n', '\r'])))
    }
}

/// Where a file has what.
struct Columns {
    count: usize,
    date: usize,
    fields: [Option<usize>; FIELDS.len()],
}

impl Columns {
    fn of(header: &str) -> Result<Self, String> {
        let names: Vec<_> = header.trim_start_matches('\u{feff}').split(',').collect();
        let place = |wanted: &str| names.iter().position(|name| name.trim() == wanted);
        Ok(Self {
            count: names.len(),
            date: place("date").ok_or("there is no column date in the header")?,
            fields: FIELDS.map(place),
        })
    }

    fn bar(&self, line: &str, frequency: Frequency) -> Result<Bar, String> {
        let cells: Vec<_> = line.split(',').collect();
        if cells.len() != self.count {
            return Err(format!(
                "it has {} cells, and the header {}",
                cells.len(),
                self.count
            ));
        }
        let open_us = time_us(cells[self.date])
            .ok_or_else(|| format!("{:?} is no date and time", cells[self.date]))?;
        let interval = frequency.interval();
        // A day may say any time of it.
        let open_us = match frequency {
            Frequency::Day => interval.open_of(open_us),
            _ if interval.is_on_grid(open_us) => open_us,
            _ => {
                return Err(format!(
                    "no bar of {frequency} opens at {}",
                    cells[self.date]
                ));
            }
        };
        let mut bar = Bar::empty(open_us);
        for ((value, place), name) in bar.cells.iter_mut().zip(self.fields).zip(FIELDS) {
            if let Some(place) = place {
                *value = number(cells[place])
                    .ok_or_else(|| format!("{name} {:?} is no number", cells[place]))?;
            }
        }
        Ok(bar.with_vwap())
    }
}

/// A finite number; an empty cell and `nan` are NaN.
fn number(cell: &str) -> Option<f64> {
    let cell = cell.trim();
    if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    cell.parse().ok().filter(|value: &f64| value.is_finite())
}

/// `2024-01-31`, with a time or without, in UTC whether it says so or not.
fn time_us(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.strip_suffix("+00:00").unwrap_or(text);
    let text = text.strip_suffix('Z').unwrap_or(text);
    let time = match text.len() {
        10 => text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0),
        _ => text.parse::<jiff::civil::DateTime>().ok()?,
    };
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, frequency: Frequency) -> Result<Vec<Bar>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("binance_um.BTCUSDT.csv");
        fs::write(&path, text).unwrap();
        read(&path, frequency).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_come_in_order_and_columns_by_name() {
        let text = "symbol,close,date,volume,amount\r\n\
                    x,2.5,2024-01-01 00:01:00,0,0\r\n\
                    x,1.5,2024-01-01 00:00:00,2,5\r\n\
                    \r\n\
                    x,9,2024-01-01 00:01:00,,";

        let bars = read_text(text, Frequency::Minute).unwrap();

        let minute: Vec<_> = bars.iter().map(|bar| bar.cells[3]).collect();
        assert_eq!(minute, [1.5, 2.5]);
        assert_eq!(bars[0].open_us, 1_704_067_200_000_000);
        assert_eq!(bars[0].cells[6], 2.5, "the average price follows");
        assert!(bars[0].cells[0].is_nan() && bars[1].cells[6].is_nan());
    }

    #[test]
    fn a_broken_row_is_named() {
        for (row, said) in [
            ("2024-01-01 00:00:00,1", "line 3: it has 2 cells"),
            ("yesterday,1,2", "\"yesterday\" is no date"),
            ("2024-01-01 00:00:30,1,2", "no bar of 1min opens at"),
            ("2024-01-01 00:01:00,1,two", "close \"two\" is no number"),
            ("2024-01-01 00:01:00,1,inf", "close \"inf\" is no number"),
        ] {
            let text = format!("date,open,close\n2024-01-01 00:00:00,1,2\n{row}\n");
            let error = read_text(&text, Frequency::Minute).unwrap_err();
            assert!(
                error.contains(said) && error.contains("BTCUSDT.csv"),
                "{error}"
            );
        }
        let long = format!("date,open\n{}\n", "x".repeat(5000));
        assert!(
            read_text(&long, Frequency::Minute)
                .unwrap_err()
                .contains("line 2: it is longer")
        );
        assert!(
            read_text("open,close\n", Frequency::Minute)
                .unwrap_err()
                .contains("no column date")
        );
        assert!(
            read_text("", Frequency::Minute)
                .unwrap_err()
                .contains("it is empty")
        );
    }

    #[test]
    fn a_day_may_say_its_time() {
        let text = "date,open\n2024-01-01,1\n2024-01-02 00:00:00,2\n2024-01-03T08:00:00Z,3\n";
        let bars = read_text(text, Frequency::Day).unwrap();
        let days: Vec<_> = bars
            .iter()
            .map(|bar| (bar.open_us - bars[0].open_us) / 86_400_000_000)
            .collect();
        assert_eq!(days, [0, 1, 2]);
    }
}

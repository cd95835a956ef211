//! The CSVs of the collector.

use std::io::Write;
use std::path::PathBuf;

use tapemill_lake::LakeError;

use super::Frequency;
use super::clock::Clock;
use super::features::{append, make_folder};
use crate::normalise::{Bar, FIELDS};

/// Text that is gathered before it is written.
const AT_ONCE: usize = 1 << 20;

/// Where the number of trades is, which is written without a point.
const TRADES: usize = 7;

/// A CSV that is being written: nothing is, where there are no bars.
#[derive(Debug)]
pub struct Sheet {
    path: PathBuf,
    clock: Clock,
    name: String,
    text: Vec<u8>,
    is_begun: bool,
}

impl Sheet {
    /// An instrument's bars at this place.
    pub fn new(path: PathBuf, frequency: Frequency, name: &str) -> Self {
        Self {
            path,
            clock: Clock::of(frequency),
            name: name.to_owned(),
            text: Vec::new(),
            is_begun: false,
        }
    }

    /// Adds a bar.
    pub fn push(&mut self, bar: &Bar) -> Result<(), LakeError> {
        if !self.is_begun && self.text.is_empty() {
            let header = format!("date,{},symbol\n", FIELDS.join(","));
            self.text.extend_from_slice(header.as_bytes());
        }
        self.clock.write(bar.open_us, &mut self.text);
        for (at, cell) in bar.cells.into_iter().enumerate() {
            // Writing to memory does not fail.
            let _ = match at {
                _ if cell.is_nan() => write!(self.text, ","),
                TRADES => write!(self.text, ",{cell}"),
                _ => write!(self.text, ",{cell:?}"),
            };
        }
        let _ = writeln!(self.text, ",{}", self.name);
        match self.text.len() >= AT_ONCE {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes what was added.
    pub fn flush(&mut self) -> Result<(), LakeError> {
        if self.text.is_empty() {
            return Ok(());
        }
        if let (false, Some(folder)) = (self.is_begun, self.path.parent()) {
            make_folder(folder)?;
        }
        append(&self.path, &self.text)?;
        self.text.clear();
        self.is_begun = true;
        Ok(())
    }
}

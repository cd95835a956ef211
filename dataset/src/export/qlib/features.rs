//! Qlib's files of values: `{field}.{freq}.bin`, 32-bit floats, lowest byte first; the first is where in the calendar the
//! second one is.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use tapemill_lake::LakeError;

use super::Frequency;
use crate::normalise::{Bar, FIELDS};

/// Values that are gathered of each field before they are written.
const AT_ONCE: usize = 1 << 18;

/// The size of a value.
const BYTES: usize = 4;

/// Files of one instrument and frequency that are being written. Their place in the calendar is set when that is known.
#[derive(Debug)]
pub struct Features {
    folder: PathBuf,
    frequency: Frequency,
    values: [Vec<u8>; FIELDS.len()],
    has_files: bool,
}

impl Features {
    /// No file yet.
    pub fn new(folder: PathBuf, frequency: Frequency) -> Self {
        Self {
            folder,
            frequency,
            values: Default::default(),
            has_files: false,
        }
    }

    /// Adds a bar behind all others.
    pub fn push(&mut self, bar: &Bar) -> Result<(), LakeError> {
        for (values, cell) in self.values.iter_mut().zip(bar.cells) {
            values.extend_from_slice(&single(cell));
        }
        match self.values[0].len() >= AT_ONCE {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes what was added.
    pub fn flush(&mut self) -> Result<(), LakeError> {
        if self.values[0].is_empty() {
            return Ok(());
        }
        if !self.has_files {
            make_folder(&self.folder)?;
        }
        for (field, values) in FIELDS.into_iter().zip(&mut self.values) {
            if !self.has_files {
                // The place, which nobody knows yet.
                values.splice(0..0, [0; BYTES]);
            }
            append(&self.folder.join(file_name(field, self.frequency)), values)?;
            values.clear();
        }
        self.has_files = true;
        Ok(())
    }
}

/// The name of a file of values.
pub fn file_name(field: &str, frequency: Frequency) -> String {
    format!("{field}.{frequency}.bin")
}

/// A value as the file has it; NaN has one spelling.
fn single(value: f64) -> [u8; BYTES] {
    let value = if value.is_nan() {
        f32::NAN
    } else {
        value as f32
    };
    value.to_le_bytes()
}

/// A file's bytes with the place of its first value, and with NaN where the calendar has a time and the file has no value:
/// so many empty places before each stretch of so many values.
pub fn placed(bytes: &[u8], index: u64, places: &[(u64, u64)]) -> Vec<u8> {
    let mut placed = single(index as f64).to_vec();
    let mut values = bytes.get(BYTES..).unwrap_or_default();
    for &(empty, count) in places {
        for _ in 0..empty {
            placed.extend_from_slice(&single(f64::NAN));
        }
        let (stretch, rest) = values.split_at((count as usize * BYTES).min(values.len()));
        placed.extend_from_slice(stretch);
        values = rest;
    }
    placed
}

/// The size of a file of so many values.
pub fn size(values: u64) -> u64 {
    (values + 1) * BYTES as u64
}

/// Sets the place of a file's first value.
pub fn set_index(path: &Path, index: u64) -> Result<(), LakeError> {
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|mut file| file.write_all(&single(index as f64)))
        .map_err(|error| LakeError::io("write", path, error))
}

/// Adds bytes to a file of our own making.
pub fn append(path: &Path, bytes: &[u8]) -> Result<(), LakeError> {
    let file: Result<File, _> = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(bytes))
        .map_err(|error| LakeError::io("write", path, error))
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<(), LakeError> {
    fs::create_dir_all(path).map_err(|error| LakeError::io("create", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    #[test]
    fn values_stand_where_the_calendar_has_them() {
        let file = bytes(&[0.0, 1.5, 2.5, 3.5]);
        assert_eq!(
            placed(&file, 7, &[(0, 2), (1, 1)]),
            bytes(&[7.0, 1.5, 2.5, f32::NAN, 3.5])
        );
        assert_eq!(placed(&file, 2, &[(0, 3)]), bytes(&[2.0, 1.5, 2.5, 3.5]));
        assert_eq!(size(3), 16);
    }

    #[test]
    fn nan_is_the_one_that_numpy_writes() {
        assert_eq!(single(-f64::NAN), [0, 0, 0xc0, 0x7f]);
        assert_eq!(single(0.1), 0.1f32.to_le_bytes());
    }
}

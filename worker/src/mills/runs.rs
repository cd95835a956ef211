//! Sorted runs of rows on the disk, and their merge: how a file of any size and order is sorted in little memory.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;

use tapemill_lake::{Lake, LakeError};
use tapemill_market::{RowOrder, Words};

/// Rows of a run that are in memory while it is merged.
const AHEAD: usize = 64;

/// Runs in a file that has no name, so that nothing is left of it whatever happens to the process.
pub(super) struct Runs {
    file: File,
    folder: PathBuf,
    /// Where each run ends, in cells.
    ends: Vec<u64>,
}

impl Runs {
    /// In the output's folder, which has room for what is written; for a bucket where the system keeps such files.
    pub fn create(lake: &Lake) -> Result<Self, LakeError> {
        let folder = lake
            .folder()
            .map_or_else(std::env::temp_dir, std::path::Path::to_path_buf);
        let file = tempfile::tempfile_in(&folder)
            .map_err(|error| LakeError::io("create", &folder, error))?;
        Ok(Self {
            file,
            folder,
            ends: Vec::new(),
        })
    }

    /// Adds a sorted run.
    pub fn add(&mut self, cells: &[u64]) -> Result<(), LakeError> {
        self.file
            .write_all(bytemuck::cast_slice(cells))
            .map_err(|error| LakeError::io("write", &self.folder, error))?;
        let before = self.ends.last().copied().unwrap_or(0);
        self.ends.push(before + cells.len() as u64);
        Ok(())
    }

    /// Gives the rows of all runs and of a last one in memory in order; of rows that are equal those of the earlier run
    /// first.
    pub fn merge(
        runs: Option<Self>,
        last: &[u64],
        order: &RowOrder,
        words: &Words,
        mut take: impl FnMut(&[u64]) -> Result<(), LakeError>,
    ) -> Result<(), LakeError> {
        let by = Rc::new((order.clone(), words.clone()));
        let width = order.width();
        let mut cursors = Vec::new();
        if let Some(Self { file, folder, ends }) = runs {
            let file = Rc::new((file, folder));
            let begins = [0].into_iter().chain(ends.iter().copied());
            for (begin, &end) in begins.zip(&ends) {
                cursors.push(Cursor {
                    source: Source::File(file.clone(), begin..end),
                    rows: Vec::new(),
                    at: 0,
                });
            }
        }
        cursors.push(Cursor {
            source: Source::Memory,
            rows: last.to_vec(),
            at: 0,
        });
        let mut heads = BinaryHeap::new();
        for (run, cursor) in cursors.iter_mut().enumerate() {
            let mut row = Vec::new();
            if cursor.next(width, &mut row)? {
                heads.push(Reverse(Head {
                    row,
                    run,
                    by: by.clone(),
                }));
            }
        }
        while let Some(Reverse(mut head)) = heads.pop() {
            take(&head.row)?;
            if cursors[head.run].next(width, &mut head.row)? {
                heads.push(Reverse(head));
            }
        }
        Ok(())
    }
}

/// Where a run is being read.
struct Cursor {
    source: Source,
    rows: Vec<u64>,
    at: usize,
}

enum Source {
    /// What is left of it in the file, in cells.
    File(Rc<(File, PathBuf)>, std::ops::Range<u64>),
    Memory,
}

impl Cursor {
    /// Puts the next row into `row`; false where there is none.
    fn next(&mut self, width: usize, row: &mut Vec<u64>) -> Result<bool, LakeError> {
        if self.at == self.rows.len() {
            self.read(width)?;
        }
        let Some(next) = self.rows.get(self.at..self.at + width) else {
            return Ok(false);
        };
        row.clear();
        row.extend_from_slice(next);
        self.at += width;
        Ok(true)
    }

    fn read(&mut self, width: usize) -> Result<(), LakeError> {
        let Source::File(file, left) = &mut self.source else {
            return Ok(());
        };
        let cells = (left.end - left.start).min((AHEAD * width) as u64);
        self.rows.resize(cells as usize, 0);
        self.at = 0;
        let (file, folder) = &**file;
        file.read_exact_at(bytemuck::cast_slice_mut(&mut self.rows), left.start * 8)
            .map_err(|error| LakeError::io("read", folder, error))?;
        left.start += cells;
        Ok(())
    }
}

/// The first row of a run that was not taken.
struct Head {
    row: Vec<u64>,
    run: usize,
    by: Rc<(RowOrder, Words)>,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let (order, words) = &*self.by;
        order
            .compare(words, &self.row, &other.row)
            .then(self.run.cmp(&other.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

//! Proves what is on disk: that every table is whole, is what its place says, and follows from what it was made of.
//!
//! Nothing but the output is read. Each file gets one verdict:
//!
//! * a file by itself, beside the tables of its task and beside the exchange's klines of its minutes;
//! * one file after the other: ids and bars that go on, or do not;
//! * [`holes`]: periods without a file; [`strays`]: files without a place.

mod bars;
mod books;
mod coverage;
mod gaps;
mod judge;
mod limits;
mod quality;
mod report;
mod series;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use coverage::{Hole, holes, without_klines};
use judge::{Judged, Judging, judged};
pub use limits::Limits;
pub use report::{html_report, json_report};
use tapemill_lake::cleanup::{self, Why};
use tapemill_lake::{Dispute, Handover, Lake, LakeError, LakePath, TableFile};
use tapemill_market::ArchiveName;

/// What a file is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Nothing is wrong, and something is to be known.
    Note,
    /// It cannot be relied on.
    Defect,
}

impl Verdict {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Defect => "defect",
        }
    }
}

/// The verdict on one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the output.
    pub file: String,
    /// What it is found to be.
    pub verdict: Verdict,
    /// A short code of the reason.
    pub kind: &'static str,
    /// The reason in words.
    pub reason: String,
    /// What its place says that it is made of; none where no task writes such a table.
    pub name: Option<ArchiveName>,
    /// Whether rows lack in it that something else may have.
    pub has_holes: bool,
}

/// How files are judged.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads.
    pub threads: usize,
    /// What is worth a note.
    pub limits: Limits,
    /// Where else klines are to compare minutes with, for periods that have none beside them.
    pub klines: Option<Lake>,
    /// Now, in microseconds since 1970: nothing is later.
    pub now_us: i64,
}

/// Judges these files, beside all others that there are; in the order of the files.
///
/// # Errors
///
/// [`LakeError`] where the output cannot be read: that is no fault of a file.
pub fn verify(
    lake: &Lake,
    files: &[&TableFile],
    all: &[TableFile],
    options: &Options,
) -> Result<Vec<Finding>, LakeError> {
    let paths: BTreeSet<&LakePath> = all.iter().map(|file| &file.path).collect();
    let mut disputes: BTreeMap<String, Vec<Dispute>> = BTreeMap::new();
    for dispute in lake.disputes()? {
        disputes
            .entry(dispute.month.key.clone())
            .or_default()
            .push(dispute);
    }
    let mut handovers: BTreeMap<String, Vec<Handover>> = BTreeMap::new();
    for handover in lake.handovers()? {
        let of_archive = handovers.entry(handover.archived.key.clone());
        of_archive.or_default().push(handover);
    }
    let judging = Judging {
        lake,
        disputes: &disputes,
        handovers: &handovers,
        all: &paths,
        options,
    };
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::with_capacity(files.len()));
    let judge = || {
        while let Some(file) = files.get(next.fetch_add(1, Relaxed)) {
            let judged = judged(&judging, file);
            let failed = judged.is_err();
            found.lock().expect("no thread panics with it").push(judged);
            if failed {
                // The others would fail alike.
                next.store(files.len(), Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads {
            scope.spawn(judge);
        }
        judge();
    });
    let found = found.into_inner().expect("no thread panicked with it");
    let mut found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
    coverage::refuse_twins(&mut found, all);
    series::relate(&mut found, &options.limits);
    series::tell_ends(&mut found, &lake.availability()?);
    found.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(found.into_iter().map(Judged::finding).collect())
}

/// Parquet files in the folders of tables that are no table by their names, which readers would take in; and unfinished
/// files that dead processes left in a folder.
///
/// # Errors
///
/// [`LakeError`] where the output cannot be listed.
pub fn strays(lake: &Lake) -> Result<Vec<Finding>, LakeError> {
    let mut found = Vec::new();
    for file in lake.strays()? {
        let dataset = file.split('/').next().unwrap_or_default();
        if tapemill_market::Data::of_table(dataset).is_some() {
            found.push(Finding {
                verdict: Verdict::Defect,
                kind: "foreign",
                reason: format!("no task writes such a file into {dataset}; move it elsewhere"),
                name: None,
                has_holes: false,
                file,
            });
        }
    }
    if lake.folder().is_some() {
        let leftovers = cleanup::plan(lake)?.into_iter();
        let parts = leftovers.filter(|leftover| leftover.why == Why::StalePart);
        found.extend(parts.map(|part| Finding {
            file: part.path,
            verdict: Verdict::Note,
            kind: "leftover",
            reason: "an unfinished file whose writer is gone: cleanup removes it".to_owned(),
            name: None,
            has_holes: false,
        }));
    }
    Ok(found)
}

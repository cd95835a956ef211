//! Outputs that the queue does not know: their footers and the archive's checksum decide whether they count.

use std::sync::atomic::{AtomicU64, Ordering};

use tapemill_archive::Source;
use tapemill_lake::{CODEC, Lineage, Output, Receipt, read_lineage};
use tapemill_market::ArchiveName;

use crate::error::PlanError;
use crate::sidecar::Sidecar;
use crate::thread::on_a_thread;

/// Looks at outputs, and counts what that costs.
pub(crate) struct Adoption<'a> {
    source: &'a dyn Source,
    output: &'a Output,
    footers: AtomicU64,
}

impl<'a> Adoption<'a> {
    pub fn new(source: &'a dyn Source, output: &'a Output) -> Self {
        Self {
            source,
            output,
            footers: AtomicU64::new(0),
        }
    }

    /// Footers read so far.
    pub fn footers(&self) -> u64 {
        self.footers.load(Ordering::Relaxed)
    }

    /// The receipt of an output whose files are all there, with these sizes, if they are current and of this archive
    /// as it is listed.
    pub async fn receipt(
        &self,
        name: &ArchiveName,
        bytes: u64,
        sizes: Vec<u64>,
    ) -> Result<Option<Receipt>, PlanError> {
        let mut last = None;
        for table in name.data.tables() {
            let Some(lineage) = self.lineage(name, &table).await? else {
                return Ok(None);
            };
            if !self.is_of(&lineage, name, bytes) {
                return Ok(None);
            }
            last = Some(lineage);
        }
        let Some(lineage) = last else {
            return Ok(None);
        };
        let Some(receipt) = receipt_of(&lineage, sizes) else {
            return Ok(None);
        };
        Ok(self
            .checksum_agrees(name, &receipt)
            .await?
            .then_some(receipt))
    }

    /// A footer; `None` for a file that went away meanwhile, or is foreign, cut or damaged: it is milled again, which
    /// replaces it.
    async fn lineage(&self, name: &ArchiveName, table: &str) -> Result<Option<Lineage>, PlanError> {
        let place = self.output.place(name, table)?;
        self.footers.fetch_add(1, Ordering::Relaxed);
        let lake = self.output.lake.clone();
        on_a_thread(move || match read_lineage(&lake, &place) {
            Ok(lineage) => Ok(Some(lineage)),
            Err(error) if error.is_disk() || error.is_outage() => Err(error),
            Err(_) => Ok(None),
        })
        .await
    }

    fn is_of(&self, lineage: &Lineage, name: &ArchiveName, bytes: u64) -> bool {
        lineage.codec == CODEC
            && lineage.settings == self.output.settings_of(name.data)
            && (lineage.sources.first()).is_some_and(|source| {
                source.key == name.key() && (bytes == 0 || source.bytes == bytes)
            })
    }

    async fn checksum_agrees(
        &self,
        name: &ArchiveName,
        receipt: &Receipt,
    ) -> Result<bool, PlanError> {
        let verdict = receipt.verdict.as_str();
        Ok(match Sidecar::of(self.source, &name.key()).await? {
            Sidecar::Absent => verdict == "no_sidecar",
            // A matter for the worker, which says what is wrong with it.
            Sidecar::Unreadable => false,
            Sidecar::Says(checksum) => {
                let agrees = checksum == receipt.sha256;
                match verdict {
                    "ok" => agrees,
                    verdict => verdict == "stale_sidecar" && !agrees,
                }
            }
        })
    }
}

/// What a footer says about its archive, with the sizes of the task's files.
pub(crate) fn receipt_of(lineage: &Lineage, files: Vec<u64>) -> Option<Receipt> {
    let origin = lineage.sources.first()?;
    Some(Receipt {
        verdict: lineage.quality["verdict"].as_str()?.to_owned(),
        bytes: origin.bytes,
        rows: origin.rows,
        sha256: Receipt::digest(&origin.sha256)?,
        files,
        version: None,
    })
}

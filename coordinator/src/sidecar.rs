//! What the checksum file beside an archive says.

use tapemill_archive::{SIDECAR_SUFFIX, Sha256Digest, Source, parse_sidecar};
use tapemill_lake::Receipt;

use crate::error::PlanError;
use crate::survey::Archive;

/// A sidecar is one line.
const LARGEST_SIDECAR: u64 = 4096;

/// The checksum file of one archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sidecar {
    /// There is none.
    Absent,
    /// It holds no checksum of this archive.
    Unreadable,
    /// The SHA-256 of the archive.
    Says(Sha256Digest),
}

impl Sidecar {
    /// Asks the source for it: one small request.
    pub async fn of(source: &dyn Source, key: &str) -> Result<Self, PlanError> {
        let path = format!("{key}{SIDECAR_SUFFIX}");
        Ok(match source.small(&path, LARGEST_SIDECAR).await? {
            None => Self::Absent,
            Some(text) => parse_sidecar(key, &text).map_or(Self::Unreadable, Self::Says),
        })
    }

    /// What it names, where that tells of the archive's bytes: a sidecar that did not fit when the archive was read tells
    /// nothing by not fitting now.
    pub fn names(&self, receipt: &Receipt) -> Option<Sha256Digest> {
        let never_fitted = receipt.verdict == "stale_sidecar";
        match self {
            Self::Says(digest) if *digest == receipt.sha256 || !never_fitted => Some(*digest),
            _ => None,
        }
    }
}

/// Whether an archive of the size it had is another edition than the one a receipt is of: by what a listing tells, or where
/// that is not known by its checksum file.
pub(crate) async fn is_other_edition(
    source: &dyn Source,
    archive: &Archive,
    receipt: &Receipt,
) -> Result<bool, PlanError> {
    if let (Some(read), Some(listed)) = (receipt.version, archive.version)
        && read.is_comparable(&listed)
    {
        return Ok(read.differs(&listed));
    }
    let sidecar = Sidecar::of(source, &archive.name.key()).await?;
    let named = sidecar.names(receipt);
    Ok(named.is_some_and(|digest| digest != receipt.sha256))
}

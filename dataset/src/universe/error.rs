//! Why a scan came to no end.

use tapemill_archive::ArchiveError;

/// A scan that failed; what was known before is still right.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The archive could not be listed.
    #[error("{}", .0.one_line())]
    Archive(#[from] ArchiveError),
    /// There is nothing of these markets.
    #[error("{place} has no archives of {markets}; check --source and --markets")]
    Nothing {
        /// Where it was looked for.
        place: String,
        /// The markets.
        markets: String,
    },
}

//! What the archive has: every symbol, dataset and interval of the markets, from when to when.
//!
//! ```text
//! folders of the listing ─► which series there are ─► which can have changed (pure) ─► listed ─► Series
//!                                                                                       Series ─► reports (pure)
//! what the exchange says of its symbols ─────────────────────────────────────────────────────┘
//! ```

mod due;
mod error;
mod info;
mod reports;
mod scan;

pub use due::Known;
pub use error::ScanError;
pub use info::{info_report, info_report_name};
pub use reports::{Report, reports, traded_on};
pub use scan::{Scan, ScanOptions, ScanProgress, scan};

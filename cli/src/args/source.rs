//! Where archives, and what has none, come from.

use clap::Args;

/// Where archives come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// A mirror with the archive's paths, or a folder with archives in any tree
    #[arg(long, value_name = "URL|DIR", default_value = tapemill_archive::OFFICIAL_BASE, env = "TAPEMILL_SOURCE")]
    pub source: String,
    /// The S3 listing of the source [default: the source itself; the exchange's own for its archive]
    #[arg(long, value_name = "URL", env = "TAPEMILL_LISTING")]
    pub listing: Option<String>,
}

/// How the exchange is asked for what the archive does not have.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source")]
pub struct RestArgs {
    /// The exchange's REST interface: scheme, host and port [default: the exchange's own]
    #[arg(long, value_name = "URL", env = "TAPEMILL_REST")]
    pub rest: Option<String>,
    /// What requests to one host may weigh a minute [default: 90 % of what it serves an address]
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u32).range(20..=1_000_000), env = "TAPEMILL_REST_WEIGHT")]
    pub rest_weight: Option<u32>,
    /// Ask the exchange for nothing
    #[arg(long, env = "TAPEMILL_NO_REST")]
    pub no_rest: bool,
}

/// How the archive is asked what there is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source")]
pub struct AskingArgs {
    /// Probe file by file instead of listing, for mirrors without a listing
    #[arg(long, env = "TAPEMILL_NO_LISTING")]
    pub no_listing: bool,
}

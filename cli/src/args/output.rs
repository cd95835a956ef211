//! Where tables go, and what shapes them.

use clap::Args;
use clap::builder::TypedValueParser;
use tapemill_lake::Layout;
use tapemill_market::Decimal;

use crate::output_place::OutputPlace;

/// Where tables go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// The output: a folder, or s3://bucket/prefix with the credentials of the environment
    #[arg(
        long,
        value_name = "PATH|s3://…",
        default_value = "./data",
        value_parser = clap::builder::PathBufValueParser::new().map(OutputPlace::from),
        env = "TAPEMILL_OUTPUT"
    )]
    pub output: OutputPlace,
}

/// What shapes the tables.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct ShapeArgs {
    /// How folders are named: plain or hive
    #[arg(
        long,
        value_name = "LAYOUT",
        default_value = "plain",
        env = "TAPEMILL_LAYOUT"
    )]
    pub layout: Layout,
    /// Quote value from which a trade is a whale's
    #[arg(long, value_name = "QUOTE", default_value = "50000", value_parser = decimal, env = "TAPEMILL_WHALE_QUOTE")]
    pub whale_quote: Decimal,
    /// Quote value up to which a trade is retail
    #[arg(long, value_name = "QUOTE", default_value = "1000", value_parser = decimal, env = "TAPEMILL_RETAIL_QUOTE")]
    pub retail_quote: Decimal,
}

pub(super) fn decimal(text: &str) -> Result<Decimal, String> {
    Decimal::parse(text.as_bytes())
        .ok_or_else(|| "write a decimal of at most 12 places, such as 50000".to_owned())
}

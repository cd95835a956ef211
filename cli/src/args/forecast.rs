//! What `forecast` takes. Without the feature of that name it is taken all the same, to say what is lacking.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `forecast`.
#[derive(Debug, Subcommand)]
pub enum ForecastCommand {
    /// Train a temporal convolutional network on the columns of a Parquet file
    Train(Box<ForecastTrainArgs>),
    /// Score a checkpoint on rows that it was not made from, beside its baselines
    Evaluate(ForecastEvaluateArgs),
    /// Write what a checkpoint forecasts from each row of a file
    Predict(ForecastPredictArgs),
}

/// What all of them take.
#[derive(Debug, Clone, Args)]
pub struct ForecastArgs {
    /// The rows: a Parquet file of one symbol, sorted by time
    #[arg(long, value_name = "FILE")]
    pub parquet_path: PathBuf,
    /// The checkpoint
    #[arg(
        long,
        value_name = "FILE",
        default_value = "models/tcn_forecaster.safetensors"
    )]
    pub checkpoint: PathBuf,
    /// Threads; the results are the same with any number [default: one a core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
    /// What computes; gpu needs a build with the feature forecast-gpu
    #[arg(long, default_value = "cpu", value_parser = ["cpu", "gpu"])]
    pub device: String,
}

/// `forecast train`. What is not given has its default, or with --resume what the checkpoint says.
#[derive(Debug, Clone, Args)]
pub struct ForecastTrainArgs {
    #[command(flatten)]
    pub common: ForecastArgs,
    /// Columns that go in: A B C or A,B,C
    #[arg(long, value_name = "COLUMNS", num_args = 1.., value_delimiter = ',', help_heading = "Columns")]
    pub features: Option<Vec<String>>,
    /// Columns that are forecast; they may be features as well
    #[arg(long, value_name = "COLUMNS", num_args = 1.., value_delimiter = ',', help_heading = "Columns")]
    pub targets: Option<Vec<String>>,
    /// The column of times [default: the first of timestamp, open_time, minute, time, datetime, date, ts, event_time,
    /// transact_time, bar that is there]
    #[arg(long, value_name = "COLUMN", help_heading = "Columns")]
    pub time_column: Option<String>,
    /// Take rows as following each other whatever their times say: for rows that are no even time apart
    #[arg(long, help_heading = "Columns")]
    pub no_grid: bool,
    /// Rows of a window [default: 100]
    #[arg(long, value_name = "ROWS", help_heading = "Windows")]
    pub input_length: Option<usize>,
    /// Rows that are forecast behind it [default: 10]
    #[arg(long, value_name = "ROWS", help_heading = "Windows")]
    pub forecast_horizon: Option<usize>,
    /// Rows from a window to the next [default: 1]
    #[arg(long, value_name = "ROWS", help_heading = "Windows")]
    pub stride: Option<usize>,
    /// Share of the rows to choose the best epoch by, behind those to learn from [default: 0.1]
    #[arg(long, value_name = "SHARE", help_heading = "Windows")]
    pub validation: Option<f64>,
    /// Share of the rows to be judged by, the last ones [default: 0.1]
    #[arg(long, value_name = "SHARE", help_heading = "Windows")]
    pub test: Option<f64>,
    /// Rows between these parts that belong to none [default, and least: input length + horizon]
    #[arg(long, value_name = "ROWS", help_heading = "Windows")]
    pub embargo: Option<usize>,
    /// Epochs in all, those of the checkpoint included
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        help_heading = "Training"
    )]
    pub epochs: usize,
    /// Windows in a batch [default: 256]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub batch_size: Option<usize>,
    /// Adam's learning rate [default: 0.001]
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    pub learning_rate: Option<f64>,
    /// Adam's weight decay [default: 0.00001]
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    pub weight_decay: Option<f64>,
    /// Probability of a value to be dropped in training [default: 0.1]
    #[arg(long, value_name = "SHARE", help_heading = "Training")]
    pub dropout: Option<f64>,
    /// Decides weights, order and dropout [default: 2024]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub seed: Option<u64>,
    /// Take windows in the order of time
    #[arg(long, help_heading = "Training")]
    pub no_shuffle: bool,
    /// Go on from the checkpoint; the result is that of one go
    #[arg(long, help_heading = "Training")]
    pub resume: bool,
    /// Draw the learning curve into this SVG [default: beside the checkpoint, as ….loss.svg]
    #[arg(long, value_name = "FILE", help_heading = "Training")]
    pub plot: Option<PathBuf>,
}

/// `forecast evaluate`.
#[derive(Debug, Clone, Args)]
pub struct ForecastEvaluateArgs {
    #[command(flatten)]
    pub common: ForecastArgs,
    /// Which rows, as the training divided them; test takes all that came later too; all takes every row of another file
    #[arg(long, default_value = "test", value_parser = ["train", "validation", "test", "all"])]
    pub part: String,
    /// Draw forecasts beside what came into this SVG [default: beside the checkpoint, as ….forecasts.svg]
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// `forecast predict`.
#[derive(Debug, Clone, Args)]
pub struct ForecastPredictArgs {
    #[command(flatten)]
    pub common: ForecastArgs,
    /// Write the forecasts from each row into this Parquet file
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

//! What every process does alike: settings, logs, shutdown, exit codes, cores, and the time its stages take.

mod cores;
mod error;
pub mod exit;
mod json_log;
mod settings;
mod shutdown;
mod stages;
mod telemetry;
pub mod values;

pub use cores::cores;
pub use error::{Result, RuntimeError};
pub use settings::{ConfigFile, DEFAULT_CONFIG, OPEN_VARIABLES, check_environment};
pub use shutdown::{Shutdown, Signal};
pub use stages::{Stage, StageTimer, Stages};
pub use telemetry::{LogFormat, LogSink, Telemetry};

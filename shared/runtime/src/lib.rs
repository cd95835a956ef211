//! What every process does alike: settings, logs, shutdown, exit codes, cores and CPU time, the time its stages take;
//! its health, its metrics and the server that tells them; and how it lives through outages of what it depends on.

mod connection;
mod cores;
mod cpu;
mod error;
pub mod exit;
mod health;
mod http;
mod json_log;
mod metrics;
mod outage;
mod settings;
mod shutdown;
mod stages;
mod telemetry;
pub mod values;

pub use axum::Router;
pub use cores::cores;
pub use cpu::process_cpu;
pub use error::{Result, RuntimeError};
pub use health::{Health, Ticker};
pub use http::{Server, vitals};
pub use metrics::Metrics;
pub use outage::{Outage, Outages, one_line};
pub use settings::{ConfigFile, DEFAULT_CONFIG, OPEN_VARIABLES, check_environment};
pub use shutdown::{Shutdown, Signal};
pub use stages::{Stage, StageTimer, Stages};
pub use telemetry::{LogFormat, LogSink, Telemetry};

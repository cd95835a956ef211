//! How a command fails: one line, and an exit code.

use tapemill_archive::ArchiveError;
use tapemill_coordinator::PlanError;
use tapemill_dataset::export::ExportError;
use tapemill_lake::LakeError;
use tapemill_live::LiveError;
use tapemill_market::NameError;
use tapemill_queue::QueueError;
use tapemill_runtime::{RuntimeError, exit};
use tapemill_worker::WorkerError;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    error: anyhow::Error,
    code: u8,
}

impl Failure {
    /// Bad usage.
    pub fn usage(line: impl Into<String>) -> Self {
        Self {
            error: anyhow::anyhow!(line.into()),
            code: exit::USAGE,
        }
    }

    /// Anything else.
    pub fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self {
            error: error.into(),
            code: exit::FAILED,
        }
    }

    /// The process could not start its threads.
    pub fn runtime(error: std::io::Error) -> Self {
        Self::failed(anyhow::Error::new(error).context("cannot start the threads of this process"))
    }

    /// The error and its causes in one line.
    pub fn line(&self) -> String {
        let mut line = String::new();
        for cause in self.error.chain() {
            let text = cause.to_string().replace('\n', " ");
            // Some messages carry their cause already.
            if line.contains(&text) {
                continue;
            }
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&text);
        }
        line
    }

    /// The outage of the queue that it is, if it is one: that may heal by itself.
    pub fn outage(&self) -> Option<&QueueError> {
        let error = self.error.downcast_ref::<QueueError>();
        error.filter(|error| error.retryable())
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        let code = match error {
            RuntimeError::System { .. } | RuntimeError::Listen { .. } => exit::FAILED,
            _ => exit::USAGE,
        };
        Self {
            error: error.into(),
            code,
        }
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self {
            error: error.into(),
            code: exit::USAGE,
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        let code = match error {
            ArchiveError::Address { .. } => exit::USAGE,
            _ => exit::FAILED,
        };
        Self {
            error: anyhow::anyhow!(error.one_line()),
            code,
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Name(error) => error.into(),
            PlanError::Archive(error) => error.into(),
            PlanError::Queue(error) => error.into(),
            error => Self::failed(error),
        }
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        Self::failed(error)
    }
}

impl From<LakeError> for Failure {
    fn from(error: LakeError) -> Self {
        let code = match error {
            LakeError::Address { .. } => exit::USAGE,
            _ => exit::FAILED,
        };
        Self {
            error: error.into(),
            code,
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Lake(error) => error.into(),
            ExportError::Interval { .. } => Self::usage(error.to_string()),
            error => Self::failed(error),
        }
    }
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        Self::failed(error)
    }
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Settings(problem) => Self::usage(problem),
            LiveError::Client(error) => error.into(),
            error => Self::failed(error),
        }
    }
}

#[cfg(feature = "forecast")]
impl From<tapemill_forecast::ForecastError> for Failure {
    fn from(error: tapemill_forecast::ForecastError) -> Self {
        match error {
            tapemill_forecast::ForecastError::Setting(line) => Self::usage(line),
            error => Self::failed(error),
        }
    }
}

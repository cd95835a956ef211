//! Logs: to stderr, as text or as one JSON object a line.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::Arc;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use crate::error::{Result, RuntimeError};
use crate::json_log::JsonLog;

/// Targets of our own crates begin with this.
const OURS: &str = "tapemill";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One flat JSON object a line; the fields of all enclosing spans are on it.
    Json,
}

impl FromStr for LogFormat {
    type Err = RuntimeError;

    fn from_str(name: &str) -> Result<LogFormat> {
        match name {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(RuntimeError::Value {
                value: name.chars().take(60).collect(),
                kind: "a log format",
                problem: "write text or json",
            }),
        }
    }
}

/// Where finished log lines go, one call per line, its newline included.
///
/// Progress bars take their lines through here: suspend the bars, write, and draw them again.
#[derive(Clone)]
pub struct LogSink(Arc<TakeLine>);

type TakeLine = dyn Fn(&[u8]) + Send + Sync;

impl LogSink {
    /// Lines go to a function, which may be called from any thread.
    pub fn new(take: impl Fn(&[u8]) + Send + Sync + 'static) -> LogSink {
        LogSink(Arc::new(take))
    }

    /// Lines go to stderr.
    pub fn stderr() -> LogSink {
        // A closed stderr is no reason to fail: nobody reads the log.
        LogSink::new(|line| drop(io::stderr().lock().write_all(line)))
    }

    pub(crate) fn line(&self, line: &[u8]) {
        (self.0)(line);
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

/// What a process logs, how, and where to.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// `--log-format`
    pub format: LogFormat,
    /// `-q`: warnings and errors only.
    pub quiet: bool,
    /// `-v` (1): our details; `-vv` (2): everything of ours, and the libraries' news.
    pub verbose: u8,
    /// Where lines go.
    pub sink: LogSink,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry {
            format: LogFormat::Text,
            quiet: false,
            verbose: 0,
            sink: LogSink::stderr(),
        }
    }
}

impl Telemetry {
    /// Sets up the logs of this process.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::LogsTaken`] when they are set up already.
    pub fn install(self) -> Result<()> {
        tracing::subscriber::set_global_default(self.subscriber())
            .map_err(|_| RuntimeError::LogsTaken)
    }

    /// The same logs for a part of a program, as `tracing::subscriber::with_default` takes them.
    pub fn subscriber(self) -> Box<dyn Subscriber + Send + Sync> {
        let (ours, others) = match (self.quiet, self.verbose) {
            (true, _) => (LevelFilter::WARN, LevelFilter::ERROR),
            (false, 0) => (LevelFilter::INFO, LevelFilter::WARN),
            (false, 1) => (LevelFilter::DEBUG, LevelFilter::WARN),
            (false, _) => (LevelFilter::TRACE, LevelFilter::INFO),
        };
        let levels = Targets::new().with_default(others).with_target(OURS, ours);
        match self.format {
            LogFormat::Json => Box::new(registry().with(levels).with(JsonLog::new(self.sink))),
            LogFormat::Text => {
                let lines = tracing_subscriber::fmt::layer()
                    .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
                    .with_target(false)
                    .with_writer(self.sink);
                Box::new(registry().with(levels).with(lines))
            }
        }
    }
}

impl MakeWriter<'_> for LogSink {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line {
            sink: self.clone(),
            bytes: Vec::new(),
        }
    }
}

/// Gathers what the formatter writes, so that a line reaches the sink in one piece.
#[derive(Debug)]
pub struct Line {
    sink: LogSink,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.sink.line(&self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};
    use tracing::subscriber::with_default;

    use super::*;

    /// The lines a program logs.
    fn lines(format: LogFormat, quiet: bool, verbose: u8, program: impl FnOnce()) -> Vec<String> {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let into = taken.clone();
        let telemetry = Telemetry {
            format,
            quiet,
            verbose,
            sink: LogSink::new(move |line| {
                into.lock()
                    .unwrap()
                    .push(String::from_utf8(line.to_vec()).unwrap());
            }),
        };
        with_default(telemetry.subscriber(), program);
        Arc::into_inner(taken).unwrap().into_inner().unwrap()
    }

    fn objects(program: impl FnOnce()) -> Vec<Value> {
        let lines = lines(LogFormat::Json, false, 0, program);
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn json_lines_are_flat_and_carry_the_fields_of_all_spans() {
        let logged = objects(|| {
            let _worker =
                tracing::info_span!("worker", worker = "w1", task = tracing::field::Empty)
                    .entered();
            let task = tracing::info_span!(
                "task",
                task = "um/aggTrades/BTCUSDT/2024-01",
                generation = 3_u64
            );
            task.in_scope(|| {
                tracing::warn!(
                    retries = 2,
                    wait = 0.5,
                    ok = true,
                    "the archive\n\"answers\" slowly"
                )
            });
            tracing::Span::current().record("task", "none");
            tracing::info!(error = %std::io::Error::other("gone"), "idle");
        });

        let mut first = logged[0].clone();
        let time = first.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert_eq!(
            first,
            json!({
                "level": "warn",
                "target": "tapemill_runtime::telemetry::tests",
                "message": "the archive\n\"answers\" slowly",
                "worker": "w1", "task": "um/aggTrades/BTCUSDT/2024-01", "generation": 3,
                "retries": 2, "wait": 0.5, "ok": true,
            })
        );
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        assert_eq!(logged[1]["task"], "none");
        assert_eq!(logged[1]["error"], "gone");
        assert_eq!(logged.len(), 2);
    }

    #[test]
    fn a_field_cannot_take_the_place_of_the_line_itself() {
        let logged = objects(|| {
            tracing::info!(
                level = "forged",
                timestamp = 0,
                target = "forged",
                wide = u64::MAX,
                nan = f64::NAN,
                "real"
            );
        });

        assert_eq!(logged[0]["level"], "info");
        assert_eq!(logged[0]["message"], "real");
        assert_ne!(logged[0]["timestamp"], 0);
        assert_eq!(logged[0]["wide"], u64::MAX);
        assert_eq!(logged[0]["nan"], "NaN");
    }

    #[test]
    fn each_line_reaches_the_sink_in_one_piece() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let logged = lines(format, false, 0, || {
                let _span = tracing::info_span!("task", id = 7).entered();
                tracing::info!(rows = 3, "one");
                tracing::info!("two");
            });

            assert_eq!(logged.len(), 2, "{logged:?}");
            for line in logged {
                assert_eq!(line.matches('\n').count(), 1, "{line:?}");
                assert!(line.ends_with('\n') && line.contains('7'), "{line:?}");
            }
        }
    }

    #[test]
    fn flags_choose_what_is_logged() {
        let program = || {
            tracing::error!(target: "hyper::client", "library error");
            tracing::warn!(target: "hyper::client", "library warning");
            tracing::info!(target: "hyper::client", "library news");
            tracing::warn!(target: "tapemill_worker::claimer", "warning");
            tracing::info!(target: "tapemill_worker::claimer", "news");
            tracing::debug!(target: "tapemill::run", "detail");
            tracing::trace!(target: "tapemill::run", "trace");
        };
        let count = |quiet, verbose| lines(LogFormat::Text, quiet, verbose, program).len();

        assert_eq!(
            [
                count(true, 0),
                count(false, 0),
                count(false, 1),
                count(false, 2)
            ],
            [2, 4, 5, 7]
        );
    }

    #[test]
    fn a_log_format_is_text_or_json() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        assert_eq!("text".parse::<LogFormat>().unwrap(), LogFormat::Text);
        let error = "xml".parse::<LogFormat>().unwrap_err().to_string();
        assert_eq!(error, "\"xml\" is not a log format: write text or json");
    }
}

//! The `tapemill` command: arguments in, one call per command out, an exit code at the end.
//!
//! Data goes to stdout, everything else to stderr. What the commands do is in the libraries below; here are only the
//! arguments, the wiring and the words.

#![expect(clippy::print_stdout, reason = "a command prints its data")]

/// Prints a line of data.
macro_rules! out {
    ($terminal:expr, $($words:tt)*) => { $terminal.print_line(format_args!($($words)*)) };
}

mod args;
mod commands;
mod context;
mod failure;
mod format;
mod output_place;
mod profile;
mod progress;
mod screen;
mod serving;
mod settings;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::CommandFactory;
use tapemill_runtime::{LogFormat, RuntimeError, Shutdown, Signal, Telemetry, exit};
use tokio::runtime::Runtime;

use args::{Cli, Command};
use failure::Failure;
use progress::Terminal;
use settings::{Parsed, Refused};

/// Runs the command line, and gives its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(status(args))
}

/// As [`main`], the exit code as a number.
pub fn status(args: impl IntoIterator<Item = OsString>) -> u8 {
    let parsed = match settings::parse(args.into_iter().collect()) {
        Ok(parsed) => parsed,
        Err(Refused::Shown(shown)) => {
            // Help goes to stdout, unless it stands for a missing argument.
            let _ = shown.print();
            return if shown.use_stderr() {
                exit::USAGE
            } else {
                exit::DONE
            };
        }
        Err(Refused::Usage(line)) => {
            eprintln!("tapemill: {line}");
            return exit::USAGE;
        }
    };
    match start(parsed) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("tapemill: {}", failure.line());
            failure.code()
        }
    }
}

fn start(parsed: Parsed) -> Result<u8, Failure> {
    let json = parsed.cli.common.log_format == LogFormat::Json;
    let terminal = Terminal::new(parsed.cli.common.quiet, json);
    let common = &parsed.cli.common;
    Telemetry {
        format: common.log_format,
        quiet: common.quiet,
        verbose: common.verbose,
        sink: terminal.log_sink(),
    }
    .install()?;
    let runtime = runtime()?;
    let result = runtime.block_on(dispatch(parsed, terminal, Shutdown::install));
    if json && let Err(failure) = &result {
        tracing::error!("{}", failure.line());
        return Ok(failure.code());
    }
    // Threads that still read or write belong to tasks that were handed back; nobody waits for them.
    runtime.shutdown_background();
    result
}

async fn dispatch(
    parsed: Parsed,
    terminal: Terminal,
    shutdown: impl Fn() -> Result<Shutdown, RuntimeError>,
) -> Result<u8, Failure> {
    let json = parsed.cli.common.json;
    if let Command::Config(_) = parsed.cli.command {
        return Ok(commands::config::show(&parsed, json, &terminal));
    }
    match parsed.cli.command {
        Command::Run(args) => {
            let shutdown = shutdown()?;
            commands::run::run(args, json, &terminal, &shutdown).await
        }
        Command::Update(args) => {
            let shutdown = shutdown()?;
            commands::run::update(args, json, &terminal, &shutdown).await
        }
        Command::Plan(args) => commands::plan::run(args, json, &terminal).await,
        Command::Coordinator(args) => {
            let shutdown = shutdown()?;
            commands::coordinator::run(args, &terminal, &shutdown).await
        }
        Command::Worker(args) => {
            let shutdown = shutdown()?;
            commands::worker::run(args, &terminal, &shutdown).await
        }
        Command::Fetch(args) => {
            let shutdown = shutdown()?;
            commands::fetch::run(args, json, &terminal, &shutdown).await
        }
        Command::Symbols(args) => commands::symbols::run(args, json, &terminal).await,
        Command::Verify(args) => {
            let shutdown = shutdown()?;
            commands::verify::run(args, json, &terminal, &shutdown).await
        }
        Command::Live(args) => {
            let shutdown = shutdown()?;
            commands::live::run(args, json, &terminal, &shutdown).await
        }
        Command::Export(command) => commands::export::run(command, json, &terminal).await,
        Command::Book(args) => commands::book::run(args, json, &terminal).await,
        Command::Forecast(command) => {
            commands::forecast::run(command, json, &terminal, shutdown).await
        }
        Command::Status(args) => commands::status::run(args, json, &terminal).await,
        Command::Tasks(command) => commands::tasks::run(command, json, &terminal).await,
        Command::Queue(command) => commands::queue::run(command, json, &terminal).await,
        Command::Cleanup(args) => commands::cleanup::run(args, json, &terminal),
        Command::Demo(args) => {
            let shutdown = shutdown()?;
            commands::demo::run(args, json, &terminal, &shutdown).await
        }
        Command::Completions { shell } => Ok(commands::shell::completions(shell)),
        Command::Man { folder } => commands::shell::man(&folder),
        Command::Config(_) => unreachable!("handled above"),
    }
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.map_err(Failure::runtime)
}

/// What came of a command that another program called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code.
    pub code: u8,
    /// What it printed.
    pub data: String,
    /// Why it failed, in one line.
    pub error: Option<String>,
}

/// Runs a command line inside of another program: what it prints is kept, no progress or log is shown, and signals stay with
/// the caller, who asks it to end by saying so when `interrupted` is asked, some times a second.
pub fn call(
    args: impl IntoIterator<Item = OsString>,
    interrupted: impl Fn() -> bool + Sync,
) -> Outcome {
    let kept = Arc::new(Mutex::new(String::new()));
    let (code, error) = match settings::parse(args.into_iter().collect()) {
        Err(Refused::Usage(line)) => (exit::USAGE, Some(line)),
        Err(Refused::Shown(shown)) => (exit::USAGE, Some(shown.to_string())),
        Ok(parsed) => match called(parsed, Terminal::keeping(kept.clone()), interrupted) {
            Ok(code) => (code, None),
            Err(failure) => (failure.code(), Some(failure.line())),
        },
    };
    let data = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
    Outcome { code, data, error }
}

fn called(
    parsed: Parsed,
    terminal: Terminal,
    interrupted: impl Fn() -> bool + Sync,
) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let shutdown = Shutdown::manual();
    let result = runtime.block_on(async {
        let work = dispatch(parsed, terminal, || Ok(shutdown.clone()));
        let ask = async {
            let mut asked = false;
            loop {
                tokio::time::sleep(ASKED_EVERY).await;
                // Once is enough: the second signal would leave at once.
                if !asked && interrupted() {
                    asked = true;
                    shutdown.signal(Signal::Interrupt);
                }
            }
        };
        tokio::select! {
            result = work => result,
            () = ask => unreachable!("it asks for ever"),
        }
    });
    runtime.shutdown_background();
    result
}

/// How often a caller is asked whether to go on.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// The command's definition, for completions and manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}

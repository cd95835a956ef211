//! The `tapemill` command: arguments in, one call per command out, an exit code at the end.
//!
//! Data goes to stdout, everything else to stderr. What the commands do is in the libraries below; here are only the
//! arguments, the wiring and the words.

#![expect(clippy::print_stdout, reason = "a command prints its data")]

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

use clap::CommandFactory;
use tapemill_runtime::{LogFormat, Shutdown, Telemetry, exit};

use args::{Cli, Command};
use failure::Failure;
use progress::Terminal;
use settings::{Parsed, Refused};

/// Runs the command line, and gives its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = match settings::parse(args.into_iter().collect()) {
        Ok(parsed) => parsed,
        Err(Refused::Shown(shown)) => {
            // Help goes to stdout, unless it stands for a missing argument.
            let _ = shown.print();
            return if shown.use_stderr() {
                ExitCode::from(exit::USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
        Err(Refused::Usage(line)) => {
            eprintln!("tapemill: {line}");
            return ExitCode::from(exit::USAGE);
        }
    };
    match start(parsed) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("tapemill: {}", failure.line());
            ExitCode::from(failure.code())
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::runtime)?;
    let result = runtime.block_on(dispatch(parsed, terminal));
    if json && let Err(failure) = &result {
        tracing::error!("{}", failure.line());
        return Ok(failure.code());
    }
    // Threads that still read or write belong to tasks that were handed back; nobody waits for them.
    runtime.shutdown_background();
    result
}

async fn dispatch(parsed: Parsed, terminal: Terminal) -> Result<u8, Failure> {
    let json = parsed.cli.common.json;
    if let Command::Config(_) = parsed.cli.command {
        return Ok(commands::config::show(&parsed, json));
    }
    match parsed.cli.command {
        Command::Run(args) => {
            let shutdown = Shutdown::install()?;
            commands::run::run(args, json, &terminal, &shutdown).await
        }
        Command::Update(args) => {
            let shutdown = Shutdown::install()?;
            commands::run::update(args, json, &terminal, &shutdown).await
        }
        Command::Plan(args) => commands::plan::run(args, json).await,
        Command::Coordinator(args) => {
            let shutdown = Shutdown::install()?;
            commands::coordinator::run(args, &terminal, &shutdown).await
        }
        Command::Worker(args) => {
            let shutdown = Shutdown::install()?;
            commands::worker::run(args, &terminal, &shutdown).await
        }
        Command::Fetch(args) => {
            let shutdown = Shutdown::install()?;
            commands::fetch::run(args, json, &terminal, &shutdown).await
        }
        Command::Symbols(args) => commands::symbols::run(args, json, &terminal).await,
        Command::Verify(args) => {
            let shutdown = Shutdown::install()?;
            commands::verify::run(args, json, &terminal, &shutdown).await
        }
        Command::Export(command) => commands::export::run(command, json, &terminal).await,
        Command::Status(args) => commands::status::run(args, json).await,
        Command::Tasks(command) => commands::tasks::run(command, json).await,
        Command::Queue(command) => commands::queue::run(command, json).await,
        Command::Cleanup(args) => commands::cleanup::run(args, json),
        Command::Demo(args) => {
            let shutdown = Shutdown::install()?;
            commands::demo::run(args, json, &terminal, &shutdown).await
        }
        Command::Completions { shell } => Ok(commands::shell::completions(shell)),
        Command::Man { folder } => commands::shell::man(&folder),
        Command::Config(_) => unreachable!("handled above"),
    }
}

/// The command's definition, for completions and manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}

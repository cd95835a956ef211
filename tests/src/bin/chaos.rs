//! Chaos from a seed: `cargo run -p tapemill-tests --bin chaos -- --seed 1`.
//!
//! Called as `tapemill`, this very program is the command: what is in trouble is always what was built.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tapemill_tests::chaos::{ChaosOptions, Schedule, run};

fn main() -> ExitCode {
    let name = std::env::args_os().next();
    if name.is_some_and(|name| name == "tapemill") {
        return tapemill::main(std::env::args_os());
    }
    let options = ChaosOptions::parse();
    if options.dry_run {
        let events = Schedule::of(&options).events;
        events.iter().for_each(|event| say(&event.to_string()));
        return ExitCode::SUCCESS;
    }
    let this = std::env::current_exe().expect("a program has a path");
    let this = this.into_os_string().into_string().expect("a plain path");
    let verdict = run(this.leak(), &options, &say);
    say(&verdict.to_string());
    if verdict.is_good() {
        return ExitCode::SUCCESS;
    }
    let words: Vec<_> = std::env::args().skip(1).collect();
    say(&format!(
        "again: cargo run -p tapemill-tests --bin chaos -- {}",
        words.join(" ")
    ));
    ExitCode::FAILURE
}

/// A closed pipe ends nothing.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

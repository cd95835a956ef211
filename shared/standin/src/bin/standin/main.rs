//! Serves a folder as the exchange's archive: `standin --root DIR [--port 0] [--faults FILE.json] [--page-size N]`.
//! Plays recordings as the exchange's streams: `standin exchange --recording FILE …`.
//!
//! The first line on stdout is its URL. It runs until it is interrupted.

mod exchange;

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use tapemill_standin::server::{Faults, Standin, StandinOptions};

const USAGE: &str = "usage: standin --root DIR [--port 0] [--faults FILE.json] [--page-size 1000]";

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|first| first == "exchange").is_some() {
        return match exchange::read(args) {
            Ok(asked) => match exchange::run(asked).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => fail(1, &why),
            },
            Err(why) => fail(2, &format!("{why}\n{}", exchange::USAGE)),
        };
    }
    let options = match options(args) {
        Ok(options) => options,
        Err(why) => return fail(2, &format!("{why}\n{USAGE}")),
    };
    let standin = match Standin::start_with(options).await {
        Ok(standin) => standin,
        Err(error) => return fail(1, &error.to_string()),
    };
    let mut stdout = std::io::stdout();
    if writeln!(stdout, "{}", standin.url)
        .and_then(|()| stdout.flush())
        .is_err()
    {
        return fail(1, "stdout is closed, nobody would learn the address");
    }
    if let Err(error) = tokio::signal::ctrl_c().await {
        return fail(1, &format!("cannot wait for an interrupt: {error}"));
    }
    standin.stop().await;
    ExitCode::SUCCESS
}

fn fail(code: u8, why: &str) -> ExitCode {
    // Nothing is left to tell when stderr is closed too.
    let _ = writeln!(std::io::stderr(), "standin: {why}");
    ExitCode::from(code)
}

fn options(mut args: impl Iterator<Item = String>) -> Result<StandinOptions, String> {
    let mut root = None;
    let mut port = 0;
    let mut page_size = None;
    let mut faults = Faults::none();
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || format!("{flag} {value:?} is not a number it can take");
        match flag.as_str() {
            "--root" => root = Some(value),
            "--port" => port = value.parse().map_err(|_| number())?,
            "--page-size" => page_size = Some(value.parse().map_err(|_| number())?),
            "--faults" => {
                let text = std::fs::read_to_string(&value).map_err(|e| format!("{value}: {e}"))?;
                faults = Faults::from_json(&text).map_err(|e| format!("{value}: {e}"))?;
            }
            _ => return Err(format!("{flag} is not known")),
        }
    }
    let mut options = StandinOptions::new(root.ok_or("--root is missing")?);
    options.address = (Ipv4Addr::LOCALHOST, port).into();
    options.page_size = page_size.unwrap_or(options.page_size);
    options.faults = faults;
    Ok(options)
}

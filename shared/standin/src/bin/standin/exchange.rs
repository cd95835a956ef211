//! `standin exchange`: plays recordings, or a made-up tape, as the exchange's streams.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use tapemill_standin::Market;
use tapemill_standin::stream::{
    Begin, Routing, Script, Speed, StreamFaults, StreamOptions, Streams, Tape,
};
use tokio::signal::unix::{SignalKind, signal};

/// What it takes.
pub const USAGE: &str = "\
usage: standin exchange (--recording FILE … | --script um|cm|spot) [--script-symbols A,B] [--script-seconds 60]
  [--script-seed 1] [--symbols N] [--speed 1|fast] [--begin subscribe|go|N] [--laps 1] [--depth-speed 100ms]
  [--routing plain|split|silent] [--wait-for-snapshot yes] [--restamp yes] [--faults FILE.json]
  [--most-weight N] [--listen 127.0.0.1:0] [--log FILE.jsonl] [--events FILE.jsonl]";

/// Everything asked for.
pub struct Asked {
    tapes: Vec<Tape>,
    options: StreamOptions,
    log: Option<PathBuf>,
    events: Option<PathBuf>,
}

/// Reads the flags, and the files they name.
pub fn read(mut args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let (mut tapes, mut flags) = (Vec::new(), Vec::new());
    let mut script: Option<Script> = None;
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--recording" => tapes.push(Tape::read(&value).map_err(|e| e.to_string())?),
            "--script" => {
                let market: Market = value.parse().map_err(|e| format!("--script: {e}"))?;
                let symbol = if market == Market::Cm {
                    "BTCUSD_PERP"
                } else {
                    "BTCUSDT"
                };
                script = Some(Script::new(market, &[symbol], 60));
            }
            _ => flags.push((flag, value)),
        }
    }
    let market = script.as_ref().map(|script| script.market);
    let market = market.or_else(|| tapes.first().map(|tape: &Tape| tape.market));
    let market = market.ok_or("--recording or --script is missing")?;
    let mut asked = Asked {
        tapes,
        options: StreamOptions::new(market),
        log: None,
        events: None,
    };
    let mut depth_speed = None;
    for (flag, value) in flags {
        let number = || format!("{flag} {value:?} is not a number it can take");
        let is_yes = || match value.as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(format!("{flag} is yes or no")),
        };
        let made_up = || {
            script
                .clone()
                .ok_or_else(|| format!("{flag} needs --script"))
        };
        let options = &mut asked.options;
        match flag.as_str() {
            "--symbols" => options.symbols = Some(value.parse().map_err(|_| number())?),
            "--laps" => options.laps = value.parse().map_err(|_| number())?,
            "--most-weight" => options.most_weight = Some(value.parse().map_err(|_| number())?),
            "--wait-for-snapshot" => options.wait_for_snapshot = is_yes()?,
            "--restamp" => options.restamp = is_yes()?,
            "--depth-speed" => depth_speed = Some(value),
            "--log" => asked.log = Some(value.into()),
            "--events" => asked.events = Some(value.into()),
            "--listen" => {
                let wrong = |_| format!("--listen {value:?} is no address");
                options.listen = value.parse().map_err(wrong)?;
            }
            "--speed" if value == "fast" => options.speed = Speed::Fast,
            "--speed" => {
                let times: f64 = value.parse().map_err(|_| number())?;
                (times > 0.0 && times <= 1e6)
                    .then_some(())
                    .ok_or_else(number)?;
                options.speed = Speed::Times(times);
            }
            "--begin" => {
                options.begin = match value.as_str() {
                    "subscribe" => Begin::Subscribe,
                    "go" => Begin::Go,
                    count => Begin::Streams(count.parse().map_err(|_| number())?),
                }
            }
            "--routing" => {
                options.routing = match value.as_str() {
                    "plain" => Routing::Plain,
                    "split" => Routing::Split,
                    "silent" => Routing::SplitSilent,
                    _ => return Err(format!("--routing {value:?} is not known")),
                }
            }
            "--faults" => {
                let text = std::fs::read_to_string(&value).map_err(|e| format!("{value}: {e}"))?;
                let faults = StreamFaults::from_json(&text);
                options.faults = faults.map_err(|e| format!("{value}: {e}"))?;
            }
            "--script-symbols" => {
                let symbols = value.split(',').map(str::to_uppercase).collect();
                script = Some(Script {
                    symbols,
                    ..made_up()?
                });
            }
            "--script-seconds" => {
                let seconds = value.parse().map_err(|_| number())?;
                script = Some(Script {
                    seconds,
                    ..made_up()?
                });
            }
            "--script-seed" => {
                let seed = value.parse().map_err(|_| number())?;
                script = Some(Script { seed, ..made_up()? });
            }
            _ => return Err(format!("{flag} is not known")),
        }
    }
    if let Some(script) = script {
        asked.tapes.push(script.tape().map_err(|e| e.to_string())?);
    }
    if let Some(speed) = depth_speed {
        let tapes = asked.tapes.into_iter();
        asked.tapes = tapes.map(|tape| tape.with_depth_speed(&speed)).collect();
    }
    Ok(asked)
}

/// Plays until it is told to stop, then writes what it knows.
pub async fn run(asked: Asked) -> Result<(), String> {
    let mut stop = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let streams = Streams::start(asked.tapes, asked.options).map_err(|e| e.to_string())?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", streams.url_rest())
        .and_then(|()| stdout.flush())
        .map_err(|_| "stdout is closed, nobody would learn the address")?;
    tokio::select! {
        _ = stop.recv() => {}
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|error| format!("cannot wait for an interrupt: {error}"))?;
        }
    }
    let failed = |path: &PathBuf| {
        let path = path.display().to_string();
        move |error| format!("{path}: {error}")
    };
    if let Some(path) = &asked.log {
        lines(path, streams.log()).map_err(failed(path))?;
    }
    if let Some(path) = &asked.events {
        lines(path, streams.events()).map_err(failed(path))?;
    }
    let counts = serde_json::to_string(&streams.counts()).unwrap_or_default();
    // Nothing is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{counts}");
    Ok(())
}

fn lines(path: &PathBuf, rows: Vec<impl serde::Serialize>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for row in rows {
        serde_json::to_writer(&mut file, &row)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

//! The rows of one archive into minutes and hours, on one thread and from memory: what `bench/instructions` counts.
//!
//! `tapemill-mill TASK FILE.zip`, the task as its id, such as `um/aggTrades/BTCUSDT/2024-01`. It inflates, checks
//! CRC-32 and mills with the worker's buffers; SHA-256, Parquet, queue and network are left out, so that it builds in
//! seconds and counts the same every time. It prints what it found, so that no part of the work can be left out unseen.

use std::error::Error;

use tapemill_inflate::Inflate;
use tapemill_market::{
    AggTradesMill, ArchiveName, Data, Interval, KlinesMill, Milled, MilledKlines, RowError,
    Thresholds, factors, fold_klines,
};

/// As the worker has it.
const INFLATED: usize = 256 << 10;

#[expect(
    clippy::print_stdout,
    reason = "the result of a command goes to stdout"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [task, path] = arguments.as_slice() else {
        return Err("usage: tapemill-mill TASK FILE.zip".into());
    };
    let name = ArchiveName::from_task_id(task)?;
    let zip = std::fs::read(path)?;
    let (minutes, hours) = match name.data {
        Data::AggTrades => trades(&name, &zip)?,
        Data::Klines(..) => klines(&name, &zip)?,
        other => return Err(format!("{other} is not counted").into()),
    };
    println!("{minutes} minutes, {hours} hours");
    Ok(())
}

fn trades(name: &ArchiveName, zip: &[u8]) -> Result<(usize, usize), Box<dyn Error>> {
    let thresholds = Thresholds::default();
    let mut mill = AggTradesMill::new(name.market, &name.symbol, name.period, thresholds);
    feed(zip, |csv| mill.feed(csv))?;
    let mut result = mill.finish()?;
    if let Milled::Again(repeated) = result {
        let mut mill =
            AggTradesMill::second(name.market, &name.symbol, name.period, thresholds, repeated);
        feed(zip, |csv| mill.feed(csv))?;
        result = mill.finish()?;
    }
    let Milled::Whole(month) = result else {
        return Err("it wants to be read a third time".into());
    };
    let minutes: Vec<_> = month.minutes().collect();
    Ok((minutes.len(), factors(&minutes, Interval::HOUR).len()))
}

fn klines(name: &ArchiveName, zip: &[u8]) -> Result<(usize, usize), Box<dyn Error>> {
    let Data::Klines(_, interval) = name.data else {
        return Err("they are no klines".into());
    };
    let mut mill = KlinesMill::new(interval, name.period);
    feed(zip, |csv| mill.feed(csv))?;
    let MilledKlines::Whole(bars, _) = mill.finish()? else {
        return Err("its bars do not ascend".into());
    };
    Ok((bars.len(), fold_klines(&bars, Interval::HOUR).len()))
}

/// Inflates the one entry of a ZIP, whose local header says its CRC-32, and passes it on.
fn feed(
    zip: &[u8],
    mut mill: impl FnMut(&[u8]) -> Result<(), RowError>,
) -> Result<(), Box<dyn Error>> {
    let number = |at: usize| usize::from(zip[at]) | usize::from(zip[at + 1]) << 8;
    let expected = number(14) | number(16) << 16;
    let mut bytes = &zip[30 + number(26) + number(28)..];
    let mut inflate = Inflate::new();
    let mut crc = crc32fast::Hasher::new();
    let mut out = vec![0; INFLATED];
    loop {
        let step = inflate.step(bytes, &mut out).map_err(|_| "it is damaged")?;
        bytes = &bytes[step.read..];
        crc.update(&out[..step.written]);
        mill(&out[..step.written])?;
        if step.ended {
            break;
        }
        if step.read == 0 && step.written == 0 {
            return Err("it ends before its end".into());
        }
    }
    match crc.finalize() as usize == expected {
        true => Ok(()),
        false => Err("its CRC-32 is another".into()),
    }
}

//! aggTrades → `aggtrades_1m` and `factors_1h`.

use tapemill_lake::tables::{FACTORS, MINUTES, TIME_COLUMN};
use tapemill_lake::{Footer, LakeError, Output, StagedTable, TableOptions, TableWriter};
use tapemill_market::{
    Account, AggTradesMill, AggTradesResult, ArchiveName, Factors, Interval, Minute, Quality,
    RepeatedIds, factors,
};

use super::{BATCH_ROWS, Mill, MillError, Milled, Plan, Reading};

#[derive(Clone)]
pub(super) struct AggTradesPlan {
    output: Output,
    name: ArchiveName,
    /// Known after a first reading that found ids repeated.
    repeated: Option<RepeatedIds>,
}

impl AggTradesPlan {
    pub fn new(output: &Output, name: &ArchiveName) -> Self {
        Self {
            output: output.clone(),
            name: name.clone(),
            repeated: None,
        }
    }
}

impl Plan for AggTradesPlan {
    fn start(&self) -> Box<dyn Mill> {
        let ArchiveName {
            market,
            symbol,
            period,
            ..
        } = &self.name;
        let thresholds = self.output.thresholds;
        let mill = match &self.repeated {
            None => AggTradesMill::new(*market, symbol, *period, thresholds),
            Some(repeated) => {
                AggTradesMill::second(*market, symbol, *period, thresholds, repeated.clone())
            }
        };
        Box::new(Reader {
            plan: self.clone(),
            mill,
        })
    }
}

struct Reader {
    plan: AggTradesPlan,
    mill: AggTradesMill,
}

impl Mill for Reader {
    fn feed(&mut self, csv: &[u8]) -> Result<(), MillError> {
        Ok(self.mill.feed(csv)?)
    }

    fn rows(&self) -> u64 {
        self.mill.rows()
    }

    fn finish(self: Box<Self>) -> Result<Reading, MillError> {
        let Self { plan, mill } = *self;
        Ok(match mill.finish()? {
            tapemill_market::Milled::Whole(result) => Reading::Milled(Box::new(Month {
                plan,
                quality: result.quality.clone(),
                result,
                settled: None,
            })),
            tapemill_market::Milled::Again(repeated) => Reading::Again(Box::new(AggTradesPlan {
                repeated: Some(repeated),
                ..plan
            })),
        })
    }
}

struct Month {
    plan: AggTradesPlan,
    quality: Quality,
    result: Box<AggTradesResult>,
    /// Other minutes in the place of the result's.
    settled: Option<Vec<Minute>>,
}

impl Milled for Month {
    fn quality(&self) -> &Quality {
        &self.quality
    }

    fn account(&self) -> Option<Account> {
        let minutes = match &self.settled {
            Some(settled) => settled.clone(),
            None => self.result.minutes().collect(),
        };
        Some(Account::Minutes(minutes))
    }

    fn settle(&mut self, account: Account, quality: Quality) {
        if let Account::Minutes(minutes) = account {
            self.settled = Some(minutes);
            self.quality = quality;
        }
    }

    fn write(self: Box<Self>, footer: &Footer) -> Result<Vec<StagedTable>, LakeError> {
        let AggTradesPlan { output, name, .. } = &self.plan;
        let symbol = name.symbol.as_str();
        let place = output.place(name, "aggtrades_1m")?;
        let options = TableOptions::bars(TIME_COLUMN);
        let mut minutes = TableWriter::create(&output.lake, &place, &MINUTES.schema(), &options)?;
        let mut all_hours = Vec::new();
        // Whole hours at a time: an hour's factors need all of its minutes, and no more.
        let mut batch: Vec<Minute> = Vec::with_capacity(BATCH_ROWS);
        let settled = self
            .settled
            .as_deref()
            .map(|minutes| minutes.iter().copied());
        let own = settled.is_none().then(|| self.result.minutes());
        for minute in settled
            .into_iter()
            .flatten()
            .chain(own.into_iter().flatten())
        {
            let begins_an_hour = batch
                .last()
                .is_some_and(|last| hour_of(last) != hour_of(&minute));
            if begins_an_hour && batch.len() + 60 > BATCH_ROWS {
                flush(&mut batch, &mut minutes, &mut all_hours, symbol)?;
            }
            batch.push(minute);
        }
        flush(&mut batch, &mut minutes, &mut all_hours, symbol)?;

        let place = output.place(name, "factors_1h")?;
        let mut factors = TableWriter::create(&output.lake, &place, &FACTORS.schema(), &options)?;
        factors.write(&FACTORS.batch(symbol, &all_hours))?;
        Ok(vec![
            minutes.finish(footer.clone())?,
            factors.finish(footer.clone())?,
        ])
    }
}

fn flush(
    batch: &mut Vec<Minute>,
    minutes: &mut TableWriter,
    all_hours: &mut Vec<Factors>,
    symbol: &str,
) -> Result<(), LakeError> {
    minutes.write(&MINUTES.batch(symbol, batch))?;
    all_hours.extend(factors(batch, Interval::HOUR));
    batch.clear();
    Ok(())
}

fn hour_of(minute: &Minute) -> i64 {
    minute.minute_us.div_euclid(3_600_000_000)
}

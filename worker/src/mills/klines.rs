//! klines → `klines_I`, and `klines_1h_from_1m` where they are of one minute.

use tapemill_lake::tables::{TIME_COLUMN, Table, klines};
use tapemill_lake::{
    BAR_GROUP_ROWS, Footer, LakeError, Output, StagedTable, TableOptions, TableWriter,
};
use tapemill_market::{
    Account, ArchiveName, Interval, Kline, KlinesMill, MilledKlines, Quality, fold_klines,
};

use super::{Mill, MillError, Milled, Plan, Reading};

#[derive(Clone)]
pub(super) struct KlinesPlan {
    output: Output,
    name: ArchiveName,
    interval: Interval,
    /// Whether a first reading gave out bars that a later row should have preceded.
    whole: bool,
}

impl KlinesPlan {
    pub fn new(output: &Output, name: &ArchiveName, interval: Interval) -> Self {
        Self {
            output: output.clone(),
            name: name.clone(),
            interval,
            whole: false,
        }
    }

    fn table(&self) -> &'static Table<Kline> {
        klines(self.name.market)
    }

    fn writer(&self, table: &str) -> Result<TableWriter, LakeError> {
        let place = self.output.place(&self.name, table)?;
        TableWriter::create(
            &self.output.lake,
            &place,
            &self.table().schema(),
            &TableOptions::bars(TIME_COLUMN),
        )
    }
}

impl Plan for KlinesPlan {
    fn start(&self) -> Box<dyn Mill> {
        let mill = match self.whole {
            false => KlinesMill::new(self.interval, self.name.period),
            true => KlinesMill::second(self.interval, self.name.period),
        };
        Box::new(Reader {
            plan: self.clone(),
            mill,
            writer: None,
        })
    }
}

struct Reader {
    plan: KlinesPlan,
    mill: KlinesMill,
    /// Begun early only for archives too large to hold, of which a part is given out.
    writer: Option<TableWriter>,
}

impl Mill for Reader {
    fn feed(&mut self, csv: &[u8]) -> Result<(), MillError> {
        self.mill.feed(csv)?;
        let bars = self.mill.give_out();
        if !bars.is_empty() {
            if self.writer.is_none() {
                self.writer = Some(self.plan.writer(&self.plan.name.data.tables()[0])?);
            }
            if let Some(writer) = &mut self.writer {
                write(writer, &self.plan, &bars)?;
            }
        }
        Ok(())
    }

    fn rows(&self) -> u64 {
        self.mill.rows()
    }

    fn finish(self: Box<Self>) -> Result<Reading, MillError> {
        let Self { plan, mill, writer } = *self;
        Ok(match mill.finish()? {
            MilledKlines::Whole(bars, quality) => Reading::Milled(Box::new(Bars {
                plan,
                writer,
                bars,
                quality,
            })),
            MilledKlines::Again => Reading::Again(Box::new(KlinesPlan {
                whole: true,
                ..plan
            })),
        })
    }
}

struct Bars {
    plan: KlinesPlan,
    writer: Option<TableWriter>,
    bars: Vec<Kline>,
    quality: Box<Quality>,
}

impl Milled for Bars {
    fn quality(&self) -> &Quality {
        &self.quality
    }

    fn account(&self) -> Option<Account> {
        // Bars that were given out are out of reach.
        let is_whole = self.writer.is_none();
        is_whole.then(|| Account::Klines(self.bars.clone()))
    }

    fn settle(&mut self, account: Account, quality: Quality) {
        if let Account::Klines(bars) = account {
            self.bars = bars;
            *self.quality = quality;
        }
    }

    fn write(self: Box<Self>, footer: &Footer) -> Result<Vec<StagedTable>, LakeError> {
        let Self {
            plan, writer, bars, ..
        } = *self;
        let tables = plan.name.data.tables();
        let mut writer = match writer {
            Some(writer) => writer,
            None => plan.writer(&tables[0])?,
        };
        write(&mut writer, &plan, &bars)?;
        let mut staged = vec![writer.finish(footer.clone())?];
        if let Some(hourly) = tables.get(1) {
            let mut writer = plan.writer(hourly)?;
            write(&mut writer, &plan, &fold_klines(&bars, Interval::HOUR))?;
            staged.push(writer.finish(footer.clone())?);
        }
        Ok(staged)
    }
}

fn write(writer: &mut TableWriter, plan: &KlinesPlan, bars: &[Kline]) -> Result<(), LakeError> {
    // Of a whole row group, so that the writer has nothing to put together.
    for batch in bars.chunks(BAR_GROUP_ROWS) {
        writer.write(&plan.table().batch(plan.name.symbol.as_str(), batch))?;
    }
    Ok(())
}

//! Archives whose rows are kept as they are → the table of their dataset.

use tapemill_lake::tables::RowsTable;
use tapemill_lake::{Footer, LakeError, Output, StagedTable, TableWriter};
use tapemill_market::dataset::Layout;
use tapemill_market::{
    AgainRows, ArchiveName, Cells, Dataset, MilledRows, Quality, RowsMill, Words,
};

use super::runs::Runs;
use super::{Mill, MillError, Milled, Plan, Reading};

/// Rows handed to a table writer at a time.
const BATCH_ROWS: usize = 16_384;

#[derive(Clone)]
pub(super) struct RowsPlan {
    output: Output,
    name: ArchiveName,
    dataset: &'static Dataset,
    layout: &'static Layout,
    /// Known after a first reading that asked for another.
    again: Option<AgainRows>,
}

impl RowsPlan {
    /// `None` where the market has no such archives.
    pub fn new(output: &Output, name: &ArchiveName, dataset: &'static Dataset) -> Option<Self> {
        Some(Self {
            output: output.clone(),
            name: name.clone(),
            dataset,
            layout: dataset.layout(name.market)?,
            again: None,
        })
    }

    fn mill(&self) -> RowsMill {
        let ArchiveName {
            market,
            symbol,
            period,
            ..
        } = &self.name;
        match &self.again {
            None => RowsMill::new(self.dataset, *market, symbol, *period),
            Some(again) => RowsMill::second(self.dataset, *market, symbol, *period, again.clone()),
        }
        .expect("the plan was made for a market that has the dataset")
    }
}

impl Plan for RowsPlan {
    fn start(&self) -> Box<dyn Mill> {
        Box::new(Reader {
            mill: self.mill(),
            table: Table::new(self),
            runs: None,
            plan: self.clone(),
        })
    }
}

struct Reader {
    plan: RowsPlan,
    mill: RowsMill,
    table: Table,
    runs: Option<Runs>,
}

impl Mill for Reader {
    fn feed(&mut self, csv: &[u8]) -> Result<(), MillError> {
        self.mill.feed(csv)?;
        let cells = self.mill.give_out();
        if cells.is_empty() {
            return Ok(());
        }
        if self.mill.gives_runs() {
            let runs = match &mut self.runs {
                Some(runs) => runs,
                none => none.insert(Runs::create(&self.plan.output.lake)?),
            };
            runs.add(&cells)?;
        } else {
            self.table.write(self.mill.words(), &cells)?;
        }
        Ok(())
    }

    fn rows(&self) -> u64 {
        self.mill.rows()
    }

    fn finish(self: Box<Self>) -> Result<Reading, MillError> {
        let Self {
            plan,
            mill,
            mut table,
            runs,
        } = *self;
        let mut result = match mill.finish()? {
            MilledRows::Whole(result) => result,
            MilledRows::Again(again) => {
                return Ok(Reading::Again(Box::new(RowsPlan {
                    again: Some(again),
                    ..plan
                })));
            }
        };
        if result.sorts {
            // Here and not when the table is written: only now the repeated rows are counted.
            let mut settled = Cells::new();
            let width = result.unique.order().width();
            let (words, unique) = (&result.words, &mut result.unique);
            let order = unique.order().clone();
            Runs::merge(runs, &result.rows, &order, words, |row| {
                unique.push(words, row, &mut settled);
                if settled.len() >= BATCH_ROWS * width {
                    table.write(words, &settled)?;
                    settled.clear();
                }
                Ok(())
            })?;
            unique.finish(&mut settled);
            table.write(words, &settled)?;
            result.quality.duplicates += unique.duplicates;
            result.quality.contradictions += unique.contradictions;
        } else {
            table.write(&result.words, &result.rows)?;
        }
        Ok(Reading::Milled(Box::new(Written {
            writer: table.into_writer()?,
            quality: result.quality,
        })))
    }
}

/// The table while rows come.
struct Table {
    output: Output,
    name: ArchiveName,
    folder: &'static str,
    table: RowsTable,
    writer: Option<TableWriter>,
}

impl Table {
    fn new(plan: &RowsPlan) -> Self {
        Self {
            output: plan.output.clone(),
            name: plan.name.clone(),
            folder: plan.dataset.table,
            table: RowsTable::new(plan.layout),
            writer: None,
        }
    }

    fn write(&mut self, words: &Words, cells: &[u64]) -> Result<(), LakeError> {
        if cells.is_empty() {
            return Ok(());
        }
        let batch = self.table.batch(self.name.symbol.as_str(), words, cells);
        self.writer()?.write(&batch)
    }

    fn writer(&mut self) -> Result<&mut TableWriter, LakeError> {
        Ok(match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(TableWriter::create(
                &self.output.lake,
                &self.output.place(&self.name, self.folder)?,
                self.table.schema(),
                &self.table.options(),
            )?),
        })
    }

    fn into_writer(mut self) -> Result<TableWriter, LakeError> {
        self.writer()?;
        Ok(self.writer.expect("it was just made"))
    }
}

/// A table that has all of its rows, and not yet its footer.
struct Written {
    writer: TableWriter,
    quality: Quality,
}

impl Milled for Written {
    fn quality(&self) -> &Quality {
        &self.quality
    }

    fn write(self: Box<Self>, footer: &Footer) -> Result<Vec<StagedTable>, LakeError> {
        Ok(vec![self.writer.finish(footer.clone())?])
    }
}

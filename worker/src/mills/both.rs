//! One archive into the tables of two mills, read once.

use std::sync::Arc;

use tapemill_lake::{Footer, LakeError, StagedTable};
use tapemill_market::Quality;

use super::{Mill, MillError, Milled, Plan, Reading};

/// Reads with both. What the first sees is the archive's quality.
#[derive(Clone)]
pub(super) struct Both {
    first: Arc<dyn Plan>,
    second: Arc<dyn Plan>,
}

impl Both {
    pub fn new(first: impl Plan + 'static, second: impl Plan + 'static) -> Self {
        Self {
            first: Arc::new(first),
            second: Arc::new(second),
        }
    }
}

impl Plan for Both {
    fn start(&self) -> Box<dyn Mill> {
        Box::new(Reader {
            plan: self.clone(),
            first: self.first.start(),
            second: self.second.start(),
        })
    }
}

struct Reader {
    plan: Both,
    first: Box<dyn Mill>,
    second: Box<dyn Mill>,
}

impl Mill for Reader {
    fn feed(&mut self, csv: &[u8]) -> Result<(), MillError> {
        self.first.feed(csv)?;
        self.second.feed(csv)
    }

    fn rows(&self) -> u64 {
        self.first.rows()
    }

    fn finish(self: Box<Self>) -> Result<Reading, MillError> {
        let Self {
            plan,
            first,
            second,
        } = *self;
        Ok(match (first.finish()?, second.finish()?) {
            (Reading::Milled(first), Reading::Milled(second)) => {
                Reading::Milled(Box::new(Tables { first, second }))
            }
            (first, second) => Reading::Again(Box::new(Both {
                first: again(first, plan.first),
                second: again(second, plan.second),
            })),
        })
    }
}

/// The plan for the next reading: where one mill is content, it reads as before beside the other.
fn again(reading: Reading, before: Arc<dyn Plan>) -> Arc<dyn Plan> {
    match reading {
        Reading::Milled(_) => before,
        Reading::Again(next) => next.into(),
    }
}

struct Tables {
    first: Box<dyn Milled>,
    second: Box<dyn Milled>,
}

impl Milled for Tables {
    fn quality(&self) -> &Quality {
        self.first.quality()
    }

    fn write(self: Box<Self>, footer: &Footer) -> Result<Vec<StagedTable>, LakeError> {
        let mut tables = self.first.write(footer)?;
        tables.extend(self.second.write(footer)?);
        Ok(tables)
    }
}

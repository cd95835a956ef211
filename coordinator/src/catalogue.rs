//! Rebuilds the catalogue from what is there: the files, the queue, and the footers of files the queue does not know.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use tapemill_lake::{CatalogueRow, Output, Receipt, read_lineage};
use tapemill_market::{ArchiveName, Data, Market, Period, Symbol};
use tapemill_queue::{Queue, TaskFilter, TaskRecord, TaskState};

use crate::adoption::receipt_of;
use crate::error::PlanError;
use crate::thread::on_a_thread;

/// Tasks looked at in one call: a store that answers one call after the other answers others in between.
const PAGE: usize = 250;

/// Footers read at once.
const FOOTERS_AT_ONCE: usize = 8;

/// The catalogues of an output. For people: nothing reads them to decide what is right.
pub struct Catalogue<'a> {
    /// Knows how tasks stand, and what most files are.
    pub queue: &'a dyn Queue,
    /// Has the files, and gets the catalogues.
    pub output: &'a Output,
}

/// What came of rebuilding one catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The dataset: the main table of a kind of data.
    pub dataset: String,
    /// Its rows.
    pub rows: u64,
    /// Footers that had to be read.
    pub footers: u64,
    /// Whether it is another than before; only then it was published.
    pub is_new: bool,
}

type Place = (String, Period);

impl Catalogue<'_> {
    /// Rebuilds the catalogues of a market's kinds of data: whole, or the rows of some symbols in those that are there.
    ///
    /// The same state gives the same bytes. A row whose file has the size it had is taken over from the catalogue that
    /// is there, where the queue does not know better, so only new files cost a look at their footers.
    ///
    /// # Errors
    ///
    /// [`PlanError`] for a queue or output that fails; catalogues before it are rebuilt.
    pub async fn rebuild(
        &self,
        market: Market,
        data: &[Data],
        symbols: Option<&BTreeSet<Symbol>>,
    ) -> Result<Vec<Rebuilt>, PlanError> {
        let mut rebuilt = Vec::new();
        for data in data {
            rebuilt.push(self.rebuild_one(market, *data, symbols).await?);
        }
        Ok(rebuilt)
    }

    /// Brings the catalogues that are there up to date: what a worker knows to do, which has no selection.
    ///
    /// # Errors
    ///
    /// As [`Self::rebuild`].
    pub async fn refresh(&self) -> Result<(), PlanError> {
        for dataset in self.queue.stats().await?.datasets.into_keys() {
            let Ok(data) = dataset.parse::<Data>() else {
                continue;
            };
            for market in [Market::Um, Market::Cm, Market::Spot] {
                let (lake, table) = (self.output.lake.clone(), data.tables().swap_remove(0));
                let is_there = on_a_thread(move || lake.catalogue(&table, market)).await?;
                if is_there.is_some() {
                    self.rebuild_one(market, data, None).await?;
                }
            }
        }
        Ok(())
    }

    async fn rebuild_one(
        &self,
        market: Market,
        data: Data,
        symbols: Option<&BTreeSet<Symbol>>,
    ) -> Result<Rebuilt, PlanError> {
        let dataset = data.tables().swap_remove(0);
        let before = {
            let (lake, dataset) = (self.output.lake.clone(), dataset.clone());
            on_a_thread(move || lake.catalogue(&dataset, market)).await?
        };
        // Some rows can only be renewed among others.
        let symbols = symbols.filter(|_| before.is_some()).cloned();
        let files = self.files(market, &dataset, symbols.clone()).await?;
        let tasks = self.tasks(market, data, symbols.as_ref()).await?;

        let mut rows: BTreeMap<Place, CatalogueRow> = BTreeMap::new();
        let mut old: BTreeMap<Place, CatalogueRow> = BTreeMap::new();
        for row in before.iter().flatten() {
            let (Ok(period), Ok(symbol)) = (row.period.parse(), Symbol::exact(&row.symbol)) else {
                continue;
            };
            let is_asked_for = symbols.as_ref().is_none_or(|these| these.contains(&symbol));
            let place = (row.symbol.clone(), period);
            if is_asked_for {
                old.insert(place, row.clone());
            } else {
                rows.insert(place, row.clone());
            }
        }
        let mut unknown = Vec::new();
        let places: BTreeSet<&Place> = files.keys().chain(tasks.keys()).collect();
        for place in places {
            let (name, bytes) = (name_of(market, data, place)?, files.get(place).copied());
            let task = tasks.get(place);
            let receipt = task.and_then(|task| task.receipt.as_ref());
            let fits =
                |receipt: &&Receipt| bytes.is_none() || receipt.files.first() == bytes.as_ref();
            let state = task.map_or(TaskState::Done, |task| task.state);
            let mut row = CatalogueRow {
                symbol: place.0.clone(),
                period: place.1.to_string(),
                state: state.to_string(),
                bytes,
                sha256: None,
                rows: None,
                verdict: None,
                key: name.key(),
            };
            if let Some(receipt) = receipt.filter(fits) {
                fill(&mut row, receipt);
            } else if let Some(same) = old.get(place).filter(|old| is_same_file(old, bytes)) {
                row.sha256.clone_from(&same.sha256);
                row.verdict.clone_from(&same.verdict);
                row.rows = same.rows;
            } else if bytes.is_some() {
                unknown.push((place.clone(), name));
            }
            rows.insert(place.clone(), row);
        }
        let footers = unknown.len() as u64;
        let read: Vec<(Place, Option<Receipt>)> = stream::iter(unknown)
            .map(|(place, name)| self.footer(place, name))
            .buffered(FOOTERS_AT_ONCE)
            .try_collect()
            .await?;
        for (place, receipt) in read {
            if let (Some(row), Some(receipt)) = (rows.get_mut(&place), receipt) {
                fill(row, &receipt);
            }
        }

        let rows: Vec<CatalogueRow> = rows.into_values().collect();
        let is_new = before.as_ref() != Some(&rows);
        let count = rows.len() as u64;
        if is_new {
            let (lake, dataset) = (self.output.lake.clone(), dataset.clone());
            on_a_thread(move || lake.publish_catalogue(&dataset, market, &rows)).await?;
        }
        Ok(Rebuilt {
            dataset,
            rows: count,
            footers,
            is_new,
        })
    }

    async fn files(
        &self,
        market: Market,
        dataset: &str,
        symbols: Option<BTreeSet<Symbol>>,
    ) -> Result<BTreeMap<Place, u64>, PlanError> {
        let (output, dataset) = (self.output.clone(), dataset.to_owned());
        on_a_thread(move || {
            let mut files = BTreeMap::new();
            output.each_file(
                market,
                &dataset,
                symbols.as_ref(),
                |symbol, period, bytes| {
                    files.insert((symbol.to_string(), period), bytes);
                },
            )?;
            Ok(files)
        })
        .await
    }

    async fn tasks(
        &self,
        market: Market,
        data: Data,
        symbols: Option<&BTreeSet<Symbol>>,
    ) -> Result<BTreeMap<Place, Task>, PlanError> {
        let series = format!("{market}/{data}/");
        let prefixes: Vec<String> = match symbols {
            Some(symbols) => {
                let of_symbol = |symbol| format!("{series}{symbol}/");
                symbols.iter().map(of_symbol).collect()
            }
            None => vec![series],
        };
        let mut tasks = BTreeMap::new();
        for prefix in prefixes {
            let filter = TaskFilter {
                id_prefix: Some(prefix),
                ..TaskFilter::default()
            };
            let mut cursor = None;
            loop {
                let page = self.queue.list(&filter, cursor, PAGE).await?;
                for task in &page.tasks {
                    if let Ok(name) = ArchiveName::from_task_id(task.id.as_str()) {
                        tasks.insert((name.symbol.to_string(), name.period), Task::of(task));
                    }
                }
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(tasks)
    }

    /// What a file says about itself; `None` for one that does not say, or went away.
    async fn footer(
        &self,
        place: Place,
        name: ArchiveName,
    ) -> Result<(Place, Option<Receipt>), PlanError> {
        let file = self.output.place(&name, &name.data.tables()[0])?;
        let lake = self.output.lake.clone();
        let receipt = on_a_thread(move || match read_lineage(&lake, &file) {
            Ok(lineage) => Ok(receipt_of(&lineage, Vec::new())),
            Err(error) if error.is_file() || error.is_absent() => Ok(None),
            Err(error) => Err(error),
        })
        .await?;
        Ok((place, receipt))
    }
}

/// What the catalogue tells of a task.
struct Task {
    state: TaskState,
    receipt: Option<Receipt>,
}

impl Task {
    fn of(task: &TaskRecord) -> Self {
        let receipt = task.summary.as_deref().and_then(|text| text.parse().ok());
        Self {
            state: task.state,
            receipt,
        }
    }
}

fn name_of(market: Market, data: Data, (symbol, period): &Place) -> Result<ArchiveName, PlanError> {
    Ok(ArchiveName {
        market,
        data,
        symbol: Symbol::exact(symbol)?,
        period: *period,
    })
}

fn fill(row: &mut CatalogueRow, receipt: &Receipt) {
    row.sha256 = Some(receipt.sha256_hex());
    row.rows = Some(receipt.rows);
    row.verdict = Some(receipt.verdict.clone());
}

/// Whether a row was made from the file that is there, as far as its size tells.
fn is_same_file(row: &CatalogueRow, bytes: Option<u64>) -> bool {
    bytes.is_some() && row.bytes == bytes && row.sha256.is_some()
}

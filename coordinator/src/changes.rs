//! Archives that were published anew or withdrawn after they were milled, and the tables made of the old ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures::{TryStreamExt, stream};
use tapemill_archive::{Object, Query, Sha256Digest, Source, hex};
use tapemill_exchange::RestSpec;
use tapemill_lake::{Handover, LedgerEntry, Output, Receipt, read_lineage};
use tapemill_market::{ArchiveName, Period, archive_folder, archive_stem};
use tapemill_queue::{Queue, TaskFilter, TaskRecord, TaskState};

use crate::error::PlanError;
use crate::sidecar::Sidecar;
use crate::survey::{LISTINGS_AT_ONCE, periods, version_of};
use crate::thread::on_a_thread;

/// Tasks read at a time.
const PAGE: usize = 1000;

/// How an archive stands to what was made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeState {
    /// It was published anew, with other bytes as far as anyone can tell.
    Republished,
    /// It was published anew, with the bytes it had.
    Touched,
    /// It is not listed any more.
    Withdrawn,
    /// It was published anew, and its tables are made of the new one: the ledger says so.
    Refreshed,
    /// It replaced what a collector had captured: the ledger says whether the two agree.
    HandedOver,
}

impl ChangeState {
    /// The word in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Republished => "republished",
            Self::Touched => "touched",
            Self::Withdrawn => "withdrawn",
            Self::Refreshed => "refreshed",
            Self::HandedOver => "handed_over",
        }
    }
}

/// One archive that is not what was milled, or what was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The archive's own path.
    pub archive: String,
    /// How it stands.
    pub state: ChangeState,
    /// What differs, such as `size 123 -> 456, etag`.
    pub what: String,
    /// The SHA-256 of what was milled; of captured trades that of their lines.
    pub old_sha256: String,
    /// The SHA-256 of what there is now, where that is known.
    pub new_sha256: Option<String>,
    /// The tables that are made of the old one, as their footers say; of one that was taken up, those that were.
    pub tables: Vec<String>,
}

/// Looks for changes.
pub struct Changes<'a> {
    /// Knows what was milled.
    pub queue: &'a dyn Queue,
    /// Knows what there is now.
    pub source: &'a Arc<dyn Source>,
    /// Has the tables, and the ledger.
    pub output: &'a Output,
}

/// The finished tasks of one market, kind of data and symbol.
type Series = Vec<(ArchiveName, Receipt)>;

impl Changes<'_> {
    /// Every change, in the order of tasks; behind them what was taken up and what was handed over, from the ledger.
    ///
    /// Each folder that has archives of finished tasks is listed. Only for an archive that looks another its checksum file
    /// is asked for, and the footers of its tables.
    ///
    /// # Errors
    ///
    /// [`PlanError`] for a queue, an archive or an output that fails.
    pub async fn find(&self) -> Result<Vec<Change>, PlanError> {
        let walk = Walk::new(self.queue);
        let series = stream::try_unfold(walk, |mut walk| async {
            Ok(walk.next().await?.map(|series| (series, walk)))
        });
        let mut changes: Vec<Change> = series
            .map_ok(|series| self.of_series(series))
            .try_buffered(LISTINGS_AT_ONCE)
            .try_concat()
            .await?;
        let lake = self.output.lake.clone();
        let looking = on_a_thread(move || Ok((lake.ledger()?, lake.handovers()?)));
        let (ledger, handovers) = looking.await?;
        changes.extend(ledger.into_iter().map(refreshed));
        changes.extend(handovers.into_iter().map(handed_over));
        Ok(changes)
    }

    async fn of_series(&self, series: Series) -> Result<Vec<Change>, PlanError> {
        let listed = self.listed(&series).await?;
        let mut changes = Vec::new();
        for (name, receipt) in series {
            let found = match listed.get(&name.period) {
                None => Some((
                    ChangeState::Withdrawn,
                    "not listed any more".to_owned(),
                    None,
                )),
                Some(object) => self.compared(&name, &receipt, object).await?,
            };
            if let Some((state, what, new_sha256)) = found {
                let old_sha256 = receipt.sha256_hex();
                changes.push(Change {
                    tables: self.tables_of(&name, &old_sha256).await?,
                    archive: name.key(),
                    state,
                    what,
                    old_sha256,
                    new_sha256,
                });
            }
        }
        Ok(changes)
    }

    /// What the source has of a series now, of the periods that were milled and some between them.
    async fn listed(&self, series: &Series) -> Result<BTreeMap<Period, Object>, PlanError> {
        let mut listed = BTreeMap::new();
        let Some((name, _)) = series.first() else {
            return Ok(listed);
        };
        let milled = series.iter().map(|(name, _)| name.period).collect();
        for (first, last) in spans(&milled) {
            let frequency = first.archive_folder();
            let query = Query {
                folder: archive_folder(name.market, name.data, &name.symbol, frequency),
                stem: archive_stem(name.data, &name.symbol),
                first: Some(first.to_string()),
                last: Some(last.to_string()),
            };
            let objects = self.source.list(&query).await?;
            let found = periods(name.data, &name.symbol, &objects, first.is_day());
            listed.extend(found.map(|(period, object)| (period, object.clone())));
        }
        Ok(listed)
    }

    /// How an archive that is listed differs from the one that was milled, if it does; and the SHA-256 of its bytes now, as
    /// far as that can be told.
    async fn compared(
        &self,
        name: &ArchiveName,
        receipt: &Receipt,
        object: &Object,
    ) -> Result<Option<Found>, PlanError> {
        let differences = differences(receipt, object);
        if differences.is_empty() {
            return Ok(None);
        }
        let sidecar = Sidecar::of(&**self.source, &name.key()).await?;
        let named = sidecar.names(receipt);
        let (state, named) = judged(receipt, object, named);
        Ok(Some((
            state,
            differences.join(", "),
            named.map(|digest| hex(&digest)),
        )))
    }

    /// The tables of a task that are made of these bytes of its archive.
    async fn tables_of(&self, name: &ArchiveName, sha256: &str) -> Result<Vec<String>, PlanError> {
        let (output, name, sha256) = (self.output.clone(), name.clone(), sha256.to_owned());
        on_a_thread(move || {
            let key = name.key();
            let mut tables = Vec::new();
            for table in name.data.tables() {
                let place = output.place(&name, &table)?;
                let lineage = match read_lineage(&output.lake, &place) {
                    Ok(lineage) => lineage,
                    Err(error) if error.is_file() || error.is_absent() => continue,
                    Err(error) => return Err(error),
                };
                let mut sources = lineage.sources.iter();
                if sources.any(|source| source.key == key && source.sha256 == sha256) {
                    tables.push(place.to_string());
                }
            }
            Ok(tables)
        })
        .await
    }
}

/// How an archive stands, what differs, and the SHA-256 of its bytes now.
type Found = (ChangeState, String, Option<String>);

/// What of an archive's outside differs from when it was read.
fn differences(receipt: &Receipt, object: &Object) -> Vec<String> {
    let mut differences = Vec::new();
    if receipt.bytes != object.bytes {
        differences.push(format!("size {} -> {}", receipt.bytes, object.bytes));
    }
    if let (Some(read), Some(listed)) = (receipt.version, version_of(object)) {
        if read.differs_in_tag(&listed) {
            differences.push("etag".to_owned());
        }
        if read.differs_in_time(&listed)
            && let (Some(then), Some(now)) = (read.changed(), listed.changed())
        {
            differences.push(format!("last modified {then} -> {now}"));
        }
    }
    differences
}

/// Whether an archive that looks another is another: what its checksum file names decides, and where that says nothing the
/// entity tag.
fn judged(
    receipt: &Receipt,
    object: &Object,
    named: Option<Sha256Digest>,
) -> (ChangeState, Option<Sha256Digest>) {
    let same_size = receipt.bytes == object.bytes;
    match named {
        Some(digest) if digest != receipt.sha256 => (ChangeState::Republished, named),
        Some(_) if same_size => (ChangeState::Touched, named),
        // There is none, or it is older than the archive.
        _ => {
            let versions = receipt.version.zip(version_of(object));
            let same_tag = versions.is_some_and(|(read, listed)| read.has_tag_of(&listed));
            match same_size && same_tag {
                true => (ChangeState::Touched, None),
                false => (ChangeState::Republished, None),
            }
        }
    }
}

fn refreshed(entry: LedgerEntry) -> Change {
    let (old, new) = (entry.old, entry.new);
    let mut what = Vec::new();
    if old.bytes != new.bytes {
        what.push(format!("size {} -> {}", old.bytes, new.bytes));
    }
    if old.rows != new.rows {
        what.push(format!("rows {} -> {}", old.rows, new.rows));
    }
    if entry.old_content == entry.new_content {
        what.push("the same content".to_owned());
    }
    if what.is_empty() {
        what.push("other content".to_owned());
    }
    Change {
        archive: entry.archive,
        state: ChangeState::Refreshed,
        what: what.join(", "),
        old_sha256: old.sha256,
        new_sha256: Some(new.sha256),
        tables: entry.tables,
    }
}

fn handed_over(entry: Handover) -> Change {
    let captured = entry.captured.first();
    Change {
        what: format!("{}: {}", entry.day, entry.words()),
        archive: entry.archived.key,
        state: ChangeState::HandedOver,
        old_sha256: captured
            .map(|source| source.sha256.clone())
            .unwrap_or_default(),
        new_sha256: Some(entry.archived.sha256),
        tables: Vec::new(),
    }
}

/// What to list of these periods, from and to, both inclusive: the months at once, and days by months that follow each
/// other.
fn spans(periods: &BTreeSet<Period>) -> Vec<(Period, Period)> {
    let (days, months): (Vec<Period>, Vec<Period>) =
        periods.iter().partition(|period| period.is_day());
    let mut spans = Vec::new();
    if let (Some(first), Some(last)) = (months.first(), months.last()) {
        spans.push((*first, *last));
    }
    let follows = |last: &Period, day: &Period| {
        let month = day.month();
        last.month() == month || last.month().step_months(1) == Some(month)
    };
    for day in days {
        match spans.last_mut() {
            Some((_, last)) if last.is_day() && follows(last, &day) => *last = day,
            _ => spans.push((day, day)),
        }
    }
    spans
}

/// The way through the finished tasks of archives, series by series: tasks come in the order of their ids, so those of a
/// series come together.
struct Walk<'a> {
    queue: &'a dyn Queue,
    filter: TaskFilter,
    cursor: Option<String>,
    is_over: bool,
    waiting: VecDeque<(ArchiveName, Receipt)>,
}

impl<'a> Walk<'a> {
    fn new(queue: &'a dyn Queue) -> Self {
        let filter = TaskFilter {
            state: Some(TaskState::Done),
            ..TaskFilter::default()
        };
        Self {
            queue,
            filter,
            cursor: None,
            is_over: false,
            waiting: VecDeque::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<Series>, PlanError> {
        let mut series = Series::new();
        loop {
            while let Some((name, _)) = self.waiting.front()
                && series
                    .last()
                    .is_none_or(|(before, _)| is_of_series(before, name))
            {
                series.extend(self.waiting.pop_front());
            }
            if !self.waiting.is_empty() || self.is_over {
                return Ok(Some(series).filter(|series| !series.is_empty()));
            }
            let cursor = self.cursor.take();
            let page = self.queue.list(&self.filter, cursor, PAGE).await?;
            self.waiting.extend(page.tasks.iter().filter_map(milled));
            self.is_over = page.next.is_none();
            self.cursor = page.next;
        }
    }
}

fn is_of_series(one: &ArchiveName, other: &ArchiveName) -> bool {
    let series = |name: &ArchiveName| (name.market, name.data, name.symbol.clone());
    series(one) == series(other)
}

/// The archive of a finished task, and what it was; `None` where the rows were captured or asked of the exchange.
fn milled(task: &TaskRecord) -> Option<(ArchiveName, Receipt)> {
    if RestSpec::of(&task.spec).is_some() {
        return None;
    }
    let name = ArchiveName::from_task_id(task.id.as_str()).ok()?;
    Some((name, task.summary.as_deref()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use tapemill_market::Version;

    use super::*;

    fn receipt(version: Option<Version>) -> Receipt {
        Receipt {
            verdict: "ok".to_owned(),
            bytes: 7,
            rows: 1,
            sha256: [1; 32],
            files: vec![],
            version,
        }
    }

    fn object(bytes: u64, etag: &str, date: &str) -> Object {
        Object {
            key: "data/a.zip".to_owned(),
            bytes,
            etag: Some(etag.to_owned()),
            last_modified: Some(date.to_owned()),
            has_sidecar: true,
        }
    }

    #[test]
    fn what_differs_is_told_part_by_part() {
        let was = object(7, "\"a\"", "2024-02-03T00:00:00.000Z");
        let had = receipt(version_of(&was));

        assert_eq!(differences(&had, &was), [""; 0]);
        let now = object(8, "\"b\"", "2024-02-04T00:00:00.000Z");
        let dates = "last modified 2024-02-03T00:00:00Z -> 2024-02-04T00:00:00Z";
        assert_eq!(differences(&had, &now), ["size 7 -> 8", "etag", dates]);
        // Of what was adopted only the size is known.
        assert_eq!(differences(&receipt(None), &now), ["size 7 -> 8"]);
    }

    #[test]
    fn the_checksum_file_decides_and_where_it_says_nothing_the_tag() {
        use ChangeState::{Republished, Touched};
        let now = object(7, "\"a\"", "2024-02-03T00:00:00.000Z");
        let (same_tag, other_tag) = (version_of(&now), Version::of(Some("b"), None));
        let (same, other) = (Some([1; 32]), Some([2; 32]));
        for (version, bytes, named, state) in [
            (other_tag, 7, other, Republished),
            (other_tag, 7, same, Touched),
            (other_tag, 7, None, Republished),
            (same_tag, 7, None, Touched),
            (same_tag, 7, other, Republished),
            // It is older than the archive.
            (other_tag, 8, same, Republished),
            (None, 8, None, Republished),
        ] {
            let now = Object {
                bytes,
                ..now.clone()
            };
            let judged = judged(&receipt(version), &now, named);

            assert_eq!(judged.0, state, "{version:?} {bytes} {named:?}");
        }
    }

    #[test]
    fn months_are_listed_at_once_and_days_by_months_that_follow_each_other() {
        let periods = [
            "2023-11",
            "2024-01",
            "2023-12-31",
            "2024-02-05",
            "2024-03-01",
            "2024-05-02",
        ];
        let periods = periods.map(|period| period.parse().unwrap());

        let spans = spans(&BTreeSet::from(periods));

        let spans = spans.iter().map(|(from, to)| format!("{from}..{to}"));
        assert_eq!(
            spans.collect::<Vec<_>>(),
            [
                "2023-11..2024-01",
                "2023-12-31..2023-12-31",
                "2024-02-05..2024-03-01",
                "2024-05-02..2024-05-02"
            ]
        );
    }
}

//! One file of JSON lines a dataset and day, appended to.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tapemill_capture::{Dataset, jsonl_path};
use tapemill_lake::{Lake, LakeError};

use tapemill_stream::Mark;

use super::{Followed, Session, Sink, Stored, recent_folders};
use crate::error::SinkError;
use crate::rows::Batch;

/// Bytes at the end of a file that are read to know what was stored last.
const MOST_TAIL: u64 = 16 << 20;

/// Appends to files below a folder. A file is locked while it is open, so that two collectors on one machine cannot write it.
pub struct JsonlSink {
    root: PathBuf,
    session: Session,
    open: BTreeMap<PathBuf, File>,
    /// What was read of a dataset to know what was stored last.
    recent: Option<(Dataset, Arc<Vec<Value>>)>,
}

impl JsonlSink {
    /// Nothing is written yet.
    ///
    /// # Errors
    ///
    /// [`SinkError::Other`] for a bucket: nothing can be appended there.
    pub fn new(lake: &Lake, session: Session) -> Result<Self, SinkError> {
        let Some(root) = lake.folder() else {
            return Err(SinkError::Other(format!(
                "--sink jsonl appends to files, and {} is a bucket: take --sink parquet",
                lake.place()
            )));
        };
        Ok(Self {
            root: root.to_owned(),
            session,
            open: BTreeMap::new(),
            recent: None,
        })
    }

    fn append(&mut self, batch: &Batch) -> Result<u64, SinkError> {
        let day = tapemill_market::day_of(Timestamp::now().as_microsecond())
            .ok_or_else(|| SinkError::Other("the clock shows no time".to_owned()))?;
        let path = self
            .root
            .join(jsonl_path(batch.dataset, self.session.market, day));
        let text = lines(batch);
        if !self.open.contains_key(&path) {
            // The day before ended.
            let folder = path.parent().and_then(Path::parent).map(Path::to_owned);
            self.open.retain(|open, _| {
                open.parent().and_then(Path::parent).map(Path::to_owned) != folder
            });
            self.open.insert(path.clone(), opened(&path)?);
        }
        let failed = |error| LakeError::io("write", &path, error);
        if let Some(file) = self.open.get_mut(&path) {
            let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
            let written = file
                .write_all(text.as_bytes())
                .and_then(|()| file.sync_data());
            if let Err(error) = written {
                // Whole lines or none, as far as the disk lets us; they are given again.
                let _ = file.set_len(length);
                return Err(failed(error).into());
            }
        }
        Ok(text.len() as u64)
    }
}

impl Sink for JsonlSink {
    fn store(&mut self, batch: &Batch, _sequence: u64) -> Result<Stored, SinkError> {
        Ok(Stored {
            files: 1,
            bytes: self.append(batch)?,
            rows: batch.rows.num_rows() as u64,
        })
    }

    fn last(&mut self, streams: &[Followed]) -> Result<BTreeMap<String, Mark>, SinkError> {
        let mut last = BTreeMap::new();
        for followed in streams {
            let lines = self.recent_lines(followed.dataset)?;
            let row = lines.iter().rev().find(|row| {
                row["symbol"] == followed.symbol
                    && row["source"] != "rest"
                    && row["is_snapshot"] != true
            });
            if let Some(mark) = row.and_then(mark_of) {
                last.insert(followed.stream.clone(), mark);
            }
        }
        Ok(last)
    }
}

impl JsonlSink {
    /// The last rows of a dataset within a day.
    fn recent_lines(&mut self, dataset: Dataset) -> Result<Arc<Vec<Value>>, SinkError> {
        if let Some((of, lines)) = &self.recent
            && *of == dataset
        {
            return Ok(lines.clone());
        }
        let mut lines = Vec::new();
        for folder in recent_folders(dataset, self.session.market) {
            let folder = self.root.join(folder);
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                if path.extension().is_none_or(|end| end != "jsonl") {
                    continue;
                }
                let failed = |error| LakeError::io("read", &path, error);
                let mut file = File::open(&path).map_err(failed)?;
                let length = file.metadata().map_err(failed)?.len();
                file.seek(SeekFrom::Start(length.saturating_sub(MOST_TAIL)))
                    .map_err(failed)?;
                let mut tail = Vec::new();
                file.take(MOST_TAIL)
                    .read_to_end(&mut tail)
                    .map_err(failed)?;
                // The first line may be cut by where it was begun, the last by a crash.
                let rows = tail.split(|&byte| byte == b'\n');
                lines.extend(rows.filter_map(|line| serde_json::from_slice(line).ok()));
            }
            if !lines.is_empty() {
                break;
            }
        }
        let lines = Arc::new(lines);
        self.recent = Some((dataset, lines.clone()));
        Ok(lines)
    }
}

/// Where a row stands in its stream.
fn mark_of(row: &Value) -> Option<Mark> {
    let names = ["final_update_id", "agg_id", "trade_id", "update_id"];
    let received_ms = row["received_ns"].as_i64()?.div_euclid(1_000_000);
    let event_ms = row["event_time"].as_i64().unwrap_or(received_ms);
    let id = names.iter().find_map(|name| row[name].as_i64());
    Some(Mark {
        id: id.unwrap_or(event_ms),
        event_ms,
    })
}

/// Opens a day's file at its end; a last line that was cut by a crash is removed.
fn opened(path: &Path) -> Result<File, SinkError> {
    let failed = |error| LakeError::io("open", path, error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
        .map_err(failed)?;
    if file.try_lock().is_err() {
        return Err(SinkError::Other(format!(
            "another collector writes {}: name another --output",
            path.display()
        )));
    }
    let whole = whole_lines(&mut file).map_err(failed)?;
    file.set_len(whole).map_err(failed)?;
    Ok(file)
}

/// Bytes up to and with the last end of a line.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    const STEP: u64 = 64 * 1024;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut piece = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        piece.clear();
        (&mut *file).take(end - start).read_to_end(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The rows as lines: names are the columns', times of receipt are as Python writes them, levels are objects.
fn lines(batch: &Batch) -> String {
    let schema = batch.rows.schema();
    let mut text = String::new();
    for row in 0..batch.rows.num_rows() {
        let fields = schema.fields().iter().zip(batch.rows.columns());
        let object: Map<String, Value> = fields
            .map(|(field, column)| (field.name().clone(), value(column, row)))
            .collect();
        text.push_str(&Value::Object(object).to_string());
        text.push('\n');
    }
    text
}

fn value(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Int32 => json!(column.as_primitive::<Int32Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Timestamp(..) => {
            let time_ms = column.as_primitive::<TimestampMillisecondType>().value(row);
            let time = Timestamp::from_millisecond(time_ms);
            time.map_or(Value::Null, |time| {
                json!(time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string())
            })
        }
        DataType::List(_) => {
            let levels = column.as_list::<i32>().value(row);
            let levels = levels.as_struct();
            let [prices, quantities] =
                [0, 1].map(|side| levels.column(side).as_primitive::<Float64Type>().values());
            let levels = prices.iter().zip(quantities);
            levels
                .map(|(price, quantity)| json!({"price": price, "qty": quantity}))
                .collect()
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use tapemill_market::Market;
    use tapemill_stream::{Level, Snapshot};

    use super::*;
    use crate::rows::{Origin, Rows};

    fn batch() -> Batch {
        let mut rows = Rows::new(vec!["BTCUSDT".to_owned()]);
        let level = Level {
            price: 1.5,
            quantity: 2.0,
        };
        let snapshot = Snapshot {
            last_id: 7,
            event_ms: Some(5),
            bids: vec![level],
            asks: Vec::new(),
        };
        let origin = Origin {
            received_ns: 1_758_536_112_123_456_789,
            ..Origin::default()
        };
        rows.add_snapshot("btcusdt@snapshot", 0, &snapshot, origin);
        rows.take().remove(0)
    }

    fn sink(folder: &Path) -> JsonlSink {
        let session = Session {
            market: Market::Um,
            name: "session".into(),
        };
        JsonlSink::new(&Lake::local(folder), session).unwrap()
    }

    fn only_file(folder: &Path) -> PathBuf {
        let day = fs::read_dir(folder.join("orderbook")).unwrap().next();
        let day = day.unwrap().unwrap().path();
        fs::read_dir(day).unwrap().next().unwrap().unwrap().path()
    }

    #[test]
    fn a_row_is_a_line_with_the_columns_names() {
        let folder = tempfile::tempdir().unwrap();
        sink(folder.path()).store(&batch(), 0).unwrap();

        let text = fs::read_to_string(only_file(folder.path())).unwrap();
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["received_time"], "2025-09-22T10:15:12.123000+00:00");
        assert_eq!(line["bids"], json!([{"price": 1.5, "qty": 2.0}]));
        assert_eq!(line["is_snapshot"], json!(true));
        assert_eq!(line["connection"], Value::Null);
    }

    #[test]
    fn a_line_that_a_crash_cut_is_removed_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        sink(folder.path()).store(&batch(), 0).unwrap();
        let path = only_file(folder.path());
        let whole = fs::read_to_string(&path).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&whole.as_bytes()[..30]).unwrap();

        sink(folder.path()).store(&batch(), 0).unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), whole.repeat(2));
    }

    #[test]
    fn two_collectors_do_not_write_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = sink(folder.path());
        first.store(&batch(), 0).unwrap();
        let refused = sink(folder.path()).store(&batch(), 0).unwrap_err();
        assert!(refused.to_string().contains("another collector writes"));
    }
}

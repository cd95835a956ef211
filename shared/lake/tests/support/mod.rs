//! A small table of minutes to write, as the lake's tests need it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::json;
use tapemill_lake::{Footer, Lake, LakePath, Layout, Source, TableOptions, TablePath, TableWriter};

pub const MINUTE_US: i64 = 60_000_000;
/// 2024-01-01T00:00:00Z
pub const START_US: i64 = 1_704_067_200_000_000;

pub fn schema() -> SchemaRef {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let symbol = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("symbol", symbol, false),
        Field::new("minute", utc, false),
        Field::new("trade_count", DataType::Int64, false),
        Field::new("vwap", DataType::Float64, true),
        Field::new("is_final", DataType::Boolean, true),
        Field::new("note", DataType::Utf8, true),
    ]))
}

/// Minutes `from..to` of January 2024. Every seventh has nulls, the others awkward doubles.
pub fn minutes(from: i64, to: i64) -> RecordBatch {
    let absent = |minute: &i64| minute % 7 == 3;
    let symbols: DictionaryArray<Int32Type> = (from..to).map(|_| "BTCUSDT").collect();
    let times = TimestampMicrosecondArray::from_iter_values(
        (from..to).map(|minute| START_US + minute * MINUTE_US),
    )
    .with_timezone("UTC");
    let counts = Int64Array::from_iter_values((from..to).map(|minute| minute * minute % 977));
    let vwaps: Float64Array = (from..to)
        .map(|minute| match minute {
            _ if absent(&minute) => None,
            5 => Some(-0.0),
            6 => Some(f64::NAN),
            _ => Some(42_000.0 + (minute as f64).sin() / 3.0),
        })
        .collect();
    let finals: BooleanArray = (from..to)
        .map(|minute| (!absent(&minute)).then_some(minute % 2 == 0))
        .collect();
    let notes: StringArray = (from..to)
        .map(|minute| (!absent(&minute)).then(|| "ü".repeat(minute as usize % 4)))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(symbols),
        Arc::new(times),
        Arc::new(counts),
        Arc::new(vwaps),
        Arc::new(finals),
        Arc::new(notes),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

pub fn footer() -> Footer {
    let settings = json!({"whale_quote": "50000", "retail_quote": "1000"});
    Footer {
        settings: settings.as_object().unwrap().clone(),
        sources: vec![Source {
            key: "data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip".into(),
            bytes: 120_231_551,
            sha256: "8ce007a9".repeat(8),
            rows: 10_000_000,
        }],
        quality: json!({"verdict": "ok", "rows": 10_000_000, "duplicates": 0}),
    }
}

pub fn place(period: &str) -> LakePath {
    let table = TablePath::new("aggtrades_1m", "um", "BTCUSDT", period).unwrap();
    table.path(Layout::Plain).unwrap()
}

/// Publishes a small table.
pub fn publish(lake: &Lake, place: &LakePath) {
    let mut writer = TableWriter::create(lake, place, &schema(), &TableOptions::bars(1)).unwrap();
    writer.write(&minutes(0, 100)).unwrap();
    writer.finish(footer()).unwrap().publish().unwrap();
}

/// Every file below a folder, sorted, relative to it.
pub fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                found.push(
                    path.strip_prefix(root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

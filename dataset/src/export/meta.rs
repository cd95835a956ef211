//! What stands beside a CSV: what it holds, and what it was made of.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tapemill_lake::{Lake, LakeError, LakePath, Part, read_lineage};
use tapemill_market::{DateRange, Period};

use super::Exported;
use crate::stored::Stored;

/// The largest file of this kind that is read.
const LARGEST: u64 = 16 << 20;

/// What a file is asked to hold.
pub(super) struct Asked<'a> {
    pub stored: &'a Stored,
    /// The kind of archive, as the exchange names it, and the interval of its bars.
    pub data_type: &'a str,
    pub interval: Option<&'a str>,
    pub range: &'a DateRange,
    /// Columns and their names.
    pub form: &'a str,
}

impl Asked<'_> {
    /// What never changes while the tables are the same: the request and a digest of the tables.
    fn identity(&self) -> Result<Value, LakeError> {
        let mut digest = Sha256::new();
        for (period, path) in self.stored.files(self.range) {
            let content = read_lineage(self.stored.lake(), path)?.content;
            digest.update(format!("{period} {content}\n"));
        }
        let digest = digest.finalize();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(json!({
            "symbol": self.stored.symbol().as_str(),
            "data_type": self.data_type,
            "market": self.stored.market().as_str(),
            "interval": self.interval,
            "requested_start": self.range.first.map(|day| day.to_string()),
            "requested_end": self.range.last.map(|day| day.to_string()),
            "requested_months": self.range.months.as_ref().map(|months| texts(months.iter())),
            "columns": self.form,
            "tables": digest,
        }))
    }
}

fn texts<'a>(periods: impl Iterator<Item = &'a Period>) -> Vec<String> {
    periods.map(ToString::to_string).collect()
}

/// The file beside a CSV.
pub(super) struct Meta {
    identity: Value,
    place: LakePath,
}

impl Meta {
    pub fn of(asked: &Asked<'_>, csv: &str) -> Result<Self, LakeError> {
        Ok(Self {
            identity: asked.identity()?,
            place: LakePath::of(&[&format!("{csv}.meta.json")])?,
        })
    }

    /// What is there already, made of the same tables for the same request.
    pub fn kept(&self, to: &Lake, csv: &LakePath) -> Result<Option<Exported>, LakeError> {
        let is_small = |size: &u64| *size <= LARGEST;
        if to.size(&self.place)?.filter(is_small).is_none() {
            return Ok(None);
        }
        let Ok(Value::Object(meta)) = serde_json::from_slice(&to.read(&self.place)?) else {
            return Ok(None);
        };
        let is_same = |(key, value): (&String, &Value)| meta.get(key) == Some(value);
        let same = self
            .identity
            .as_object()
            .is_some_and(|own| own.iter().all(is_same));
        let bytes = meta.get("bytes").and_then(Value::as_u64);
        if !same || bytes.is_none() || to.size(csv)? != bytes {
            return Ok(None);
        }
        let time = |key: &str| {
            let text = meta.get(key)?.as_str()?;
            Some(text.parse::<jiff::Timestamp>().ok()?.as_microsecond())
        };
        let missing = meta.get("missing").and_then(Value::as_array);
        let missing = missing.into_iter().flatten().filter_map(Value::as_str);
        Ok(Some(Exported {
            file: csv.to_string(),
            symbol: None,
            rows: meta.get("rows").and_then(Value::as_u64).unwrap_or_default(),
            times: time("min_ts").zip(time("max_ts")),
            missing: missing.filter_map(|period| period.parse().ok()).collect(),
            is_kept: true,
        }))
    }

    /// Removes what told of the CSV that is about to be replaced.
    pub fn forget(&self, to: &Lake) -> Result<(), LakeError> {
        to.remove(&self.place).map(|_| ())
    }

    pub fn publish(
        self,
        to: &Lake,
        exported: &Exported,
        bytes: u64,
        failed: &BTreeSet<Period>,
    ) -> Result<(), LakeError> {
        let Self { identity, place } = self;
        let (failed, missing): (Vec<_>, Vec<_>) = exported
            .missing
            .iter()
            .copied()
            .partition(|period| failed.contains(period));
        let months = |periods: &[Period]| {
            let months: BTreeSet<Period> = periods.iter().map(|period| period.month()).collect();
            texts(months.iter())
        };
        let time = |time_us: i64| {
            let time = jiff::Timestamp::from_microsecond(time_us).unwrap_or_default();
            time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
        };
        let mut meta = json!({
            "status": if failed.is_empty() { "ok" } else { "partial" },
            "min_ts": exported.times.map(|(first, _)| time(first)),
            "max_ts": exported.times.map(|(_, last)| time(last)),
            "rows": exported.rows,
            "bytes": bytes,
            "missing_months": months(&missing),
            "failed_months": months(&failed),
            "missing": texts(exported.missing.iter()),
            "created_at_utc": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        if let (Value::Object(meta), Value::Object(identity)) = (&mut meta, identity) {
            meta.extend(identity);
        }
        let mut part = Part::create(to, &place)?;
        part.append(format!("{meta:#}\n").as_bytes())?;
        part.stage()?.publish()?;
        Ok(())
    }
}

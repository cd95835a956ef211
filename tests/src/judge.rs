//! What the slow reference says of a whole output folder.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::{Python, reference_folder};

/// One archive, as the reference reads it; the tables made of it are the same to the bit.
#[derive(Debug)]
pub struct Judged {
    /// The archive's own path.
    pub key: String,
    /// What is unusual in it.
    pub quality: Value,
    /// The digest of each table's rows, by the table's path in the output.
    pub tables: BTreeMap<String, String>,
}

impl Judged {
    /// A count of the quality.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let count = self.quality[name].as_u64();
        count.unwrap_or_else(|| panic!("{name} of {} is no count", self.key))
    }
}

/// Compares every table with the reference and fails on any difference, a table too many included.
///
/// `options` are those of `check.py`: the market of archives outside the exchange's paths, archives to leave out.
#[track_caller]
pub fn judge(archives: &Path, output: &Path, options: &[&str]) -> Vec<Judged> {
    let script = reference_folder().join("check.py");
    let mut arguments = vec![text(&script), text(archives), text(output)];
    arguments.extend(options);
    let told = Python::new().run(&arguments);
    let judged: Vec<_> = told.lines().map(judged).collect();
    assert!(!judged.is_empty(), "no archive was judged");
    judged
}

/// The digests of all tables, by their paths.
pub fn contents(judged: &[Judged]) -> BTreeMap<String, String> {
    let tables = judged.iter().flat_map(|archive| archive.tables.clone());
    tables.collect()
}

fn judged(line: &str) -> Judged {
    let mut line: Value = serde_json::from_str(line).expect("check.py prints JSON");
    let tables = serde_json::from_value(line["tables"].take()).expect("digests by path");
    Judged {
        key: line["key"].as_str().expect("a key").to_owned(),
        quality: line["quality"].take(),
        tables,
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

//! What the libraries that people use see of an output folder.

use std::path::Path;

use serde_json::Value;

use crate::{Python, reference_folder};

/// What `readers.py` read, by dataset; fails where a library sees something else than the contract says.
#[track_caller]
pub fn read_everything(output: &Path) -> Vec<Value> {
    let script = reference_folder().join("readers.py");
    let arguments = [&script, output].map(|path: &Path| path.to_str().expect("a plain path"));
    let told = Python::new().run(&arguments);
    let line = |line: &str| serde_json::from_str(line).expect("readers.py prints JSON");
    told.lines().map(line).collect()
}

//! What lies in an output folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The SHA-256 of every published table, by its path in the output. The catalogue is none: it also tells of tasks.
pub fn hashes(output: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(output, &mut |path| {
        if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            let name = path
                .strip_prefix(output)
                .expect("below the output")
                .display()
                .to_string();
            if name.starts_with("_catalogue/") {
                return;
            }
            let digest = Sha256::digest(fs::read(path).expect("a published file can be read"));
            found.insert(
                name,
                digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            );
        }
    });
    found
}

/// Unfinished files that lie about.
pub fn parts(output: &Path) -> Vec<String> {
    let mut found = Vec::new();
    walk(output, &mut |path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".part") {
            found.push(name);
        }
    });
    found
}

fn walk(folder: &Path, file: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, file);
        } else {
            file(&path);
        }
    }
}

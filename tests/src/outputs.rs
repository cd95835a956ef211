//! What lies in an output folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::S3;

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
            found.insert(
                name,
                sha256(&fs::read(path).expect("a published file can be read")),
            );
        }
    });
    found
}

/// As [`hashes`], of an output in a bucket: every object below `prefix` that is a table, by its key without the prefix.
pub fn object_hashes(store: &S3, prefix: &str) -> BTreeMap<String, String> {
    let folder = format!("{}/", prefix.trim_end_matches('/'));
    let tables = store.keys(&folder).into_iter();
    tables
        .filter(|key| key.ends_with(".parquet") && !key[folder.len()..].starts_with("_catalogue/"))
        .map(|key| {
            let object = store.get(&key).expect("a listed object is there");
            (key[folder.len()..].to_owned(), sha256(&object))
        })
        .collect()
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

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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

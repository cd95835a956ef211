//! Data that lies beside the project, where the machine has it.

use std::path::PathBuf;

/// The folder of real archive files; `None`, said aloud, where there is none.
///
/// # Panics
///
/// With `CI` set the files must be there.
pub fn real_data() -> Option<PathBuf> {
    shared_data("real")
}

/// A folder of data beside the project; `None`, said aloud, where there is none.
///
/// # Panics
///
/// With `CI` set it must be there.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = beside.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "files beside the project are missing: {}",
        folder.display()
    );
    eprintln!("skipped: nothing at {}", folder.display());
    None
}

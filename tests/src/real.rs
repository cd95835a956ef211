//! Real archive files, where the machine has them.

use std::path::PathBuf;

/// The folder of real files beside the project; `None`, said aloud, where there is none.
///
/// # Panics
///
/// With `CI` set the files must be there.
pub fn real_data() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/real");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "the real files are missing: {}",
        folder.display()
    );
    eprintln!("skipped: no real files at {}", folder.display());
    None
}

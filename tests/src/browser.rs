//! A real browser, driven by a script of Node.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `tests/browser/SCRIPT` with these arguments; fails with all it said when it fails.
///
/// # Panics
///
/// When Node, Chromium or playwright-core is not there: `scripts/test` installs them.
#[track_caller]
pub fn browse(script: &str, arguments: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        folder.join("node_modules/playwright-core").is_dir(),
        "playwright-core is not there: run `npm ci --prefix tests/browser`, as scripts/test does"
    );
    let said = Command::new("node")
        .arg(folder.join(script))
        .args(arguments)
        .env("TEST_CHROMIUM", chromium())
        .output()
        .expect("node is there: install Debian's nodejs");
    assert!(
        said.status.success(),
        "{script} {}\n{}\n{}",
        said.status,
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
}

/// `TEST_CHROMIUM`, else the machine's own.
fn chromium() -> PathBuf {
    if let Some(named) = std::env::var_os("TEST_CHROMIUM") {
        return named.into();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let places = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| places.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    found.expect("Chromium is there: install Debian's chromium, or name it in TEST_CHROMIUM")
}

//! Independent readers: the slow reference, and the libraries people use.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The Python with polars, DuckDB, pandas and pyarrow that the test command installs.
pub struct Python(PathBuf);

impl Python {
    /// `TEST_PYTHON`, else the environment that `scripts/test` makes, else the machine's own.
    pub fn new() -> Self {
        Self::named("TEST_PYTHON", ".venv")
    }

    /// That of the environment in `folder` of the workspace, unless a variable names another; else the machine's own.
    pub fn named(variable: &str, folder: &str) -> Self {
        if let Some(named) = std::env::var_os(variable) {
            return Self(named.into());
        }
        let made = workspace().join(folder).join("bin/python");
        Self(if made.exists() {
            made
        } else {
            "python3".into()
        })
    }

    /// One that has Qlib as well: `TEST_QLIB_PYTHON`, else the environment that `scripts/test` makes.
    pub fn with_qlib() -> Self {
        let named = std::env::var_os("TEST_QLIB_PYTHON").map(PathBuf::from);
        Self(named.unwrap_or_else(|| workspace().join(".venv-qlib/bin/python")))
    }

    /// One that has hftbacktest: `TEST_HFTBACKTEST_PYTHON`, else the environment that `scripts/test` makes.
    pub fn with_hftbacktest() -> Self {
        let named = std::env::var_os("TEST_HFTBACKTEST_PYTHON").map(PathBuf::from);
        Self(named.unwrap_or_else(|| workspace().join(".venv-hftbacktest/bin/python")))
    }

    /// One that has PyTorch and nothing else: `TEST_TORCH_PYTHON`, else the machine's own, as Debian has it.
    pub fn with_torch() -> Self {
        let named = std::env::var_os("TEST_TORCH_PYTHON");
        Self(named.unwrap_or_else(|| "/usr/bin/python3".into()).into())
    }

    /// A program that was installed with it.
    pub fn program(&self, name: &str) -> PathBuf {
        self.0.with_file_name(name)
    }

    /// Runs a script to its end, whatever that is.
    #[track_caller]
    pub fn output(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.0);
        command.args(arguments).output().expect("python starts")
    }

    /// Runs a script and returns what it printed; fails with all it said when it fails.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "{} {arguments:?} failed; scripts/test installs what the tests need\n{stdout}\n{stderr}",
            self.0.display()
        );
        stdout.into_owned()
    }
}

impl Default for Python {
    fn default() -> Self {
        Self::new()
    }
}

/// Where `reference.py` and `compare.py` lie.
pub fn reference_folder() -> PathBuf {
    workspace().join("tests/reference")
}

/// Rows whose results were worked out by hand.
pub fn golden_folder() -> PathBuf {
    reference_folder().join("golden")
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the workspace")
}

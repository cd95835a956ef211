//! The commands of the binary.

use std::ffi::OsString;

use pyo3::prelude::*;

pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add_function(wrap_pyfunction!(call, module)?)
}

/// Runs the command line as the binary does, and returns its exit code.
#[pyfunction]
fn main(py: Python<'_>, args: Vec<OsString>) -> i32 {
    py.detach(|| i32::from(tapemill::status(args)))
}

/// Runs a command line and returns `(exit code, what it printed, why it failed or None)`; Ctrl-C drains it.
#[pyfunction]
fn call(py: Python<'_>, args: Vec<OsString>) -> (u8, String, Option<String>) {
    let interrupted = || Python::attach(|py| py.check_signals().is_err());
    let outcome = py.detach(|| tapemill::call(args, interrupted));
    (outcome.code, outcome.data, outcome.error)
}

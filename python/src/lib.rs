//! The compiled part of the Python package: tables as Arrow, commands as calls. The rest is Python, in `package/`.
//!
//! Nothing here holds Python's lock while it reads, computes or waits.

mod commands;
mod errors;
mod output;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    errors::add(module)?;
    commands::add(module)?;
    output::add(module)
}

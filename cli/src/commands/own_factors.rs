//! The file of `--factors`.

use std::path::Path;
use std::sync::Arc;

use tapemill_dataset::export::OwnFactors;

use crate::failure::Failure;

/// Reads the file, where one was named, and checks it: before anything else is read or written.
#[cfg(feature = "sql")]
pub fn read(
    file: Option<&Path>,
    beside_built_in: bool,
) -> Result<Option<Arc<dyn OwnFactors>>, Failure> {
    let Some(path) = file else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    let name = path.display().to_string();
    let expressions = tapemill_sql::Expressions::check(&name, &text, beside_built_in);
    let expressions = expressions.map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Some(Arc::new(expressions)))
}

/// Without the engine none can be read.
#[cfg(not(feature = "sql"))]
pub fn read(
    file: Option<&Path>,
    _beside_built_in: bool,
) -> Result<Option<Arc<dyn OwnFactors>>, Failure> {
    match file {
        None => Ok(None),
        Some(path) => Err(Failure::usage(format!(
            "cannot read {}: this tapemill was built without SQL; cargo install --path cli --features sql builds one with it",
            path.display()
        ))),
    }
}

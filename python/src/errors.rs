//! The package's exceptions.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use tapemill_lake::LakeError;
use tapemill_market::NameError;

create_exception!(
    tapemill,
    TapemillError,
    PyException,
    "What all errors of the package are."
);
create_exception!(
    tapemill,
    ValidationError,
    TapemillError,
    "An argument that cannot be."
);
create_exception!(
    tapemill,
    CacheError,
    TapemillError,
    "A stored table that cannot be read or written; it is named."
);
create_exception!(
    tapemill,
    RequestError,
    TapemillError,
    "The archive or the exchange did not answer, or not with what was asked for."
);
create_exception!(tapemill, ApiError, RequestError, "The exchange refused.");

pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("TapemillError", py.get_type::<TapemillError>())?;
    module.add("ValidationError", py.get_type::<ValidationError>())?;
    module.add("CacheError", py.get_type::<CacheError>())?;
    module.add("RequestError", py.get_type::<RequestError>())?;
    module.add("ApiError", py.get_type::<ApiError>())
}

/// Of an argument.
#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
pub fn invalid(error: NameError) -> PyErr {
    ValidationError::new_err(error.to_string())
}

/// Of the output.
pub fn cache(error: LakeError) -> PyErr {
    match error {
        LakeError::Name { .. } | LakeError::Address { .. } => {
            ValidationError::new_err(error.to_string())
        }
        error => CacheError::new_err(error.to_string()),
    }
}

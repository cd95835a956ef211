//! A fence around the Parquet reader.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use crate::error::{LakeError, Result};

thread_local! {
    /// Whether a panic of this thread becomes an error, and so needs no report of its own.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a step of the Parquet reader and makes its panics errors: it asserts where a damaged page should be refused
/// (a bit width above that of the type, for one). What the step worked on must not be used after an error.
pub(crate) fn guarded<T>(path: &Path, step: impl FnOnce() -> Result<T>) -> Result<T> {
    keep_quiet();
    let was_guarded = IS_GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(step));
    IS_GUARDED.set(was_guarded);
    outcome.unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("the reader gave up");
        Err(LakeError::damaged(path, &message))
    })
}

/// Puts a filter before the process's panic hook, once: an error is one line, not a backtrace beside it.
fn keep_quiet() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                report(panic);
            }
        }));
    });
}

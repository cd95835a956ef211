//! Calls that wait for the output, off the threads that must not wait.

use tapemill_lake::LakeError;

use crate::error::PlanError;

/// Makes calls to the output where blocking is allowed.
pub(crate) async fn on_a_thread<T: Send + 'static>(
    calls: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, PlanError> {
    match tokio::task::spawn_blocking(calls).await {
        Ok(done) => Ok(done?),
        Err(failed) => Err(PlanError::Thread(failed.to_string())),
    }
}

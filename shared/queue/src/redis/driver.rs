//! The thread that connections are driven on.

use std::sync::Mutex;

use redis::RedisResult;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread connections are driven on.
pub(super) struct Driver {
    pub(super) handle: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl Driver {
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("queue-redis".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self {
            handle,
            stop: Mutex::new(Some(stop)),
        })
    }

    /// Runs something on the thread, and waits for it.
    pub(super) async fn drive<T: Send + 'static>(
        &self,
        work: impl Future<Output = RedisResult<T>> + Send + 'static,
    ) -> RedisResult<T> {
        let ended = self.handle.spawn(work).await;
        ended.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Ok(mut stop) = self.stop.lock() {
            stop.take();
        }
    }
}

//! The threads that talk to the store. Callers wait on a channel, so that any thread may call, one of a runtime included.

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Requests wait for the network most of the time; hashing and encrypting their bodies takes a thread.
const THREADS: usize = 2;

#[derive(Debug)]
pub(super) struct Driver {
    /// `None` once dropped.
    runtime: Option<Runtime>,
}

impl Driver {
    pub fn start() -> io::Result<Driver> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("tapemill-s3")
            .enable_all()
            .build()?;
        Ok(Driver {
            runtime: Some(runtime),
        })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is taken by drop only")
    }

    /// Begins a piece of work, which goes on whether its end is awaited or not.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Begun<T> {
        let (sender, receiver) = sync_channel(1);
        self.runtime().spawn(async move {
            // Nobody may be waiting any more.
            let _ = sender.send(work.await);
        });
        Begun(receiver)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The last owner may be a thread of a runtime, where waiting for an end is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work under way.
#[derive(Debug)]
pub(super) struct Begun<T>(Receiver<T>);

impl<T> Begun<T> {
    /// Waits for its end.
    pub fn wait(self) -> T {
        self.0
            .recv()
            .expect("requests end with an answer and do not panic")
    }

    /// Waits for its end, but not for long.
    pub fn wait_at_most(self, longest: Duration) -> Option<T> {
        self.0.recv_timeout(longest).ok()
    }
}

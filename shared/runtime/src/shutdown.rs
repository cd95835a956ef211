//! Ending a process: the first signal drains, the second leaves.

use std::fmt;
use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Result, RuntimeError};
use crate::exit;

/// Who asked the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: a person at the terminal.
    Interrupt,
    /// SIGTERM: a service manager or an orchestrator.
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        })
    }
}

/// The wish to end, shared by all parts of a process. Clones are the same wish.
#[derive(Clone)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

type Leave = Box<dyn FnOnce(Signal) + Send>;

struct Inner {
    draining: CancellationToken,
    first: OnceLock<Signal>,
    /// Taken by the second signal.
    leave: Mutex<Option<Leave>>,
}

impl Shutdown {
    /// Listens for SIGINT and SIGTERM. The second one ends the process at once, with [`exit::INTERRUPTED`].
    ///
    /// # Errors
    ///
    /// [`RuntimeError::System`] when the handlers cannot be set.
    pub fn install() -> Result<Shutdown> {
        Shutdown::install_with(|_| process::exit(i32::from(exit::INTERRUPTED)))
    }

    /// Listens for SIGINT and SIGTERM. The second one calls `leave` instead of ending the process.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::System`] when the handlers cannot be set.
    pub fn install_with(leave: impl FnOnce(Signal) + Send + 'static) -> Result<Shutdown> {
        let shutdown = Shutdown::manual_with(leave);
        // A thread of its own: however busy the process is, it can be told to leave.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|source| system("start the signal listener", source))?;
        let (mut interrupts, mut terminations) = {
            let _entered = runtime.enter();
            let listen = |kind| signal(kind).map_err(|source| system("listen for signals", source));
            (
                listen(SignalKind::interrupt())?,
                listen(SignalKind::terminate())?,
            )
        };
        let listener = shutdown.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    loop {
                        tokio::select! {
                            Some(()) = interrupts.recv() => listener.signal(Signal::Interrupt),
                            Some(()) = terminations.recv() => listener.signal(Signal::Terminate),
                            else => return,
                        }
                    }
                });
            })
            .map_err(|source| system("start the signal listener", source))?;
        Ok(shutdown)
    }

    /// Listens for nothing: signals come by [`Shutdown::signal`], and the second has no effect. For tests and for
    /// programs with signal handlers of their own.
    pub fn manual() -> Shutdown {
        Shutdown::manual_with(|_| ())
    }

    /// As [`Shutdown::manual`]; the second signal calls `leave`.
    pub fn manual_with(leave: impl FnOnce(Signal) + Send + 'static) -> Shutdown {
        Shutdown {
            inner: Arc::new(Inner {
                draining: CancellationToken::new(),
                first: OnceLock::new(),
                leave: Mutex::new(Some(Box::new(leave))),
            }),
        }
    }

    /// Takes a signal: the first drains, the second leaves, later ones do nothing.
    pub fn signal(&self, signal: Signal) {
        if self.inner.first.set(signal).is_ok() {
            self.inner.draining.cancel();
            return;
        }
        let leave = self
            .inner
            .leave
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(leave) = leave {
            leave(signal);
        }
    }

    /// Cancelled from the first signal on: claim nothing more, finish within the grace, release the rest.
    pub fn draining(&self) -> &CancellationToken {
        &self.inner.draining
    }

    /// The first signal, once it came.
    pub fn reason(&self) -> Option<Signal> {
        self.inner.first.get().copied()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("reason", &self.reason())
            .finish_non_exhaustive()
    }
}

fn system(doing: &'static str, source: std::io::Error) -> RuntimeError {
    RuntimeError::System { doing, source }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_first_signal_drains_and_the_second_leaves_once() {
        let (left, leaves) = mpsc::channel();
        let shutdown = Shutdown::manual_with(move |signal| left.send(signal).unwrap());
        let part = shutdown.clone();
        assert!(!part.draining().is_cancelled());
        assert_eq!(part.reason(), None);

        shutdown.signal(Signal::Terminate);
        assert!(part.draining().is_cancelled());
        assert!(leaves.try_recv().is_err());
        shutdown.signal(Signal::Interrupt);
        shutdown.signal(Signal::Interrupt);

        assert_eq!(part.reason(), Some(Signal::Terminate));
        assert_eq!(leaves.iter().collect::<Vec<_>>(), [Signal::Interrupt]);
    }
}

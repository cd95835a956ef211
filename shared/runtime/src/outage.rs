//! Something outside does not answer: told once when it begins and once when it ends, however many loops meet it.

use std::error::Error;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Waits between tries: half a second, doubling, ten seconds at most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a process depends on, such as its queue. Clones are the same thing.
#[derive(Debug, Clone)]
pub struct Outages {
    what: &'static str,
    over: &'static str,
    failing: Arc<Mutex<Failing>>,
}

#[derive(Debug, Default)]
struct Failing {
    /// Callers whose last try failed.
    callers: usize,
    /// What the latest of them met.
    why: String,
}

impl Outages {
    /// Of `what`, and what is said when it is over: `("the queue", "answers again")`.
    pub fn of(what: &'static str, over: &'static str) -> Self {
        Self {
            what,
            over,
            failing: Arc::default(),
        }
    }

    /// For one caller, which tries one thing after the other.
    pub fn caller(&self) -> Outage {
        Outage {
            all: self.clone(),
            failing: false,
            wait: FIRST_WAIT,
            longest: LONGEST_WAIT,
        }
    }

    /// Whether an outage lasts for nobody.
    ///
    /// # Errors
    ///
    /// What the latest failed try met.
    pub fn none_lasts(&self) -> Result<(), String> {
        let failing = self.failing();
        match failing.callers {
            0 => Ok(()),
            _ => Err(failing.why.clone()),
        }
    }

    fn failing(&self) -> MutexGuard<'_, Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller's view of an outage. Dropped while its tries fail, it is no longer waited for.
#[derive(Debug)]
pub struct Outage {
    all: Outages,
    failing: bool,
    wait: Duration,
    longest: Duration,
}

impl Outage {
    /// Waits at most this long between tries.
    #[must_use]
    pub fn waiting_at_most(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// A try failed: tells it, unless this outage is known, and says how long to wait before the next.
    pub fn failed(&mut self, error: &dyn Error) -> Duration {
        let what = self.all.what;
        let known = std::mem::replace(&mut self.failing, true);
        let begins = {
            let mut failing = self.all.failing();
            failing.why = one_line(error);
            failing.callers += usize::from(!known);
            !known && failing.callers == 1
        };
        if begins {
            tracing::warn!(error = one_line(error), "{what} fails, trying again");
        }
        tracing::debug!(error = one_line(error), "{what} still fails");
        let wait = self.wait.min(self.longest);
        self.wait = (wait * 2).min(self.longest);
        wait
    }

    /// A try succeeded: tells the end of the outage when nobody's tries fail any more.
    pub fn answered(&mut self) {
        self.wait = FIRST_WAIT;
        if !std::mem::replace(&mut self.failing, false) {
            return;
        }
        if self.leave() == 0 {
            tracing::info!("{} {}", self.all.what, self.all.over);
        }
    }

    /// How many callers still fail, without this one.
    fn leave(&self) -> usize {
        let mut failing = self.all.failing();
        failing.callers = failing.callers.saturating_sub(1);
        failing.callers
    }

    /// Whether the last try failed.
    pub fn lasts(&self) -> bool {
        self.failing
    }

    /// Repeats a call until it succeeds, fails for a reason that waiting does not heal, or `stop` comes: then the last
    /// failure is the answer.
    ///
    /// # Errors
    ///
    /// What the last call met.
    pub async fn outlast<T, E, F>(
        &mut self,
        stop: impl Future<Output = ()>,
        heals: impl Fn(&E) -> bool,
        mut call: impl FnMut() -> F,
    ) -> Result<T, E>
    where
        E: Error,
        F: Future<Output = Result<T, E>>,
    {
        let mut stop = pin!(stop);
        loop {
            let error = match call().await {
                Err(error) if heals(&error) => error,
                result => {
                    self.answered();
                    return result;
                }
            };
            let wait = self.failed(&error);
            tokio::select! {
                biased;
                () = &mut stop => return Err(error),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        if self.failing {
            self.leave();
        }
    }
}

/// An error and its causes in one line; causes that the message names already are left out.
pub fn one_line(error: &dyn Error) -> String {
    let mut line = error.to_string().replace('\n', " ");
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string().replace('\n', " ");
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing::subscriber::with_default;

    use super::*;
    use crate::telemetry::{LogFormat, LogSink, Telemetry};

    fn logged(program: impl FnOnce()) -> Vec<String> {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let into = taken.clone();
        let telemetry = Telemetry {
            format: LogFormat::Json,
            sink: LogSink::new(move |line| {
                let line: serde_json::Value = serde_json::from_slice(line).unwrap();
                into.lock().unwrap().push(format!(
                    "{}: {}",
                    line["message"].as_str().unwrap(),
                    line["error"].as_str().unwrap_or_default()
                ));
            }),
            ..Telemetry::default()
        };
        with_default(telemetry.subscriber(), program);
        taken.lock().unwrap().clone()
    }

    fn refused() -> io::Error {
        io::Error::other("refused")
    }

    #[test]
    fn an_outage_met_by_several_loops_is_told_once_and_its_end_once() {
        let lines = logged(|| {
            let queue = Outages::of("the queue", "answers again");
            let (mut claims, mut beats) = (queue.caller(), queue.caller());
            claims.failed(&refused());
            beats.failed(&refused());
            claims.failed(&refused());
            claims.answered();
            assert!(beats.lasts() && !claims.lasts());
            assert_eq!(queue.none_lasts(), Err("refused".to_owned()));
            beats.answered();
            assert_eq!(queue.none_lasts(), Ok(()));
            beats.answered();
            claims.failed(&refused());
        });

        assert_eq!(
            lines,
            [
                "the queue fails, trying again: refused",
                "the queue answers again: ",
                "the queue fails, trying again: refused"
            ]
        );
    }

    #[test]
    fn a_caller_that_went_away_is_not_waited_for() {
        let lines = logged(|| {
            let queue = Outages::of("the queue", "answers again");
            let mut claims = queue.caller();
            let mut gone = queue.caller();
            claims.failed(&refused());
            gone.failed(&refused());
            drop(gone);
            claims.answered();
        });

        assert_eq!(lines.len(), 2, "{lines:?}");
    }

    #[test]
    fn waits_double_up_to_their_bound_and_begin_again_after_an_answer() {
        let mut caller = Outages::of("it", "works again").caller();

        let waits: Vec<u128> = (0..7)
            .map(|_| caller.failed(&refused()).as_millis())
            .collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        caller.answered();

        assert_eq!(caller.failed(&refused()), FIRST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_repeated_until_it_succeeds_and_no_longer_than_it_may() {
        let never = std::future::pending;
        let mut caller = Outages::of("it", "works again").caller();
        let mut left = 20;
        let healed = caller
            .outlast(
                never(),
                |_| true,
                || {
                    left -= 1;
                    let result = if left > 0 { Err(refused()) } else { Ok(left) };
                    async move { result }
                },
            )
            .await;
        assert_eq!(healed.unwrap(), 0);

        let final_one = caller
            .outlast(
                never(),
                |_: &io::Error| false,
                || async { Err::<(), _>(refused()) },
            )
            .await;
        assert!(final_one.is_err());
        let stopped = caller
            .outlast(
                tokio::time::sleep(Duration::from_secs(3)),
                |_: &io::Error| true,
                || async { Err::<(), _>(refused()) },
            )
            .await;
        assert!(stopped.is_err());
    }
}

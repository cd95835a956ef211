//! The one place where "slow down" is kept: every request of the process waits here.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::ArchiveError;

/// The longest a server may hold us with one answer.
pub const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// The hold for a refusal that names no time; doubles while refusals keep coming.
const FIRST_HOLD: Duration = Duration::from_secs(1);

/// Refusals further apart than this begin with [`FIRST_HOLD`] again.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// Holds all requests of a process after a server asked for fewer.
#[derive(Debug, Default)]
pub struct Brake {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    /// Refusals in a row that named no time, without a request served between them.
    unnamed: u32,
    /// Whether a request was served since the last refusal.
    served: bool,
    untold: bool,
}

impl State {
    /// Whether the hold became longer.
    fn extend(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait.min(LONGEST_HOLD);
        let longer = !wait.is_zero() && self.until.is_none_or(|held| held < until);
        if longer {
            self.until = Some(until);
        }
        longer
    }
}

impl Brake {
    /// A brake that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds for at least `wait` from now (at most [`LONGEST_HOLD`]), and has it told: see
    /// [`Brake::take_news`]. Never shortens a hold.
    pub fn hold(&self, wait: Duration) {
        let mut state = self.state();
        if state.extend(wait) {
            state.untold = true;
            self.news.notify_one();
        }
    }

    /// Holds like [`Brake::hold`] for a wait that came from elsewhere and so is no news there.
    pub fn obey(&self, wait: Duration) {
        self.state().extend(wait);
    }

    /// Holds after a refusal; without a named wait for a time that grows with each refusal, counted
    /// once for all that were under way. Gives the wait.
    pub fn refused(&self, named: Option<Duration>) -> Duration {
        let wait = match named {
            Some(wait) => wait.min(LONGEST_HOLD),
            None => self.unnamed_wait(),
        };
        self.hold(wait);
        wait
    }

    /// A request was served: the next refusal is the first of its kind again.
    pub fn eased(&self) {
        self.state().served = true;
    }

    fn unnamed_wait(&self) -> Duration {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(left) = state
            .until
            .and_then(|until| until.checked_duration_since(now))
            && !left.is_zero()
        {
            return left;
        }
        let recent = !state.served && state.until.is_some_and(|until| now - until < FORGET_AFTER);
        state.served = false;
        state.unnamed = if recent { state.unnamed + 1 } else { 0 };
        FIRST_HOLD
            .saturating_mul(1 << state.unnamed.min(16))
            .min(LONGEST_HOLD)
    }

    /// How long requests are still held; zero when free.
    pub fn remaining(&self) -> Duration {
        self.state().until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// Returns when requests are free.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Cancelled`] when the token fires first.
    pub async fn wait(&self, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ArchiveError::Cancelled),
            () = self.free() => Ok(()),
        }
    }

    /// Returns when requests are free.
    pub async fn free(&self) {
        // A hold may have grown while we slept.
        while !self.remaining().is_zero() {
            let until = self.state().until;
            if let Some(until) = until {
                sleep_until(until).await;
            }
        }
    }

    /// What is left of a hold that nobody was told of yet, once. For whoever tells the queue.
    pub fn take_news(&self) -> Option<Duration> {
        let untold = std::mem::take(&mut self.state().untold);
        let left = self.remaining();
        (untold && !left.is_zero()).then_some(left)
    }

    /// Waits for the next hold to tell. For one listener.
    pub async fn news(&self) -> Duration {
        loop {
            if let Some(left) = self.take_news() {
                return left;
            }
            self.news.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_never_shrinks_and_never_exceeds_an_hour() {
        let brake = Brake::new();

        brake.hold(seconds(60));
        brake.hold(seconds(1));
        assert_eq!(brake.remaining(), seconds(60));

        brake.hold(seconds(1_000_000));
        assert_eq!(brake.remaining(), LONGEST_HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_stays_when_the_hold_grows() {
        let brake = Arc::new(Brake::new());
        brake.hold(seconds(5));
        let waiter = tokio::spawn({
            let brake = brake.clone();
            async move {
                brake.wait(&CancellationToken::new()).await.unwrap();
                Instant::now()
            }
        });
        let start = Instant::now();
        tokio::task::yield_now().await;

        brake.hold(seconds(30));

        assert_eq!(waiter.await.unwrap().duration_since(start).as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_token() {
        let brake = Brake::new();
        brake.hold(seconds(60));
        let cancel = CancellationToken::new();
        cancel.cancel();

        let waited = brake.wait(&cancel).await;

        assert!(matches!(waited, Err(ArchiveError::Cancelled)), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_one_burst_count_once_and_later_ones_grow() {
        let brake = Brake::new();

        assert_eq!(brake.refused(None), seconds(1));
        assert_eq!(brake.refused(None), seconds(1));
        tokio::time::advance(seconds(2)).await;
        assert_eq!(brake.refused(None), seconds(2));
        tokio::time::advance(seconds(3)).await;
        brake.eased();
        assert_eq!(brake.refused(None), seconds(1));
        tokio::time::advance(seconds(1) + FORGET_AFTER).await;

        assert_eq!(brake.refused(None), seconds(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_told_once_and_an_obeyed_one_never() {
        let brake = Brake::new();

        brake.hold(seconds(60));
        assert_eq!(brake.take_news(), Some(seconds(60)));
        assert_eq!(brake.take_news(), None);

        brake.obey(seconds(600));
        assert_eq!(brake.take_news(), None);
        assert_eq!(brake.remaining(), seconds(600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_hears_of_a_hold() {
        let brake = Arc::new(Brake::new());
        let listener = tokio::spawn({
            let brake = brake.clone();
            async move { brake.news().await }
        });
        tokio::task::yield_now().await;

        brake.refused(Some(seconds(7)));

        assert_eq!(listener.await.unwrap(), seconds(7));
    }
}

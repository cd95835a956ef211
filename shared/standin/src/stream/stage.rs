//! What tasks of the stand-in share: the tapes, the player, and what wakes the pump.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::cast::Cast;
use super::desk::Desk;
use super::log::Counts;
use super::options::StreamOptions;
use super::player::{Next, Player};
use super::reel::Reel;
use super::tape::Tape;
use crate::StandinError;

/// See the module.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(super) reel: Arc<Reel>,
    pub(super) casts: Arc<Vec<Cast>>,
    player: Mutex<Player>,
    pub(super) desk: Mutex<Desk>,
    /// Told when there may be more to play.
    pub(super) pump: Notify,
}

impl Stage {
    pub(super) fn new(tapes: Vec<Tape>, options: StreamOptions) -> Result<Self, StandinError> {
        let mut reel = Reel::new(tapes)?;
        if options.laps > 1 {
            reel.make_loop();
        }
        let casts = match options.symbols {
            Some(count) => Cast::others(&reel, count)?,
            None => Cast::own(&reel)?,
        };
        let (reel, casts) = (Arc::new(reel), Arc::new(casts));
        Ok(Self {
            player: Mutex::new(Player::new(Arc::clone(&reel), Arc::clone(&casts), options)),
            desk: Mutex::default(),
            reel,
            casts,
            pump: Notify::new(),
        })
    }

    pub(super) fn player(&self) -> MutexGuard<'_, Player> {
        self.player.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sums over the log.
    pub(super) fn counts(&self) -> Counts {
        let player = self.player();
        Counts {
            connections: player.connections.len() as u32,
            ..player.log.counts
        }
    }

    /// Plays for ever.
    pub(super) async fn play(&self) {
        loop {
            let next = self.player().play();
            match next {
                Next::Now => tokio::task::yield_now().await,
                Next::Told => self.pump.notified().await,
                Next::At(at) => {
                    let _ = tokio::time::timeout_at(at.into(), self.pump.notified()).await;
                }
            }
        }
    }
}

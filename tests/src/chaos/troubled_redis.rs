//! The Redis of a run, and whether it can be asked just now.

use crate::{Aof, Keep, Redis, RedisOptions};

/// A Redis with an append-only file that is written once a second.
pub(super) struct TroubledRedis {
    pub server: Redis,
    is_up: bool,
    restarts: u32,
}

impl TroubledRedis {
    pub fn start() -> Self {
        Self {
            server: Redis::with(RedisOptions::new().aof(Aof::EverySecond)),
            is_up: true,
            restarts: 0,
        }
    }

    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// How often it was killed and started again.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    pub fn kill(&mut self) {
        self.is_up = false;
        self.server.kill9();
    }

    pub fn restart(&mut self, keep: Keep) {
        self.server.restart(keep);
        self.is_up = true;
        self.restarts += 1;
    }

    pub fn stop(&mut self) {
        self.is_up = false;
        self.server.stop();
    }

    pub fn cont(&mut self) {
        self.server.cont();
        self.is_up = true;
    }

    /// Asks it; what it says does not matter.
    pub fn cli(&self, words: &[&str]) {
        let _ = self.server.try_cli(words);
    }
}

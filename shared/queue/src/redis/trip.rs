//! Running one script on the keys of one queue.

use std::sync::Arc;

use redis::{Cmd, RedisResult, Value};

use super::keys::Keys;
use super::link::Link;
use super::script::Script;
use crate::Clock;

/// What a script needs to be run.
#[derive(Clone)]
pub(super) struct Trip {
    pub(super) link: Arc<Link>,
    pub(super) keys: Keys,
    pub(super) clock: Option<Arc<dyn Clock>>,
}

impl Trip {
    /// Runs a script; its first argument is the time, or nothing for the server's.
    pub(super) async fn run(
        &self,
        script: &Script,
        arguments: &(dyn Fn(&mut Cmd) + Send + Sync),
    ) -> RedisResult<Value> {
        let now = self.clock.as_ref().map(|clock| clock.now_ms().to_string());
        let now = now.unwrap_or_default();
        let all = |command: &mut Cmd| {
            command.arg(&now);
            arguments(command);
        };
        self.link.run(script, &self.keys, &all).await
    }
}

//! Redis under the watch of Sentinel.

use crate::{Aof, Redis, RedisOptions, until};

/// A primary, its replica, and three sentinels that let the replica take over. Dropping it kills all.
#[derive(Debug)]
pub struct RedisSentinel {
    sentinels: Vec<Redis>,
    nodes: [Redis; 2],
}

impl RedisSentinel {
    /// The primary's name among the sentinels.
    pub const NAME: &'static str = "tapemill";

    /// Starts all; a fail-over is possible when this returns.
    ///
    /// # Panics
    ///
    /// When one cannot be started.
    #[track_caller]
    pub fn start() -> Self {
        let options = RedisOptions::new().aof(Aof::EverySecond);
        let primary = Redis::with(options.clone());
        let replica = Redis::with(options.replica_of(&primary));
        let (name, port) = (Self::NAME, primary.port());
        let config = format!(
            "sentinel monitor {name} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {name} 1000\n\
             sentinel failover-timeout {name} 10000\n"
        );
        let sentinel = || Redis::with(RedisOptions::new().config(&config).args(["--sentinel"]));
        let all = Self {
            sentinels: (0..3).map(|_| sentinel()).collect(),
            nodes: [primary, replica],
        };
        all.until_agreed();
        all
    }

    /// The sentinels, which clients ask for the primary.
    pub fn sentinels(&self) -> &[Redis] {
        &self.sentinels
    }

    /// Both servers, the primary of the beginning first.
    pub fn nodes(&self) -> &[Redis; 2] {
        &self.nodes
    }

    /// The primary, as the first sentinel that runs sees it.
    #[track_caller]
    pub fn primary(&self) -> &Redis {
        let mut running = self.sentinels.iter().filter(|one| one.is_running());
        let sentinel = running.next().expect("a sentinel runs");
        let told = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME]);
        let port = told.lines().nth(1).and_then(|port| port.parse().ok());
        let primary = self.nodes.iter().find(|node| Some(node.port()) == port);
        primary.unwrap_or_else(|| panic!("the primary is none of ours: {told}"))
    }

    /// Without these a fail-over is given up: each sentinel knows the others and the replica.
    #[track_caller]
    fn until_agreed(&self) {
        let replica = format!("127.0.0.1:{}", self.nodes[1].port());
        for sentinel in &self.sentinels {
            until("the sentinels know each other", || {
                let told = sentinel.try_cli(&["SENTINEL", "CKQUORUM", Self::NAME]);
                told.is_ok_and(|told| told.starts_with("OK 3"))
            });
            until("the sentinels know the replica", || {
                let told = sentinel.try_cli(&["SENTINEL", "REPLICAS", Self::NAME]);
                told.is_ok_and(|told| {
                    told.contains(&replica) && told.contains("master-link-status\nok")
                })
            });
        }
    }
}

//! A Redis Cluster.

use crate::{Aof, Port, Redis, RedisOptions, until};

const PRIMARIES: u16 = 3;
const SLOTS: u16 = 16_384;

/// Three primaries that share the slots, and their replicas where wanted. Dropping it kills all.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    // Their conversation among each other.
    _buses: Vec<Port>,
}

impl RedisCluster {
    /// Three primaries; the cluster is whole when this returns.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(RedisOptions::new().aof(Aof::EverySecond), 0)
    }

    /// Three primaries with these settings and as many replicas each, which are complete when this returns.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn with(options: RedisOptions, replicas: u16) -> Self {
        let count = PRIMARIES * (1 + replicas);
        let buses: Vec<_> = (0..count).map(|_| Port::reserve()).collect();
        let start = |bus: &Port| {
            let bus = bus.number().to_string();
            Redis::with(options.clone().args([
                "--cluster-enabled",
                "yes",
                "--cluster-config-file",
                "nodes.conf",
                "--cluster-node-timeout",
                "2000",
                "--cluster-port",
                &bus,
            ]))
        };
        let cluster = Self {
            nodes: buses.iter().map(start).collect(),
            _buses: buses,
        };
        cluster.meet();
        cluster.share_slots();
        cluster.until_whole();
        cluster.replicate();
        cluster
    }

    /// All nodes, the primaries of the beginning first.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Where clients may begin: each node's [`Redis::url`].
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// The primary of the beginning that has the slot of a key.
    #[track_caller]
    pub fn owner(&self, key: &str) -> &Redis {
        let slot = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key]);
        let slot: u16 = slot.parse().expect("a slot is a number");
        let owner = (0..PRIMARIES).find(|node| slots(*node).contains(&slot));
        &self.nodes[usize::from(owner.expect("every slot has an owner"))]
    }

    /// Waits until every node that runs says that the cluster is whole.
    #[track_caller]
    pub fn until_whole(&self) {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            until("the cluster is whole", || {
                let info = node.try_cli(&["CLUSTER", "INFO"]).unwrap_or_default();
                info.contains("cluster_state:ok")
            });
        }
    }

    #[track_caller]
    fn meet(&self) {
        for (epoch, node) in self.nodes.iter().enumerate() {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(epoch + 1).to_string()]);
        }
        for (node, bus) in self.nodes.iter().zip(&self._buses).skip(1) {
            let (port, bus) = (node.port().to_string(), bus.number().to_string());
            self.nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let count = format!("cluster_known_nodes:{}", self.nodes.len());
        for node in &self.nodes {
            until("the nodes know each other", || {
                node.cli(&["CLUSTER", "INFO"]).contains(&count)
            });
        }
    }

    #[track_caller]
    fn share_slots(&self) {
        for (number, node) in (0..PRIMARIES).zip(&self.nodes) {
            let slots = slots(number);
            let (first, last) = (slots.start.to_string(), (slots.end - 1).to_string());
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
    }

    #[track_caller]
    fn replicate(&self) {
        let primaries = usize::from(PRIMARIES);
        for (number, node) in self.nodes.iter().enumerate().skip(primaries) {
            let primary = self.nodes[number % primaries].cli(&["CLUSTER", "MYID"]);
            // It must have heard of the primary's slots first.
            until("the replica follows", || {
                node.try_cli(&["CLUSTER", "REPLICATE", &primary]).is_ok()
            });
        }
        for node in self.nodes.iter().skip(primaries) {
            until("the replica is complete", || {
                node.info("master_link_status").as_deref() == Some("up")
            });
        }
    }
}

fn slots(primary: u16) -> std::ops::Range<u16> {
    let share = SLOTS / PRIMARIES;
    let end = if primary + 1 == PRIMARIES {
        SLOTS
    } else {
        (primary + 1) * share
    };
    primary * share..end
}

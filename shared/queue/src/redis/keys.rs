//! Where a queue lies in Redis: one function for all names, and one hash tag, so that a queue is whole
//! on one node of a cluster.

/// A part of a queue. Scripts know it by [`Key::lua`], the store by [`Key::suffix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// HASH: schema, settings, paused, brake (ms), floor and highest of generations, completions.
    Meta,
    /// HASH: task id → its record.
    Tasks,
    /// ZSET (scores 0): names of the pages of all ids.
    Index,
    /// HASH: page name → ids.
    IndexPages,
    /// ZSET (scores 0): names of the pages of claimable tasks.
    Ready,
    /// HASH: page name → order keys and ids.
    ReadyPages,
    /// ZSET: times since when claimable tasks wait.
    Since,
    /// HASH: time → how many tasks wait since then.
    SinceCounts,
    /// ZSET: id → when a pending task may be claimed.
    Waiting,
    /// ZSET: id → when its lease runs out.
    Leases,
    /// ZSET: id → when its attempt began.
    Started,
    /// ZSET (scores 0): ids of dead tasks.
    DeadIds,
    /// HASH: request of a claim → the ids it holds.
    Requests,
    /// HASH: id → attempts that had trouble.
    History,
    /// HASH: tasks and bytes per state and dataset.
    Counts,
    /// HASH: slot of time → what was completed in it.
    Rate,
    /// HASH: worker → its state, when it was heard of, and until when it is remembered.
    Workers,
    /// HASH: host → what requests to it weighed lately.
    Weights,
}

impl Key {
    pub(super) const ALL: [Self; 18] = [
        Self::Meta,
        Self::Tasks,
        Self::Index,
        Self::IndexPages,
        Self::Ready,
        Self::ReadyPages,
        Self::Since,
        Self::SinceCounts,
        Self::Waiting,
        Self::Leases,
        Self::Started,
        Self::DeadIds,
        Self::Requests,
        Self::History,
        Self::Counts,
        Self::Rate,
        Self::Workers,
        Self::Weights,
    ];

    /// Its variable in a script.
    pub(super) fn lua(self) -> &'static str {
        match self {
            Self::Meta => "META",
            Self::Tasks => "TASKS",
            Self::Index => "INDEX",
            Self::IndexPages => "INDEX_PAGES",
            Self::Ready => "READY",
            Self::ReadyPages => "READY_PAGES",
            Self::Since => "SINCE",
            Self::SinceCounts => "SINCE_COUNTS",
            Self::Waiting => "WAITING",
            Self::Leases => "LEASES",
            Self::Started => "STARTED",
            Self::DeadIds => "DEAD_IDS",
            Self::Requests => "REQUESTS",
            Self::History => "HISTORY",
            Self::Counts => "COUNTS",
            Self::Rate => "RATE",
            Self::Workers => "WORKERS",
            Self::Weights => "WEIGHTS",
        }
    }

    /// The end of its name in the store.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Tasks => "tasks",
            Self::Index => "index",
            Self::IndexPages => "index:pages",
            Self::Ready => "ready",
            Self::ReadyPages => "ready:pages",
            Self::Since => "since",
            Self::SinceCounts => "since:counts",
            Self::Waiting => "waiting",
            Self::Leases => "leases",
            Self::Started => "started",
            Self::DeadIds => "dead",
            Self::Requests => "requests",
            Self::History => "history",
            Self::Counts => "counts",
            Self::Rate => "rate",
            Self::Workers => "workers",
            Self::Weights => "weights",
        }
    }
}

/// The names of all queues of a server. Not under a tag: it belongs to no queue.
pub(super) const QUEUES: &str = "tapemill:queues";

/// The names of one queue's keys.
#[derive(Debug, Clone)]
pub(super) struct Keys(std::sync::Arc<[String]>);

impl Keys {
    /// Of the queue of this name.
    pub(super) fn of(queue: &str) -> Self {
        let name = |key: &Key| format!("tapemill:{{{queue}}}:{}", key.suffix());
        Self(Key::ALL.iter().map(name).collect())
    }

    /// The name of a key.
    pub(super) fn name(&self, key: Key) -> &str {
        &self.0[key as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_queue_has_its_name_as_the_tag() {
        let keys = Keys::of("btc");

        for key in Key::ALL {
            assert!(keys.name(key).starts_with("tapemill:{btc}:"));
            assert!(keys.name(key).ends_with(key.suffix()), "{key:?}");
        }
    }
}

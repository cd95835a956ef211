//! The kinds of trouble beside kills of workers and of Redis.

use clap::ValueEnum;

use super::{Output, Store};

/// What can be allowed or ruled out by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A worker is stopped (SIGSTOP) past its lease, and continued.
    WorkerStop,
    /// A worker is asked to end (SIGTERM), and another started.
    WorkerTerm,
    /// A coordinator is killed (-9), and another started.
    CoordinatorKill,
    /// A coordinator is stopped, and continued.
    CoordinatorStop,
    /// One process and Redis are cut off from each other, or slowed.
    QueueNetwork,
    /// One process and the archive are cut off from each other, or slowed.
    ArchiveNetwork,
    /// One process and the bucket are cut off from each other, or slowed.
    OutputNetwork,
    /// The archive fails in its own ways.
    ArchiveFaults,
    /// Redis is stopped (SIGSTOP), and continued.
    RedisStop,
    /// Redis forgets its scripts.
    RedisScripts,
    /// Redis closes all connections.
    RedisClients,
    /// Redis lets all clients wait.
    RedisPause,
    /// Redis forgets everything (FLUSHALL).
    RedisFlush,
    /// Redis is killed, and started again on an empty disk.
    RedisLose,
}

impl Kind {
    /// Whether there is what it happens to.
    pub fn can_be(self, store: Store, output: Output) -> bool {
        match self {
            Self::WorkerStop
            | Self::WorkerTerm
            | Self::CoordinatorKill
            | Self::CoordinatorStop
            | Self::ArchiveNetwork
            | Self::ArchiveFaults => true,
            Self::OutputNetwork => output == Output::S3,
            Self::QueueNetwork
            | Self::RedisStop
            | Self::RedisScripts
            | Self::RedisClients
            | Self::RedisPause
            | Self::RedisFlush
            | Self::RedisLose => store == Store::Redis,
        }
    }

    /// Whether Redis itself is in trouble: one such thing at a time.
    pub(super) fn is_of_redis(self) -> bool {
        matches!(
            self,
            Self::RedisStop
                | Self::RedisScripts
                | Self::RedisClients
                | Self::RedisPause
                | Self::RedisFlush
                | Self::RedisLose
        )
    }
}

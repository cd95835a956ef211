//! Real servers for tests: each starts on a port of its own in a folder of its own, answers when its constructor
//! returns, and is killed when it is dropped, or when the test's process dies.
//!
//! A server that cannot be started fails the test and says what to install: nothing is skipped.

mod certificates;
mod port;
mod process;
mod proxy;
mod redis;
mod redis_cluster;
mod redis_options;
mod redis_sentinel;
mod s3;
mod until;
mod watchdog;

pub use certificates::Certificates;
pub use port::Port;
pub use process::Process;
pub use proxy::{Cut, Proxy, Way};
pub use redis::{Keep, Redis};
pub use redis_cluster::RedisCluster;
pub use redis_options::{Aof, RedisOptions};
pub use redis_sentinel::RedisSentinel;
pub use s3::S3;
pub use until::until;
pub use watchdog::Watchdog;

//! The harness of the end-to-end tests: the command, the outputs it makes, and independent readers of them.

mod browser;
mod captures;
pub mod chaos;
mod command;
mod dashboards;
mod dice;
mod disk;
mod dockerfile;
mod exchange;
mod http_proxy;
mod judge;
mod lab;
mod manifests;
mod mirror;
mod outputs;
mod prometheus;
mod python;
mod readers;
mod real;
mod story;
mod tls_front;
mod watched;

pub use browser::browse;
pub use captures::{BookRow, Deal, Depth, Levels, Recording, best_prices};
pub use command::{Finished, Running, Tapemill};
pub use dashboards::{Asked, Dashboard, any_of, filled};
pub use dice::Dice;
pub use disk::Disk;
pub use dockerfile::{Dockerfile, image_context, project};
pub use exchange::Rest;
pub use http_proxy::HttpProxy;
pub use judge::{Judged, contents, judge};
pub use lab::Lab;
pub use manifests::{
    Manifests, Pod, manifests_folder, manifests_script, selects, title, value_of, words,
};
pub use mirror::{Mirror, trades_of};
pub use outputs::{hashes, object_hashes, parts};
pub use prometheus::{Prometheus, Series};
pub use python::{Python, golden_folder, reference_folder};
pub use readers::read_everything;
pub use real::{real_data, shared_data};
pub use story::Story;
pub use tapemill_test_servers::{
    Aof, Certificates, Cut, Keep, Port, Process, Proxy, Redis, RedisCluster, RedisOptions,
    RedisSentinel, S3, Way, until,
};
pub use tls_front::TlsFront;
pub use watched::{Reply, Watched, promtool};

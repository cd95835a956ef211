//! One file per command.

pub mod book;
pub mod changes;
pub mod cleanup;
pub mod config;
pub mod coordinator;
pub mod demo;
mod ended;
pub mod export;
pub mod fetch;
pub mod forecast;
pub mod live;
mod own_factors;
pub mod plan;
pub mod queue;
pub mod run;
pub mod shell;
pub mod status;
pub mod symbols;
pub mod tasks;
pub mod verify;
pub mod watch;
pub mod worker;

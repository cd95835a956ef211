//! The connection: made when it is needed, given up when it breaks, made again by the next call.
//!
//! It is driven on a thread of its own, so that no other work of the process delays it, and calls may
//! come from any runtime.

use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, Value};
use tokio::sync::Mutex;

use super::driver::Driver;
use super::fault::breaks_connection;
use super::keys::{Key, Keys};
use super::script::Script;
use super::server::{Connection, Server};
use super::url::{Credentials, RedisUrl};

/// The connection of one queue.
pub(super) struct Link {
    url: RedisUrl,
    credentials: Credentials,
    driver: Driver,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    server: Option<Arc<Server>>,
    connection: Option<Connection>,
    /// Which connection it is, so that of many calls that fail on one, only the first gives it up.
    number: u64,
}

impl Link {
    pub(super) fn new(url: RedisUrl, credentials: Credentials) -> std::io::Result<Self> {
        // Whoever comes first in the process decides; all parts of it decide for the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            url,
            credentials,
            driver: Driver::start()?,
            state: Mutex::new(State::default()),
        })
    }

    /// Runs a script on a queue's keys.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &Keys,
        arguments: &(dyn Fn(&mut Cmd) + Send + Sync),
    ) -> RedisResult<Value> {
        let command = |verb: &str, script_name: &str| {
            let mut command = redis::cmd(verb);
            command.arg(script_name).arg(script.keys.len());
            script.keys.iter().for_each(|key| {
                command.arg(keys.name(*key));
            });
            arguments(&mut command);
            command
        };
        match self.send(&command("EVALSHA", &script.sha), keys).await {
            // A server that restarted, or another node of the cluster: EVAL makes it know the script.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&command("EVAL", &script.source), keys).await
            }
            answer => answer,
        }
    }

    /// Sends a command to the node that holds the queue. One that finds its connection broken is sent
    /// again on a new one, once: all that is sent may be repeated.
    pub(super) async fn send(&self, command: &Cmd, keys: &Keys) -> RedisResult<Value> {
        match self.send_once(command, keys).await {
            Err(error) if error.is_connection_dropped() && !error.is_timeout() => {
                self.send_once(command, keys).await
            }
            answer => answer,
        }
    }

    async fn send_once(&self, command: &Cmd, keys: &Keys) -> RedisResult<Value> {
        let (mut connection, number) = self.connection().await?;
        let answer = match &mut connection {
            Connection::Single(connection) => connection.req_packed_command(command).await,
            Connection::Cluster(connection) if has_no_key(command) => {
                let route = Route::with_key(keys.name(Key::Meta), SlotAddr::Master);
                let node = SingleNodeRoutingInfo::SpecificNode(route);
                connection
                    .route_command(command.clone(), RoutingInfo::SingleNode(node))
                    .await
            }
            Connection::Cluster(connection) => connection.req_packed_command(command).await,
        };
        // An error inside an answer is an error.
        let answer = answer.and_then(Value::extract_error);
        if let Err(error) = &answer
            && breaks_connection(error)
        {
            self.give_up(number).await;
        }
        answer
    }

    /// Runs something on the thread of the connection, whoever waits for it.
    pub(super) fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.driver.handle.spawn(work);
    }

    async fn give_up(&self, number: u64) {
        let mut state = self.state.lock().await;
        if state.number == number {
            state.connection = None;
        }
    }

    async fn connection(&self) -> RedisResult<(Connection, u64)> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((connection.clone(), state.number));
        }
        let server = match &state.server {
            Some(server) => server.clone(),
            None => {
                let (url, credentials) = (self.url.clone(), self.credentials.clone());
                let asked = self
                    .driver
                    .drive(async move { Server::ask(&url, &credentials).await });
                let server = Arc::new(asked.await?);
                state.server = Some(server.clone());
                server
            }
        };
        let connected = self
            .driver
            .drive(async move { server.connect().await })
            .await;
        let connection = connected?;
        state.connection = Some(connection.clone());
        state.number += 1;
        Ok((connection, state.number))
    }
}

/// Whether a command says nothing of where it belongs.
fn has_no_key(command: &Cmd) -> bool {
    let verb = command.args_iter().next();
    matches!(
        verb,
        Some(redis::Arg::Simple(b"INFO" | b"CONFIG" | b"PING"))
    )
}

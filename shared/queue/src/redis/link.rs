//! The connection: made when it is needed, given up when it breaks, made again by the next call.
//!
//! It is driven on a thread of its own, so that no other work of the process delays it, and calls may
//! come from any runtime.

use std::sync::Mutex as SyncMutex;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind, TlsMode, Value,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Mutex, oneshot};

use super::fault::breaks_connection;
use super::keys::{Key, Keys};
use super::script::Script;
use super::url::{Credentials, RedisUrl};

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long an answer may take. The client's own default is half a second, which a busy server exceeds.
const ANSWER: Duration = Duration::from_secs(5);

/// What kind of server the URL names; found out by asking it.
enum Server {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinels(Box<Mutex<SentinelClient>>),
}

/// A connection that calls share.
#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// The connection of one queue.
pub(super) struct Link {
    url: RedisUrl,
    credentials: Credentials,
    driver: Driver,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    server: Option<std::sync::Arc<Server>>,
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
                let route = redis::cluster_routing::Route::with_key(
                    keys.name(Key::Meta),
                    redis::cluster_routing::SlotAddr::Master,
                );
                let node = redis::cluster_routing::SingleNodeRoutingInfo::SpecificNode(route);
                connection
                    .route_command(
                        command.clone(),
                        redis::cluster_routing::RoutingInfo::SingleNode(node),
                    )
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
                let server = std::sync::Arc::new(asked.await?);
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

impl Server {
    /// Asks the hosts in turn what they are.
    async fn ask(url: &RedisUrl, credentials: &Credentials) -> RedisResult<Self> {
        let mut last = None;
        for host in &url.hosts {
            match Self::ask_host(url, credentials, host).await {
                Ok(server) => return Ok(server),
                // Sentinels often know no password where the servers they watch have one.
                Err(error) if credentials.password.is_some() && !error.is_io_error() => {
                    let open = Self::ask_host(url, &Credentials::default(), host).await;
                    match open {
                        Ok(Self::Sentinels(_)) => {
                            return sentinels(url, credentials, &Credentials::default(), host)
                                .await;
                        }
                        _ => last = Some(error),
                    }
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| RedisError::from((ErrorKind::InvalidClientConfig, "no host"))))
    }

    async fn ask_host(
        url: &RedisUrl,
        credentials: &Credentials,
        host: &(String, u16),
    ) -> RedisResult<Self> {
        let client = client(url, credentials, host)?;
        let info = redis::cmd("INFO").arg("server").to_owned();
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&patience())
            .await?;
        let answer = connection.req_packed_command(&info).await;
        let mode = match answer.and_then(Value::extract_error) {
            Ok(info) => field(&text_of(&info), "redis_mode").unwrap_or_default(),
            // A user who may not ask talks to what the URL says.
            Err(error) if error.code() == Some("NOPERM") => String::new(),
            Err(error) => return Err(error),
        };
        match mode.as_str() {
            "cluster" => cluster(url, credentials),
            "sentinel" => sentinels(url, credentials, credentials, host).await,
            _ => Ok(Self::Single(Box::new(client))),
        }
    }

    async fn connect(&self) -> RedisResult<Connection> {
        let client = match self {
            Self::Cluster(client) => {
                return Ok(Connection::Cluster(client.get_async_connection().await?));
            }
            Self::Single(client) => Client::clone(client),
            // Asked each time: after a fail-over the primary is another.
            Self::Sentinels(sentinels) => sentinels.lock().await.async_get_client().await?,
        };
        let connection = client
            .get_multiplexed_async_connection_with_config(&patience())
            .await?;
        Ok(Connection::Single(connection))
    }
}

fn patience() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTING))
        .set_response_timeout(Some(ANSWER))
}

fn address(url: &RedisUrl, (host, port): &(String, u16)) -> ConnectionAddr {
    let (host, port) = (host.clone(), *port);
    if !url.tls {
        return ConnectionAddr::Tcp(host, port);
    }
    ConnectionAddr::TcpTls {
        host,
        port,
        insecure: false,
        tls_params: None,
    }
}

fn client(url: &RedisUrl, credentials: &Credentials, host: &(String, u16)) -> RedisResult<Client> {
    let mut settings = RedisConnectionInfo::default().set_db(url.database);
    if let Some(user) = &credentials.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &credentials.password {
        settings = settings.set_password(password);
    }
    let info = address(url, host).into_connection_info()?;
    Client::open(info.set_redis_settings(settings))
}

fn cluster(url: &RedisUrl, credentials: &Credentials) -> RedisResult<Server> {
    let nodes = url
        .hosts
        .iter()
        .map(|host| address(url, host).into_connection_info());
    let nodes = nodes.collect::<RedisResult<Vec<_>>>()?;
    let mut builder = ClusterClient::builder(nodes)
        .connection_timeout(CONNECTING)
        .response_timeout(ANSWER);
    if let Some(user) = &credentials.user {
        builder = builder.username(user);
    }
    if let Some(password) = &credentials.password {
        builder = builder.password(password);
    }
    if url.tls {
        builder = builder.tls(TlsMode::Secure);
    }
    Ok(Server::Cluster(Box::new(builder.build()?)))
}

async fn sentinels(
    url: &RedisUrl,
    credentials: &Credentials,
    of_sentinel: &Credentials,
    asked: &(String, u16),
) -> RedisResult<Server> {
    let master = match &url.master {
        Some(master) => master.clone(),
        None => {
            let without_database = RedisUrl {
                database: 0,
                ..url.clone()
            };
            let client = client(&without_database, of_sentinel, asked)?;
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&patience())
                .await?;
            only_master(&mut connection).await?
        }
    };
    let addresses = url.hosts.iter().map(|host| address(url, host));
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_db(url.database);
    if url.tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(user) = &credentials.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &credentials.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(user) = &of_sentinel.user {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = &of_sentinel.password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    Ok(Server::Sentinels(Box::new(Mutex::new(builder.build()?))))
}

/// The primary the Sentinels watch, when it is one.
async fn only_master(sentinel: &mut MultiplexedConnection) -> RedisResult<String> {
    let command = redis::cmd("SENTINEL").arg("MASTERS").to_owned();
    let answer = sentinel.req_packed_command(&command).await?;
    let masters: Vec<std::collections::HashMap<String, String>> = redis::from_redis_value(answer)?;
    match masters.as_slice() {
        [one] => Ok(one.get("name").cloned().unwrap_or_default()),
        _ => Err(RedisError::from((
            ErrorKind::InvalidClientConfig,
            "these Sentinels watch several primaries: add master=NAME to the queue's URL",
        ))),
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

/// The value of a field of `INFO`.
pub(super) fn field(info: &str, name: &str) -> Option<String> {
    let value = info
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.map(|value| value.trim().to_owned())
}

/// An answer that is one text.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::VerbatimString { text, .. } => text.clone(),
        _ => String::new(),
    }
}

/// The thread connections are driven on.
struct Driver {
    handle: Handle,
    stop: SyncMutex<Option<oneshot::Sender<()>>>,
}

impl Driver {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("queue-redis".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self {
            handle,
            stop: SyncMutex::new(Some(stop)),
        })
    }

    /// Runs something on the thread, and waits for it.
    async fn drive<T: Send + 'static>(
        &self,
        work: impl Future<Output = RedisResult<T>> + Send + 'static,
    ) -> RedisResult<T> {
        let ended = self.handle.spawn(work).await;
        ended.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Ok(mut stop) = self.stop.lock() {
            stop.take();
        }
    }
}

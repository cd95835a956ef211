//! Which kind of server a URL names, and how to connect to it.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, TlsMode, Value,
};
use std::time::Duration;
use tokio::sync::Mutex;

use super::info::{field, text_of};
use super::url::{Credentials, RedisUrl};

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long an answer may take. The client's own default is half a second, which a busy server exceeds.
const ANSWER: Duration = Duration::from_secs(5);

/// What kind of server the URL names; found out by asking it.
pub(super) enum Server {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinels(Box<Mutex<SentinelClient>>),
}

/// A connection that calls share.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Server {
    /// Asks the hosts in turn what they are.
    pub(super) async fn ask(url: &RedisUrl, credentials: &Credentials) -> RedisResult<Self> {
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

    pub(super) async fn connect(&self) -> RedisResult<Connection> {
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

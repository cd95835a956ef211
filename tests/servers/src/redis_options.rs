//! How a Redis server is set.

use crate::{Certificates, Redis};

/// When changes reach the append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aof {
    /// There is none: a restart forgets everything.
    #[default]
    Off,
    /// The file is there, and the system writes it when it likes.
    No,
    /// Once a second: a power cut costs a second, a killed process nothing that was answered.
    EverySecond,
    /// Before every answer.
    Always,
}

/// The settings of a [`Redis`]; by default plain, open and without persistence.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    pub(crate) aof: Aof,
    pub(crate) password: Option<String>,
    pub(crate) user: Option<AclUser>,
    pub(crate) tls: bool,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) arguments: Vec<String>,
    pub(crate) config: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct AclUser {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) rules: String,
}

impl RedisOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps an append-only file.
    pub fn aof(mut self, aof: Aof) -> Self {
        self.aof = aof;
        self
    }

    /// Refuses writes past this much memory (such as `20mb`), and evicts nothing.
    pub fn max_memory(self, size: &str) -> Self {
        self.args(["--maxmemory", size, "--maxmemory-policy", "noeviction"])
    }

    /// The default user needs a password (`requirepass`).
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// A user of its own with these ACL rules, such as `~{q}:* +@all -@admin -@dangerous`. The URL is this user's;
    /// [`Redis::cli`] stays the default user.
    pub fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.user = Some(AclUser {
            name: name.to_owned(),
            password: password.to_owned(),
            rules: rules.to_owned(),
        });
        self
    }

    /// Listens with TLS only, with certificates of its own: see [`Redis::certificates`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// A replica of another server; complete when the constructor returns.
    pub fn replica_of(mut self, primary: &Redis) -> Self {
        let port = primary.port().to_string();
        self.arguments
            .extend(["--replicaof", "127.0.0.1", &port].map(str::to_owned));
        if let Some(password) = primary.password() {
            self.arguments
                .extend(["--masterauth", password].map(str::to_owned));
        }
        if let Some(certificates) = primary.certificates() {
            self.tls = true;
            self.certificates = Some(certificates.clone());
            self.arguments
                .extend(["--tls-replication", "yes"].map(str::to_owned));
        }
        self
    }

    /// Whatever else the server's command line takes.
    pub fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// A configuration file, which the server may rewrite.
    pub fn config(mut self, lines: &str) -> Self {
        self.config = Some(lines.to_owned());
        self
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.arguments
            .iter()
            .any(|argument| argument == "--replicaof")
    }
}

impl Aof {
    pub(crate) fn arguments(self) -> [&'static str; 4] {
        let (kept, written) = match self {
            Self::Off => ("no", "no"),
            Self::No => ("yes", "no"),
            Self::EverySecond => ("yes", "everysec"),
            Self::Always => ("yes", "always"),
        };
        ["--appendonly", kept, "--appendfsync", written]
    }
}

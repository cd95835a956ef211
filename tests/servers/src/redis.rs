//! One Redis server.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Certificates, Port, Process, RedisOptions, until};

/// The longest an answer to [`Redis::cli`] may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A `redis-server` on 127.0.0.1. Dropping it kills it and removes what it stored.
#[derive(Debug)]
pub struct Redis {
    process: Mutex<Option<Process>>,
    options: RedisOptions,
    certificates: Option<Certificates>,
    port: Port,
    // Dropped last: the server writes into it.
    folder: TempDir,
}

/// What a restarted server finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What it had made durable.
    Data,
    /// Nothing: its disk is lost.
    Nothing,
}

impl Redis {
    /// Starts a plain server; answers when this returns.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(RedisOptions::new())
    }

    /// Starts a server with these settings.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn with(options: RedisOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let certificates = options.certificates.clone().or_else(|| {
            options
                .tls
                .then(|| Certificates::make(&folder.path().join("tls")))
        });
        let redis = Self {
            process: Mutex::new(None),
            options,
            certificates,
            port: Port::reserve(),
            folder,
        };
        redis.write_config();
        redis.restart(Keep::Data);
        redis
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `redis://127.0.0.1:PORT` or `rediss://…`, with the user and password that clients need.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        let login = match (&self.options.user, &self.options.password) {
            (Some(user), _) => format!("{}:{}@", user.name, user.password),
            (None, Some(password)) => format!(":{password}@"),
            (None, None) => String::new(),
        };
        format!("{scheme}://{login}127.0.0.1:{}", self.port())
    }

    /// The default user's password.
    pub fn password(&self) -> Option<&str> {
        self.options.password.as_deref()
    }

    /// The certificates of a server with TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// The folder with its data and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it logged, over all restarts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Asks it with `redis-cli`, as the default user; gives the answer without its last line end.
    ///
    /// # Panics
    ///
    /// When it does not answer, or with an error.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> String {
        match self.try_cli(words) {
            Ok(answer) => answer,
            Err(why) => panic!("redis-cli {words:?}: {why}"),
        }
    }

    /// As [`Self::cli`], for a server that may be down.
    ///
    /// # Errors
    ///
    /// What `redis-cli` said.
    pub fn try_cli(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("redis-cli");
        // -e: an error is an exit code.
        command.args(["-e", "-h", "127.0.0.1", "-p", &self.port().to_string()]);
        if let Some(certificates) = &self.certificates {
            command
                .arg("--tls")
                .arg("--cacert")
                .arg(certificates.authority());
        }
        if let Some(password) = self.password() {
            command.env("REDISCLI_AUTH", password);
        }
        let output = within(ANSWERS_WITHIN, command.args(words))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("{} {}", text(&output.stdout), text(&output.stderr)))
    }

    /// A line of `INFO`, such as `master_link_status`.
    #[track_caller]
    pub fn info(&self, name: &str) -> Option<String> {
        let info = self.cli(&["INFO", "everything"]);
        let value = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(|value| value.trim_end().to_owned())
    }

    /// Waits until the first replica has all that was written: replication is asynchronous, and `WAIT` waits only for
    /// what its own client wrote.
    #[track_caller]
    pub fn until_replicated(&self) {
        until("the replica has everything", || {
            let info = self.cli(&["INFO", "replication"]);
            let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
            let offset = field("master_repl_offset:").expect("an offset");
            field("slave0:").is_some_and(|replica| replica.contains(&format!("offset={offset},")))
        });
    }

    /// Whether it answers.
    pub fn answers(&self) -> bool {
        self.try_cli(&["PING"]).is_ok_and(|answer| answer == "PONG")
    }

    /// Whether its process is there.
    pub fn is_running(&self) -> bool {
        self.process().as_mut().is_some_and(Process::is_running)
    }

    /// Ends it as a power cut would end the process: SIGKILL.
    pub fn kill9(&self) {
        self.process().take();
    }

    /// Stops it where it is (SIGSTOP): connections stay open and nothing is answered.
    #[track_caller]
    pub fn stop(&self) {
        self.process().as_ref().expect("it is running").stop();
    }

    /// Lets it go on (SIGCONT).
    #[track_caller]
    pub fn cont(&self) {
        self.process().as_ref().expect("it is running").cont();
    }

    /// Kills it if it runs, and starts it on the same port and folder.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn restart(&self, keep: Keep) {
        self.kill9();
        if keep == Keep::Nothing {
            self.lose_data();
            self.write_config();
        }
        let mut process = Process::start(&mut self.command())
            .expect("redis-server is installed; scripts/test installs what the tests need");
        until("Redis answers", || {
            assert!(process.is_running(), "Redis ended at once:\n{}", self.log());
            self.answers()
        });
        *self.process() = Some(process);
        if self.options.is_replica() {
            until("the replica is complete", || {
                self.info("master_link_status").as_deref() == Some("up")
            });
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("redis-server");
        let port = self.port().to_string();
        if self.options.config.is_some() {
            command.arg(self.folder().join("redis.conf"));
        }
        match &self.certificates {
            None => command.args(["--port", &port]),
            Some(certificates) => command
                .args([
                    "--port",
                    "0",
                    "--tls-port",
                    &port,
                    "--tls-auth-clients",
                    "no",
                ])
                .arg("--tls-cert-file")
                .arg(certificates.certificate())
                .arg("--tls-key-file")
                .arg(certificates.key())
                .arg("--tls-ca-cert-file")
                .arg(certificates.authority()),
        };
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
            .args(self.options.aof.arguments())
            // Replicas are served at once, not gathered for five seconds.
            .args(["--repl-diskless-sync-delay", "0"])
            .args(["--logfile", "log", "--dir"])
            .arg(self.folder())
            .current_dir(self.folder());
        if let Some(password) = self.password() {
            command.args(["--requirepass", password]);
        }
        if let Some(user) = &self.options.user {
            command
                .args(["--user", &user.name, "on"])
                .arg(format!(">{}", user.password))
                .args(user.rules.split_whitespace());
        }
        command.args(&self.options.arguments);
        command
    }

    fn lose_data(&self) {
        for name in ["appendonlydir", "dump.rdb", "nodes.conf"] {
            let path = self.folder().join(name);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
    }

    fn write_config(&self) {
        if let Some(lines) = &self.options.config {
            let path = self.folder().join("redis.conf");
            fs::write(path, lines).expect("the folder can be written");
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a command that may hang: a stopped server takes connections and never answers.
fn within(limit: Duration, command: &mut Command) -> Result<Output, String> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let id = child.id().to_string();
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(child.wait_with_output()));
    match receive.recv_timeout(limit) {
        Ok(output) => output.map_err(|error| error.to_string()),
        Err(_) => {
            let _ = Command::new("kill").args(["-9", &id]).status();
            Err(format!("no answer within {} s", limit.as_secs()))
        }
    }
}

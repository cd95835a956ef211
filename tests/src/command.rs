//! Runs the command and keeps what it said.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use tapemill_test_servers::Watchdog;

/// A command line being put together. The environment's own settings are taken away, so that tests see defaults.
pub struct Tapemill(Command);

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

/// A command that is still running. Dropping it kills it, and so does the end of the test's process.
pub struct Running {
    child: Option<Child>,
    watchdog: Option<Watchdog>,
}

impl Tapemill {
    /// Starts a command line; `binary` is `env!("CARGO_BIN_EXE_tapemill-under-test")`.
    pub fn new(binary: &str) -> Self {
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TAPEMILL_") {
                command.env_remove(name);
            }
        }
        command
            .arg0("tapemill")
            .env("NO_PROXY", "127.0.0.1,localhost")
            .stdin(Stdio::null());
        Self(command)
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs in this folder.
    pub fn folder(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs to the end.
    pub fn run(mut self) -> Finished {
        let output = self.0.output().expect("the command starts");
        Finished::of(output)
    }

    /// Starts and goes on; what it says is kept until it is waited for.
    pub fn spawn(mut self) -> Running {
        let child = self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Running::of(child.expect("the command starts"))
    }

    /// As [`Self::spawn`], with stderr in a file that can be read meanwhile.
    pub fn spawn_with_stderr(mut self, stderr: std::fs::File) -> Running {
        let child = self.0.stdout(Stdio::piped()).stderr(stderr).spawn();
        Running::of(child.expect("the command starts"))
    }
}

impl Finished {
    fn of(output: Output) -> Self {
        Self {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks the exit code, showing all that was said when it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Stdout as one JSON value a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.stdout.lines().map(parse).collect()
    }
}

impl Running {
    fn of(child: Child) -> Self {
        let watchdog = Watchdog::over(child.id()).expect("sh is there");
        Self {
            child: Some(child),
            watchdog: Some(watchdog),
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it is running").id()
    }

    /// Sends a signal, such as `libc::SIGTERM`.
    pub fn signal(&self, signal: i32) {
        let id = self.id().to_string();
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(id)
            .status()
            .expect("kill is there");
        assert!(sent.success(), "the process is there to be signalled");
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Finished {
        let child = self.child.take().expect("it is running");
        Finished::of(child.wait_with_output().expect("it ends"))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        let child = self.child.as_mut().expect("it is running");
        child.try_wait().expect("it can be asked").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watchdog.take();
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn code(status: ExitStatus) -> Option<i32> {
    status.code()
}

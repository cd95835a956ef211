//! Real signals, sent to a process of its own, and the configuration file of the working folder.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write, stdout};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use tapemill_runtime::{ConfigFile, Shutdown, Signal, exit};

const CHILD: &str = "TEST_CHILD";

fn say(line: &str) {
    stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs one test of this file again, as a child that knows it is one.
fn child(test: &str) -> (Killed, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (Killed(child), lines)
}

fn send(signal: &str, Killed(child): &Killed) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Waits until the child has said a line.
fn hear(lines: &mut Lines<BufReader<ChildStdout>>, line: &str) {
    let heard = lines.map_while(Result::ok).any(|said| said.ends_with(line));
    assert!(heard, "the child never said {line:?}");
}

#[test]
fn a_second_signal_ends_a_busy_process_at_once() {
    if env::var_os(CHILD).is_some() {
        let shutdown = Shutdown::install().unwrap();
        say("ready");
        while !shutdown.draining().is_cancelled() {
            thread::yield_now();
        }
        say(&format!("draining on {}", shutdown.reason().unwrap()));
        loop {
            std::hint::spin_loop();
        }
    }
    let (mut child, mut lines) = child("a_second_signal_ends_a_busy_process_at_once");

    hear(&mut lines, "ready");
    send("-TERM", &child);
    hear(&mut lines, "draining on SIGTERM");
    send("-INT", &child);

    let status = child.0.wait().unwrap();
    assert_eq!(
        status.code(),
        Some(i32::from(exit::INTERRUPTED)),
        "{:?}",
        status.signal()
    );
}

#[test]
fn an_interrupt_cancels_what_waits_for_the_drain() {
    if env::var_os(CHILD).is_some() {
        let shutdown = Shutdown::install_with(|_| ()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        say("ready");
        runtime.block_on(shutdown.draining().cancelled());
        assert_eq!(shutdown.reason(), Some(Signal::Interrupt));
        say("drained");
        return;
    }
    let (mut child, mut lines) = child("an_interrupt_cancels_what_waits_for_the_drain");

    hear(&mut lines, "ready");
    send("-INT", &child);
    hear(&mut lines, "drained");

    assert!(child.0.wait().unwrap().success());
}

#[test]
fn the_working_folder_may_hold_the_configuration() {
    if env::var_os(CHILD).is_some() {
        let config = ConfigFile::load(None).unwrap();
        say(&format!(
            "lease={:?} from {:?}",
            config.get("lease"),
            config.origin("lease")
        ));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let load = || {
        let output = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "the_working_folder_may_hold_the_configuration",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .current_dir(folder.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };

    let without = load();
    fs::write(folder.path().join("tapemill.toml"), "\nlease = \"90s\"\n").unwrap();
    let with = load();

    assert!(without.contains("lease=None from None"), "{without}");
    assert!(
        with.contains("lease=Some(\"90s\") from Some(\"tapemill.toml:2\")"),
        "{with}"
    );
}

//! `status --watch` and `scripts/tmux-workers`, in a real tmux.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tapemill_standin::server::{Fault, Faults, When};
use tapemill_tests::{Lab, Watched, hashes};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// A tmux server of a test's own; it ends with it.
struct Tmux {
    socket: String,
}

impl Tmux {
    fn new(name: &str) -> Self {
        Self {
            socket: format!("tapemill-{name}-{}", std::process::id()),
        }
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket, "-f", "/dev/null"])
            .args(words)
            .output()
            .expect("tmux is installed: scripts/test does it");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {words:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "watch"])
    }

    /// The screen, as soon as it is as told.
    #[track_caller]
    fn wait_for(&self, mut is_so: impl FnMut(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "it never came:\n{screen}");
            sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", &self.socket, "kill-server"])
            .output();
    }
}

fn slow(bytes_per_second: u64) -> Faults {
    Faults::one("**.zip", Fault::Slow { bytes_per_second }, When::Always)
}

/// The counts of a line, in the order of the states.
fn counts(screen: &str, name: &str) -> Option<Vec<u64>> {
    let line = screen.lines().find(|line| line.starts_with(name))?;
    let cells = line.split_whitespace().skip(1);
    cells.map(|cell| cell.parse().ok()).collect()
}

fn counts_of(value: &Value) -> Vec<u64> {
    let states = ["pending", "leased", "done", "missing", "dead"];
    let count = |state: &str| value[state].as_u64().expect("a count");
    states.into_iter().map(count).collect()
}

#[test]
fn it_shows_the_numbers_of_the_api_at_any_size() {
    let lab = Lab::new(BINARY);
    for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        for period in ["2024-01", "2024-02"] {
            lab.mirror.tape(symbol, period, 500);
        }
    }
    lab.everything(&["plan"]).run().expect(0);
    let output = lab.output();
    let output = output.to_str().expect("a plain path");
    let tmux = Tmux::new("sizes");
    let command = format!("{BINARY} status --watch --every 200ms --output {output}");
    tmux.run(&[
        "new-session",
        "-d",
        "-s",
        "watch",
        "-x",
        "80",
        "-y",
        "24",
        &command,
    ]);
    let coordinator = Watched::start(lab.everything(&["coordinator"]));
    let status = || coordinator.json("/api/v1/status");
    let agree = |size: &str| {
        // What runs beside it may finish between two looks.
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let (before, screen, after) = (status(), tmux.screen(), status());
            let of = |value: &Value| {
                let datasets = value["datasets"].as_object().expect("datasets");
                let mut all: Vec<_> = datasets
                    .iter()
                    .map(|(name, of)| (name.clone(), counts_of(of)))
                    .collect();
                all.push(("total".to_owned(), counts_of(&value["totals"])));
                all
            };
            let shown: Vec<_> = of(&after)
                .into_iter()
                .map(|(name, _)| (name.clone(), counts(&screen, &name).unwrap_or_default()))
                .collect();
            if shown == of(&before) || shown == of(&after) {
                return screen;
            }
            assert!(
                Instant::now() < until,
                "{size}: {shown:?} of {after}\n{screen}"
            );
        }
    };
    tmux.wait_for(|screen| screen.contains("total"));
    let small = agree("80x24");
    assert!(
        small.contains("time left unknown") && small.contains("q ends it"),
        "{small}"
    );
    assert!(small.lines().all(|line| line.chars().count() <= 80));
    lab.mirror.set_faults(slow(30_000));

    let worker = lab.from_source(&["worker", "--exit-when-drained"]).spawn();
    tmux.wait_for(|screen| screen.contains("workers: 1"));
    agree("80x24, with work");
    tmux.run(&["resize-window", "-t", "watch", "-x", "200", "-y", "60"]);
    tmux.wait_for(|screen| screen.lines().count() >= 50 && screen.contains("workers: 1"));
    agree("200x60");
    lab.mirror.set_faults(Faults::none());
    worker.wait().expect(0);
    let done =
        tmux.wait_for(|screen| counts(screen, "total").is_some_and(|counts| counts[2] == 12));
    assert!(
        done.contains("(100.0 %)") && done.contains("nothing left"),
        "{done}"
    );
    agree("200x60, at the end");

    tmux.run(&["send-keys", "-t", "watch", "q"]);
    let until = Instant::now() + Duration::from_secs(10);
    while Command::new("tmux")
        .args(["-L", &tmux.socket, "has-session", "-t", "watch"])
        .output()
        .is_ok_and(|ended| ended.status.success())
    {
        assert!(Instant::now() < until, "q did not end it");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn elsewhere_than_on_a_terminal_it_is_lines() {
    let lab = Lab::new(BINARY);
    lab.mirror.trades("BTCUSDT", "2024-01", 100);
    lab.everything(&["plan"]).run().expect(0);
    let output = lab.output();
    let output = output.to_str().expect("a plain path");
    // As a script reads it: some, and no more.
    let line = format!("{BINARY} status --watch --json --every 50ms --output {output} | head -n 3");
    let shown = Command::new("sh").args(["-c", &line]).output().expect("sh");
    let lines: Vec<Value> = String::from_utf8_lossy(&shown.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["totals"]["pending"], 1);
    let refused = lab.command(&["status", "--watch", "--summary"]).run();
    refused.expect(2);
}

#[test]
fn three_workers_in_panes_finish_a_queue_whoever_is_killed() {
    let lab = Lab::new(BINARY);
    for month in ["2024-01", "2024-02", "2024-03", "2024-04"] {
        lab.mirror.trades("BTCUSDT", month, 3_000);
        lab.mirror.trades("ETHUSDT", month, 3_000);
    }
    let undisturbed = lab.undisturbed();
    lab.everything(&["plan"]).run().expect(0);
    lab.mirror.set_faults(slow(40_000));
    let tmux = Tmux::new("workers");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/tmux-workers");
    // The script calls plain `tmux`: this one is on the test's socket.
    let bin = lab.folder().join("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    let shim = format!(
        "#!/bin/sh\nexec /usr/bin/tmux -L {} -f /dev/null \"$@\"\n",
        tmux.socket
    );
    std::fs::write(bin.join("tmux"), shim).expect("it can be written");
    use std::os::unix::fs::PermissionsExt;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bin.join("tmux"), executable).expect("it is ours");
    let path = format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let first = port.local_addr().expect("an address").port();
    drop(port);
    let started = Command::new("bash")
        .args([
            script,
            "3",
            "--workers",
            "1",
            "--lease",
            "5s",
            "--source",
            lab.mirror.url(),
        ])
        .env("PATH", path)
        .env("TAPEMILL", BINARY)
        .env("TAPEMILL_OUTPUT", lab.output())
        .env("TMUX_SESSION", "watch")
        .env("TMUX_WORKERS_PORT", first.to_string())
        .env("TMUX_WORKERS_QUEUE", "lake")
        .current_dir(lab.folder())
        .output()
        .expect("bash");
    assert!(
        started.status.success(),
        "{}",
        String::from_utf8_lossy(&started.stderr)
    );
    let panes = tmux.run(&["list-panes", "-t", "watch", "-F", "#{pane_id}"]);
    let panes: Vec<&str> = panes.lines().collect();
    assert_eq!(panes.len(), 4);

    let until = Instant::now() + Duration::from_secs(60);
    while lab.totals()["leased"] != 3 {
        assert!(Instant::now() < until, "{}", lab.totals());
        sleep(Duration::from_millis(100));
    }
    tmux.run(&["kill-pane", "-t", panes[2]]);
    lab.mirror.set_faults(Faults::none());
    while lab.totals()["done"] != 8 {
        assert!(Instant::now() < until, "{}", lab.totals());
        sleep(Duration::from_millis(200));
    }

    assert_eq!(hashes(&lab.output()), undisturbed);
    let shown = || tmux.run(&["capture-pane", "-p", "-t", panes[0]]);
    while !shown().contains("nothing left") {
        assert!(Instant::now() < until, "{}", shown());
        sleep(Duration::from_millis(100));
    }
    for at in 1..=3 {
        let target = lab
            .folder()
            .join(format!("workers/targets/worker-{at}.json"));
        let target = std::fs::read_to_string(target).expect("it was written");
        let target: Value = serde_json::from_str(&target).expect("JSON");
        assert_eq!(
            target[0]["targets"][0],
            format!("127.0.0.1:{}", first + at - 1)
        );
        assert_eq!(target[0]["labels"]["queue"], "lake");
        let log = lab.folder().join(format!("workers/logs/worker-{at}.log"));
        assert!(log.exists());
    }
}

//! `standin exchange` as a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::client::{Client, get, get_json};

fn standin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
    command.arg("exchange");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_its_address_plays_and_leaves_the_truth_behind() {
    let folder = tempfile::tempdir().unwrap();
    let [log, faults] = ["log.jsonl", "faults.json"].map(|name| folder.path().join(name));
    let rules = r#"{"rules": [{"at": {"frame": 30}, "kind": "close", "code": 1001}]}"#;
    std::fs::write(&faults, rules).unwrap();
    let mut child = standin()
        .args([
            "--script",
            "spot",
            "--script-seconds",
            "5",
            "--speed",
            "fast",
        ])
        .args([
            "--script-symbols",
            "ethusdt,bnbusdt",
            "--depth-speed",
            "0ms",
            "--begin",
            "go",
        ])
        .args(["--listen", "127.0.0.1:0", "--log"])
        .arg(&log)
        .arg("--faults")
        .arg(&faults)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    let url = url.trim();
    let mut client = Client::connect(&url.replace("http", "ws"), "/stream")
        .await
        .unwrap();
    client
        .subscribe(1, &["ethusdt@depth@0ms", "bnbusdt@trade"])
        .await;
    client.text().await;

    get(url, "/standin/go");
    let (texts, _) = client.rest().await;
    while get_json(url, "/standin/counts")["queued"] != 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let counts = get_json(url, "/standin/counts");
    let (_, _, told) = get(url, "/standin/log?from=10&limit=5");
    let (_, _, events) = get(url, "/standin/events");
    let (wrong, _, _) = get(url, "/standin/strike?kind=nonsense");
    let (right, _, _) = get(url, "/standin/strike?kind=close&code=1000&connection=0");
    let stopped = Command::new("kill").arg(child.id().to_string()).status();
    let output = child.wait_with_output().unwrap();

    assert!(stopped.unwrap().success() && output.status.success());
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sent = lines.iter().filter(|line| line["fate"] == "sent");
    assert_eq!(sent.clone().count(), texts.len());
    assert!(sent.clone().all(|line| line["connection"] == 0));
    assert_eq!(counts["sent"], texts.len());
    assert_eq!(counts["played"], lines.len());
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        text.lines().skip(10).take(5).collect::<Vec<_>>()
    );
    assert!(events.contains(r#""happened":"closed""#), "{events}");
    assert_eq!((wrong, right), (400, 200));
    let last = String::from_utf8(output.stderr).unwrap();
    assert!(last.contains(r#""sent":"#), "{last}");
}

#[test]
fn wrong_flags_are_a_usage_error() {
    for args in [
        &[][..],
        &["--script", "xx"],
        &["--script", "um", "--speed", "0"],
        &["--script", "um", "--what", "1"],
        &["--recording", "/nowhere"],
        &["--script-seed", "1"],
    ] {
        let output = standin().args(args).output().unwrap();

        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("usage: standin exchange"), "{said}");
    }
}

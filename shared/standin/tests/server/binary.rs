//! The `standin` binary.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::http::get;

#[tokio::test]
async fn it_tells_its_url_first_and_serves_with_the_faults_of_a_file() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("a.zip"), "abc").unwrap();
    let faults = root.path().join("faults.json");
    let rules = r#"{"rules": [{"path": "a.zip", "fault": {"kind": "status", "status": 503}, "when": {"first": 1}}]}"#;
    std::fs::write(&faults, rules).unwrap();

    let mut child = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["--port", "0", "--page-size", "1", "--root"])
        .arg(root.path())
        .arg("--faults")
        .arg(&faults)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    let failed = get(url.trim(), "/a.zip").await;
    let well = get(url.trim(), "/a.zip").await;
    let listing = get(url.trim(), "/?prefix=").await;
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(failed.status, 503);
    assert_eq!((well.status, well.text().as_str()), (200, "abc"));
    assert!(listing.text().contains("<IsTruncated>true</IsTruncated>"));
}

#[test]
fn wrong_flags_are_a_usage_error() {
    for args in [
        &["--root"][..],
        &["--port", "1"],
        &["--root", ".", "--port", "x"],
        &["--what", "1"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_standin"))
            .args(args)
            .output()
            .unwrap();

        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("usage: standin"),
            "{args:?}"
        );
    }
}

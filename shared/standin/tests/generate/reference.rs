//! Runs the Python reference, which shares no code with the generator.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The folder of the reference.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference")
}

/// Runs Python in the reference's folder.
pub fn python(args: &[&str]) -> Output {
    Command::new("python3")
        .arg("-B")
        .args(args)
        .current_dir(folder())
        .output()
        .expect("python3, 3.11 or later, is needed for these tests")
}

/// What the reference makes of an archive: `args` are its options after the ZIP.
pub fn run(kind: &str, zip: &Path, args: &str) -> Value {
    let out = zip.with_extension(format!("{kind}.json"));
    let (zip, out_text) = (zip.to_str().unwrap(), out.to_str().unwrap());
    let mut words = vec!["reference.py", kind, zip, "--out", out_text];
    words.extend(args.split_whitespace());
    let output = python(&words);
    let told = String::from_utf8_lossy(&output.stderr);
    let text = std::fs::read_to_string(&out).unwrap_or_else(|error| panic!("{error}: {told}"));
    serde_json::from_str(&text).unwrap()
}

//! `completions` and `man`: generated from the commands themselves, so that they know every flag.

use tapemill_tests::Tapemill;

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

#[test]
fn shells_and_manuals_know_the_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |words: &[&str]| {
        let command = Tapemill::new(BINARY).folder(folder.path());
        command.args(words).run()
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]).expect(0).stdout;
        for part in ["verify", "against-klines", "min-volume"] {
            assert!(script.contains(part), "{shell} has no {part}");
        }
    }
    let script = folder.path().join("completions");
    std::fs::write(&script, run(&["completions", "bash"]).expect(0).stdout).expect("written");
    let parsed = std::process::Command::new("bash")
        .arg("-n")
        .arg(&script)
        .status();
    assert!(parsed.expect("bash").success());

    run(&["man", "man"]).expect(0);
    let page =
        std::fs::read_to_string(folder.path().join("man/tapemill-verify.1")).expect("a page");
    assert!(
        page.contains("against\\-klines") && page.contains(".SH"),
        "{page}"
    );
    run(&["completions", "tcsh"]).expect(2);
}

//! The `Dockerfile`, instruction by instruction, and what of the project its build sees.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The instructions of a Dockerfile.
pub struct Dockerfile {
    /// Name and arguments; continued lines are joined.
    pub instructions: Vec<(String, String)>,
}

impl Dockerfile {
    /// The project's.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    pub fn read() -> Self {
        let text = fs::read_to_string(project().join("Dockerfile")).expect("it is there");
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
        let instructions = joined
            .lines()
            .filter_map(|line| line.trim().split_once(char::is_whitespace))
            .map(|(name, rest)| {
                let words: Vec<&str> = rest.split_whitespace().collect();
                (name.to_uppercase(), words.join(" "))
            })
            .collect();
        Self { instructions }
    }

    /// The arguments of all instructions of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        let named = self.instructions.iter().filter(move |(one, _)| one == name);
        named.map(|(_, arguments)| arguments.as_str())
    }

    /// What `RUN` runs: its flags (`--mount=…`), and the command behind them.
    pub fn runs(&self) -> Vec<(Vec<&str>, &str)> {
        self.all("RUN")
            .map(|mut rest| {
                let mut flags = Vec::new();
                while let Some((flag, more)) =
                    rest.split_once(' ').filter(|_| rest.starts_with("--"))
                {
                    flags.push(flag);
                    rest = more;
                }
                (flags, rest)
            })
            .collect()
    }
}

/// The project's files that a build of the image sees, by their paths: those of the work tree that `.dockerignore` lets through.
///
/// # Panics
///
/// When `git` cannot list them, or `.dockerignore` holds a pattern that is not understood here.
#[track_caller]
pub fn image_context() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(project())
        .output()
        .expect("git is there");
    assert!(listed.status.success(), "the project is a git work tree");
    let rules = fs::read_to_string(project().join(".dockerignore")).expect("it is there");
    let rules: Vec<&str> = rules
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let files = String::from_utf8(listed.stdout).expect("plain paths");
    let seen = files.lines().filter(|file| is_seen(&rules, file));
    let there = seen.filter(|file| project().join(file).is_file());
    there.map(str::to_owned).collect()
}

/// The last rule that matches decides.
fn is_seen(rules: &[&str], file: &str) -> bool {
    rules.iter().fold(true, |seen, rule| {
        let (pattern, lets_through) = match rule.strip_prefix('!') {
            Some(pattern) => (pattern, true),
            None => (*rule, false),
        };
        match matches(pattern, file) {
            true => lets_through,
            false => seen,
        }
    })
}

fn matches(pattern: &str, file: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    if let Some(name) = pattern.strip_prefix("**/") {
        return file.split('/').any(|part| part == name);
    }
    assert!(!pattern.contains(['*', '?', '[']), "the pattern {pattern}");
    let rest = file.strip_prefix(pattern);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The project's folder.
pub fn project() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests lie in it").to_owned()
}

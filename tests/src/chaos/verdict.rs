//! What came of it.

use std::collections::BTreeMap;
use std::fmt;

use super::look::{Books, Counts};
use super::tally::Tally;

/// How many differences are named.
const NAMED: usize = 10;

/// The end of a run of chaos.
#[derive(Debug)]
pub struct Verdict {
    pub(super) tasks: u64,
    pub(super) counts: Counts,
    /// One for each time the queue was lost, and the last.
    pub(super) books: Vec<Books>,
    pub(super) files: usize,
    pub(super) differences: Vec<String>,
    pub(super) defects: Vec<String>,
    pub(super) tally: Tally,
    pub(super) seconds: f64,
}

impl Verdict {
    /// Completions that were accepted although the task was completed before.
    pub fn doubles(&self) -> u64 {
        self.books.iter().map(Books::doubles).sum()
    }

    /// Whether all is as it should be.
    pub fn is_good(&self) -> bool {
        self.problems().is_empty()
    }

    /// What is not as it should be, a line each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.defects.clone();
        let mut problem = |is: bool, text: String| {
            if is {
                problems.push(text);
            }
        };
        let Counts {
            done,
            pending,
            leased,
            missing,
            dead,
            ..
        } = self.counts;
        problem(
            done != self.tasks,
            format!(
                "{done} of {} tasks are done; {pending} pending, {leased} leased, {missing} missing, {dead} dead",
                self.tasks
            ),
        );
        problem(
            self.doubles() > 0,
            format!("{} double completions were accepted", self.doubles()),
        );
        problem(
            self.books.is_empty(),
            "the queue could not be read".to_owned(),
        );
        problem(
            !self.differences.is_empty(),
            format!(
                "{} files differ from an undisturbed run, such as {}",
                self.differences.len(),
                self.differences[..self.differences.len().min(NAMED)].join(", ")
            ),
        );
        problems
    }
}

/// What differs between two outputs.
pub(super) fn differences(
    is: &BTreeMap<String, String>,
    ought: &BTreeMap<String, String>,
) -> Vec<String> {
    let missing = ought.keys().filter(|path| !is.contains_key(*path));
    let missing = missing.map(|path| format!("{path} (not there)"));
    let others = is.iter().filter_map(|(path, hash)| match ought.get(path) {
        None => Some(format!("{path} (not wanted)")),
        Some(right) => (right != hash).then(|| format!("{path} (other bytes)")),
    });
    missing.chain(others).collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "after {:.1} s:", self.seconds)?;
        for (words, count) in self.tally.sums() {
            writeln!(f, "  {words}: {count}")?;
        }
        writeln!(f, "tasks done: {} of {}", self.counts.done, self.tasks)?;
        writeln!(f, "tasks dead: {}", self.counts.dead)?;
        let right = self.files.saturating_sub(self.differences.len());
        writeln!(
            f,
            "files with the bytes of an undisturbed run: {right} of {}",
            self.files
        )?;
        for books in &self.books {
            writeln!(
                f,
                "completions accepted: {} for {} tasks completed ({} more were found finished by planning)",
                books.completions, books.completed, books.adopted
            )?;
        }
        writeln!(f, "accepted double completions: {}", self.doubles())?;
        for problem in self.problems() {
            writeln!(f, "WRONG: {problem}")?;
        }
        f.write_str(if self.is_good() { "good" } else { "not good" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(path, hash): &(&str, &str)| (path.to_string(), hash.to_string());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let is = map(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let ought = map(&[("a", "1"), ("b", "9"), ("d", "4")]);

        let found = differences(&is, &ought);

        assert_eq!(
            found,
            ["d (not there)", "b (other bytes)", "c (not wanted)"]
        );
        assert!(differences(&is, &is).is_empty());
    }

    #[test]
    fn a_completion_too_many_is_told_although_all_else_is_right() {
        let verdict = |completions| Verdict {
            tasks: 2,
            counts: Counts {
                done: 2,
                completions,
                ..Counts::default()
            },
            books: vec![Books {
                completions,
                completed: 2,
                adopted: 0,
            }],
            files: 2,
            differences: Vec::new(),
            defects: Vec::new(),
            tally: Tally::default(),
            seconds: 1.0,
        };

        assert!(verdict(2).is_good());
        assert!(!verdict(3).is_good());
        assert_eq!(verdict(3).doubles(), 1);
        assert!(
            verdict(3)
                .to_string()
                .contains("accepted double completions: 1\n")
        );
    }
}

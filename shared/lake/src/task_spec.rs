//! What a plan says of an archive's task beside its name.

use std::fmt;

/// What the plan saw in the output of the files that a task replaces. Most tasks replace none, and a bucket need not be
/// asked for what it does not have.
///
/// As text its words, with a space between: a queue holds many tasks, and most have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskSpec {
    /// There are files of days that the month replaces: `days`. Where a bucket keeps versions, each removal of a file that
    /// is not there would leave a mark.
    pub days: bool,
    /// There are files of the task itself, which is done again: `again`.
    pub again: bool,
    /// Holes of up to so many days are filled from elsewhere: `repair:30`.
    pub repair: Option<u32>,
}

impl TaskSpec {
    /// Reads a task's spec. Words of other releases are passed over.
    pub fn of(spec: &str) -> Self {
        let has = |wanted: &str| spec.split(' ').any(|word| word == wanted);
        Self {
            days: has("days"),
            again: has("again"),
            repair: spec
                .split(' ')
                .find_map(|word| word.strip_prefix("repair:")?.parse().ok()),
        }
    }
}

impl fmt::Display for TaskSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            self.days.then(|| "days".to_owned()),
            self.again.then(|| "again".to_owned()),
            self.repair.map(|days| format!("repair:{days}")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_comes_back_from_its_text() {
        for (days, again) in [(false, false), (true, false), (false, true), (true, true)] {
            for repair in [None, Some(30)] {
                let spec = TaskSpec {
                    days,
                    again,
                    repair,
                };

                assert_eq!(TaskSpec::of(&spec.to_string()), spec);
            }
        }
        assert_eq!(TaskSpec::default().to_string(), "");
    }

    #[test]
    fn other_words_say_nothing() {
        for text in ["rest 1714694400000", "daysagain", " ", "Days"] {
            assert_eq!(TaskSpec::of(text), TaskSpec::default(), "{text:?}");
        }
        assert!(TaskSpec::of("later days again").again);
    }
}

//! Counts by what they are of.

use tapemill_capture::Dataset;

use super::Counts;

/// The cause of an end that was asked for: nothing takes the connection's place.
const SHUTDOWN: &str = "shutdown";

/// Counts by a label of few values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<Of>(Vec<(Of, u64)>);

impl<Of> Default for Tally<Of> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Of: Copy + PartialEq> Tally<Of> {
    /// Counts so many more.
    pub fn add(&mut self, of: Of, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == of) {
            Some((_, counted)) => *counted += count,
            None => self.0.push((of, count)),
        }
    }

    /// What was counted of a value.
    pub fn of(&self, of: Of) -> u64 {
        let mut counted = self.iter();
        counted
            .find(|(known, _)| *known == of)
            .map_or(0, |(_, counted)| counted)
    }

    /// All values that are known.
    pub fn iter(&self) -> impl Iterator<Item = (Of, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Adds another's.
    pub fn extend(&mut self, other: &Self) {
        other.iter().for_each(|(of, count)| self.add(of, count));
    }
}

impl Counts {
    /// Rows that are to be stored.
    pub(super) fn take_rows(&mut self, dataset: Dataset, count: u64) {
        self.rows += count;
        self.rows_of.add(dataset, count);
    }

    /// What is told in the ledger.
    pub(super) fn tell(&mut self, event_type: &str, cause: Option<&'static str>) {
        if let ("connection_closed", Some(cause)) = (event_type, cause)
            && cause != SHUTDOWN
        {
            self.reconnects.add(cause, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_the_sum_whoever_counted_it() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        one.add("silent", 2);
        other.add("rotation", 0);
        other.add("silent", 3);

        one.extend(&other);

        let counted: Vec<_> = one.iter().collect();
        assert_eq!(counted, [("silent", 5), ("rotation", 0)]);
        assert_eq!((one.of("silent"), one.of("disconnect")), (5, 0));
    }

    #[test]
    fn a_connection_that_was_told_to_end_is_not_replaced() {
        let mut counts = Counts::default();
        for cause in ["disconnect", "shutdown", "rotation", "disconnect"] {
            counts.tell("connection_closed", Some(cause));
            counts.tell("gap", Some(cause));
        }

        let counted: Vec<_> = counts.reconnects.iter().collect();
        assert_eq!(counted, [("disconnect", 2), ("rotation", 1)]);
    }
}

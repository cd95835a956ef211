//! Streams without a chain of their own: what their ids tell.

use crate::hole::{Hole, Link, Mark};

/// A stream whose ids count its events one by one: aggregated trades and trades.
#[derive(Debug, Clone, Default)]
pub struct Counting {
    last: Option<Mark>,
}

impl Counting {
    /// A stream before its first event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on behind this event, the last that is known to be there.
    pub fn resume(&mut self, last: Mark) {
        self.last = Some(last);
    }

    /// The last event so far.
    pub fn last(&self) -> Option<Mark> {
        self.last
    }

    /// How the next event follows; a hole tells how many are missing. All but a duplicate become the last.
    pub fn next(&mut self, event: Mark) -> Link {
        let link = match self.last {
            None => Link::Continues,
            Some(last) if event.id <= last.id => return Link::Duplicate,
            Some(last) => match event.id.abs_diff(last.id) - 1 {
                0 => Link::Continues,
                missing => Link::Breaks(Hole {
                    after: Some(last),
                    before: Some(event),
                    missing: Some(missing),
                }),
            },
        };
        self.last = Some(event);
        link
    }
}

/// A stream whose ids only grow: best prices, mark prices, klines, liquidations. They prove no event missing and none
/// complete: holes of such a stream are known from its connections alone.
#[derive(Debug, Clone, Default)]
pub struct Ordered {
    last: Option<Mark>,
}

impl Ordered {
    /// A stream before its first event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on behind this event, the last that is known to be there.
    pub fn resume(&mut self, last: Mark) {
        self.last = Some(last);
    }

    /// The last event so far.
    pub fn last(&self) -> Option<Mark> {
        self.last
    }

    /// How the next event follows: never with a hole. Equal ids are two events, for times can be equal; an older one
    /// has been before.
    pub fn next(&mut self, event: Mark) -> Link {
        if self.last.is_some_and(|last| event.id < last.id) {
            return Link::Duplicate;
        }
        self.last = Some(event);
        Link::Continues
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(id: i64) -> Mark {
        Mark {
            id,
            event_ms: 1000 + id,
        }
    }

    #[test]
    fn a_hole_of_counted_events_knows_its_size() {
        let mut trades = Counting::new();
        assert_eq!(trades.next(mark(7)), Link::Continues);
        assert_eq!(trades.next(mark(8)), Link::Continues);

        let link = trades.next(mark(12));

        assert_eq!(
            link,
            Link::Breaks(Hole {
                after: Some(mark(8)),
                before: Some(mark(12)),
                missing: Some(3)
            })
        );
        assert_eq!(trades.next(mark(8)), Link::Duplicate);
        assert_eq!(trades.next(mark(12)), Link::Duplicate);
        assert_eq!(trades.next(mark(13)), Link::Continues);
    }

    #[test]
    fn two_events_of_one_time_are_two_events() {
        let mut marks = Ordered::new();

        assert_eq!(marks.next(mark(5)), Link::Continues);
        assert_eq!(marks.next(mark(5)), Link::Continues);
        assert_eq!(marks.next(mark(4)), Link::Duplicate);
        assert_eq!(marks.last(), Some(mark(5)));
    }

    proptest! {
        #[test]
        fn holes_and_events_add_up_to_all_ids(
            seen in prop::collection::vec(prop::bool::weighted(0.7), 1..200),
        ) {
            let mut trades = Counting::new();
            let ids: Vec<i64> = seen
                .iter()
                .zip(0_i64..)
                .filter_map(|(seen, id)| seen.then_some(id))
                .collect();
            let mut missing = 0;
            for id in &ids {
                if let Link::Breaks(hole) = trades.next(mark(*id)) {
                    missing += hole.missing.unwrap();
                }
            }
            if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
                prop_assert_eq!(missing + ids.len() as u64, first.abs_diff(*last) + 1);
            }
        }
    }
}

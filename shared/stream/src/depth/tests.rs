use proptest::prelude::*;

use super::*;

fn futures(previous: i64, first: i64, last: i64) -> Ids {
    Ids {
        first,
        last,
        previous: Some(previous),
        event_ms: last,
    }
}

fn spot(first: i64, last: i64) -> Ids {
    Ids {
        first,
        last,
        previous: None,
        event_ms: last,
    }
}

#[test]
fn a_futures_update_continues_when_it_names_the_one_before() {
    let mut chain = Chain::new(Market::Um);

    assert_eq!(chain.next(futures(5, 8, 10)), Link::Continues);
    assert_eq!(chain.next(futures(10, 14, 20)), Link::Continues);
    assert_eq!(chain.next(futures(10, 14, 20)), Link::Duplicate);
    assert_eq!(chain.next(futures(5, 8, 10)), Link::Duplicate);
    assert_eq!(chain.next(futures(20, 21, 22)), Link::Continues);
}

#[test]
fn a_hole_is_told_once() {
    let mut chain = Chain::new(Market::Cm);
    chain.next(futures(5, 8, 10));

    let link = chain.next(futures(12, 14, 20));

    let hole = Hole {
        after: Some(Mark {
            id: 10,
            event_ms: 10,
        }),
        before: Some(Mark {
            id: 20,
            event_ms: 20,
        }),
        missing: None,
    };
    assert_eq!(link, Link::Breaks(hole));
    assert_eq!(chain.next(futures(20, 21, 30)), Link::Continues);
}

#[test]
fn a_spot_update_may_overlap_the_one_before() {
    let mut chain = Chain::new(Market::Spot);

    assert_eq!(chain.next(spot(1, 10)), Link::Continues);
    assert_eq!(chain.next(spot(11, 12)), Link::Continues);
    assert_eq!(chain.next(spot(9, 15)), Link::Continues);
    assert_eq!(chain.next(spot(13, 15)), Link::Duplicate);
    assert!(matches!(chain.next(spot(17, 18)), Link::Breaks(_)));
}

#[test]
fn small_jumps_pass_only_where_they_may_and_are_told() {
    let mut chain = Chain::new(Market::Spot).tolerating(3);
    chain.next(spot(1, 10));

    assert!(matches!(chain.next(spot(14, 20)), Link::Tolerated(_)));
    assert!(matches!(chain.next(spot(25, 30)), Link::Breaks(_)));
}

#[test]
fn a_resumed_chain_proves_an_outage_harmless_or_tells_the_hole() {
    let last = Mark {
        id: 10,
        event_ms: 7,
    };
    let mut chain = Chain::new(Market::Um);
    chain.resume(last);
    assert_eq!(chain.next(futures(10, 14, 20)), Link::Continues);

    chain.resume(last);
    let Link::Breaks(hole) = chain.next(futures(20, 21, 30)) else {
        panic!("something is missing");
    };
    assert_eq!(hole.after, Some(last));
}

#[test]
fn a_futures_snapshot_may_end_anywhere_between_two_updates() {
    let events = [futures(5, 8, 10), futures(10, 14, 20), futures(20, 25, 30)];
    for (snapshot, from) in [
        (5, events[0]),
        (7, events[0]),
        (10, events[0]),
        (11, events[1]),
        (13, events[1]),
        (14, events[1]),
        (20, events[1]),
        (21, events[2]),
        (30, events[2]),
    ] {
        let mut anchor = Anchor::new(Market::Um);
        for ids in events {
            assert_eq!(anchor.event(ids), Fit::Waits);
        }
        assert_eq!(anchor.snapshot(snapshot), Fit::Anchored { from });

        let mut anchor = Anchor::new(Market::Um);
        assert_eq!(anchor.snapshot(snapshot), Fit::Waits);
        let fits: Vec<_> = events.into_iter().map(|ids| anchor.event(ids)).collect();
        let first = fits.iter().position(|fit| *fit != Fit::Waits);
        assert_eq!(first, events.iter().position(|ids| *ids == from));
        assert_eq!(fits[first.unwrap()], Fit::Anchored { from });
    }
}

#[test]
fn a_snapshot_older_than_what_is_known_is_too_old_whichever_comes_first() {
    let mut anchor = Anchor::new(Market::Um);
    anchor.event(futures(5, 8, 10));
    assert_eq!(anchor.snapshot(4), Fit::TooOld);
    assert_eq!(anchor.event(futures(10, 11, 12)), Fit::Waits);
    assert_eq!(
        anchor.snapshot(12),
        Fit::Anchored {
            from: futures(10, 11, 12)
        }
    );

    let mut anchor = Anchor::new(Market::Spot);
    assert_eq!(anchor.snapshot(4), Fit::Waits);
    assert_eq!(anchor.event(spot(6, 9)), Fit::TooOld);
    assert_eq!(anchor.event(spot(10, 12)), Fit::Waits);
    assert_eq!(anchor.snapshot(12), Fit::Waits);
    assert_eq!(
        anchor.event(spot(13, 13)),
        Fit::Anchored { from: spot(13, 13) }
    );
}

#[test]
fn a_spot_snapshot_anchors_at_the_update_that_covers_the_next_id() {
    for (snapshot, fit) in [
        (4, Fit::TooOld),
        (5, Fit::Anchored { from: spot(6, 9) }),
        (8, Fit::Anchored { from: spot(6, 9) }),
        (9, Fit::Anchored { from: spot(10, 12) }),
        (11, Fit::Anchored { from: spot(10, 12) }),
        (12, Fit::Waits),
    ] {
        let mut anchor = Anchor::new(Market::Spot);
        anchor.event(spot(6, 9));
        anchor.event(spot(10, 12));
        assert_eq!(anchor.snapshot(snapshot), fit, "{snapshot}");
    }
}

#[test]
fn what_lies_before_a_hole_anchors_nothing() {
    let mut anchor = Anchor::new(Market::Um);
    anchor.event(futures(5, 8, 10));
    anchor.event(futures(15, 18, 20));

    assert_eq!(anchor.snapshot(10), Fit::TooOld);
    assert_eq!(
        anchor.snapshot(16),
        Fit::Anchored {
            from: futures(15, 18, 20)
        }
    );
}

/// An exchange's book as it truly is: one slot that each id sets, or does not (futures ids skip).
#[derive(Debug, Clone)]
struct Truth {
    market: Market,
    events: Vec<Ids>,
}

fn truth() -> impl Strategy<Value = Truth> {
    let steps = prop::collection::vec((0_i64..4, 1_i64..5), 2..40);
    (prop::bool::ANY, steps).prop_map(|(is_spot, steps)| {
        let mut at = 100;
        let mut events = Vec::new();
        for (skip, length) in steps {
            let skip = if is_spot { 0 } else { skip };
            let (first, last) = (at + skip + 1, at + skip + length);
            let previous = (!is_spot).then_some(at);
            events.push(Ids {
                first,
                last,
                previous,
                event_ms: last,
            });
            at = last;
        }
        Truth {
            market: if is_spot { Market::Spot } else { Market::Um },
            events,
        }
    })
}

proptest! {
    #[test]
    fn a_chain_breaks_exactly_where_an_event_was_lost(
        truth in truth(),
        lost in prop::collection::vec(prop::bool::weighted(0.2), 40),
        twice in prop::collection::vec(prop::bool::weighted(0.2), 40),
    ) {
        let mut chain = Chain::new(truth.market);
        let mut begun = false;
        let mut lost_before = false;
        for (index, ids) in truth.events.iter().enumerate() {
            if lost[index] {
                lost_before = true;
                continue;
            }
            let link = chain.next(*ids);
            prop_assert_eq!(
                matches!(link, Link::Breaks(_)),
                begun && lost_before,
                "event {}", index
            );
            if twice[index] {
                prop_assert_eq!(chain.next(*ids), Link::Duplicate);
            }
            begun = true;
            lost_before = false;
        }
    }

    /// Whatever is lost, wherever the snapshot lies and whenever it comes: an anchor never leaves out an event that
    /// the book needs, and finds one whenever there is one.
    #[test]
    fn an_anchored_book_is_the_true_book(
        truth in truth(),
        missed in 0_usize..6,
        snapshot in 95_i64..260,
        comes_at in 0_usize..40,
    ) {
        let mut anchor = Anchor::new(truth.market);
        let known = &truth.events[missed.min(truth.events.len())..];
        let comes_at = comes_at.min(known.len());
        let mut fit = Fit::Waits;
        for (index, ids) in known.iter().enumerate() {
            if index == comes_at && fit == Fit::Waits {
                fit = anchor.snapshot(snapshot);
            }
            let next = anchor.event(*ids);
            if fit == Fit::Waits {
                fit = next;
            }
        }
        if comes_at == known.len() {
            fit = anchor.snapshot(snapshot);
        }
        // The ids that a book of this snapshot still needs are those of events behind it, lost ones included.
        let needed = truth.events.iter().position(|ids| ids.last > snapshot);
        let is_before_all = snapshot < 100;
        match fit {
            Fit::Anchored { from } => {
                let at = truth.events.iter().position(|ids| *ids == from).unwrap();
                prop_assert!(!is_before_all);
                prop_assert!(at >= missed);
                prop_assert!(needed.is_none_or(|needed| at <= needed), "{at} {needed:?}");
            }
            Fit::TooOld => {
                prop_assert!(is_before_all || needed.is_some_and(|needed| needed < missed));
            }
            Fit::Waits => {
                prop_assert!(known.last().is_none_or(|ids| ids.last <= snapshot));
            }
        }
    }
}

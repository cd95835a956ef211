//! Replay and grid against a book that is known at every id, whatever was lost, sent twice or stored late.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tapemill_book::{Book, DepthRow, Grid, Levels, Listener, Moment, Replay, Step};
use tapemill_market::Market;
use tapemill_stream::{Hole, Ids};

/// Quantities by price, of one side.
type Truth = BTreeMap<u32, f64>;

#[derive(Debug, Clone)]
struct Event {
    ids: Ids,
    /// Prices and quantities; the same on both sides, the asks 1000 higher.
    changes: Vec<(u32, f64)>,
}

#[derive(Debug, Clone, Copy)]
enum Stored {
    Update(usize),
    /// The book as it was after this event and this many changes of the next.
    Snapshot(usize, usize),
}

#[derive(Debug, Clone)]
struct World {
    market: Market,
    events: Vec<Event>,
    stored: Vec<Stored>,
}

impl World {
    fn truth(&self, event: usize, more: usize) -> Truth {
        let mut truth = Truth::new();
        let after = self.events[..=event]
            .iter()
            .flat_map(|event| &event.changes);
        let next = self.events.get(event + 1).into_iter();
        for &(price, quantity) in after.chain(next.flat_map(|event| &event.changes[..more])) {
            if quantity == 0.0 {
                truth.remove(&price);
            } else {
                truth.insert(price, quantity);
            }
        }
        truth
    }

    /// The last id of a snapshot: an event's own, or one of the next, whose ids are one a change.
    fn snapshot_id(&self, event: usize, more: usize) -> i64 {
        match self.events.get(event + 1) {
            Some(next) if more > 0 => next.ids.first + more as i64 - 1,
            _ => self.events[event].ids.last,
        }
    }

    fn replay(&self, listener: &mut impl Listener) -> (Replay, Vec<Step>) {
        let mut replay = Replay::new(self.market);
        let steps = self.stored.iter().map(|stored| {
            let (ids, is_snapshot, changes) = match *stored {
                Stored::Update(event) => {
                    let event = &self.events[event];
                    (event.ids, false, event.changes.clone())
                }
                Stored::Snapshot(event, more) => {
                    let last = self.snapshot_id(event, more);
                    // A snapshot's time is of another clock.
                    let ids = Ids {
                        first: last,
                        last,
                        previous: Some(last - 1),
                        event_ms: 5_000_000,
                    };
                    (ids, true, self.truth(event, more).into_iter().collect())
                }
            };
            let bids: Vec<f64> = changes.iter().map(|(price, _)| f64::from(*price)).collect();
            let asks: Vec<f64> = bids.iter().map(|price| price + 1000.0).collect();
            let quantities: Vec<f64> = changes.iter().map(|(_, quantity)| *quantity).collect();
            let levels = |prices| Levels {
                prices,
                quantities: &quantities,
            };
            let row = DepthRow {
                ids,
                is_snapshot,
                transaction_ms: None,
                received_ns: 0,
                bids: levels(&bids),
                asks: levels(&asks),
            };
            replay.row(&row, listener)
        });
        let steps = steps.collect();
        (replay, steps)
    }
}

fn world() -> impl Strategy<Value = World> {
    let changes = prop::collection::vec((1_u32..20, 0_u8..3), 1..4);
    let event = (changes, 0_i64..3, 1_i64..400);
    let fate = (
        prop::bool::weighted(0.06),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        -4_i64..3,
        0_usize..3,
    );
    let steps = prop::collection::vec((event, fate), 2..60);
    (prop::bool::ANY, steps).prop_map(|(is_spot, steps)| {
        let (mut at, mut event_ms) = (100, 1_000_000);
        let mut events = Vec::new();
        for ((changes, skip, wait), _) in &steps {
            let first = at + 1 + if is_spot { 0 } else { *skip };
            let last = first + changes.len() as i64 - 1;
            event_ms += wait;
            events.push(Event {
                ids: Ids {
                    first,
                    last,
                    previous: (!is_spot).then_some(at),
                    event_ms,
                },
                changes: changes.iter().map(|(p, q)| (*p, f64::from(*q))).collect(),
            });
            at = last;
        }
        let mut stored = Vec::new();
        for (index, (_, (is_lost, is_twice, has_snapshot, lag, more))) in steps.iter().enumerate() {
            if !is_lost {
                stored.push(Stored::Update(index));
                if *is_twice {
                    stored.push(Stored::Update(index));
                }
            }
            let of = index as i64 + lag;
            if *has_snapshot
                && let Some(of) = usize::try_from(of).ok().filter(|of| *of < events.len())
            {
                let next = events
                    .get(of + 1)
                    .map_or(0, |next: &Event| next.changes.len() - 1);
                stored.push(Stored::Snapshot(of, (*more).min(next)));
            }
        }
        World {
            market: if is_spot { Market::Spot } else { Market::Um },
            events,
            stored,
        }
    })
}

/// Compares the book with the true one whenever it is told of, and writes down from which event to which there was one.
struct Judge<'a> {
    world: &'a World,
    runs: Vec<(usize, usize)>,
    is_whole: bool,
}

impl Judge<'_> {
    fn event_at(&self, event_ms: i64) -> usize {
        let events = &self.world.events;
        events
            .iter()
            .position(|event| event.ids.event_ms == event_ms)
            .expect("an event's time")
    }

    #[track_caller]
    fn compare(&self, event: usize, book: &Book) {
        let truth = self.world.truth(event, 0);
        let asks: Vec<_> = truth
            .iter()
            .map(|(p, q)| (f64::from(*p) + 1000.0, *q))
            .collect();
        let mut bids: Vec<_> = truth.iter().map(|(p, q)| (f64::from(*p), *q)).collect();
        bids.reverse();
        assert_eq!(
            book.bids.levels().collect::<Vec<_>>(),
            bids,
            "event {event}"
        );
        assert_eq!(
            book.asks.levels().collect::<Vec<_>>(),
            asks,
            "event {event}"
        );
    }

    fn last(&self) -> usize {
        self.runs.last().expect("a run").1
    }

    fn go_on(&mut self, event: usize) {
        self.runs.last_mut().expect("a run").1 = event;
    }
}

impl Listener for Judge<'_> {
    fn before(&mut self, event_ms: i64, book: &Book) {
        assert!(self.is_whole);
        self.compare(self.last(), book);
        let event = self.event_at(event_ms);
        assert_eq!(event, self.last() + 1, "none is left out");
        self.go_on(event);
    }

    fn applied(&mut self, update: &DepthRow<'_>, book: &Book) {
        assert_eq!(self.event_at(update.ids.event_ms), self.last());
        self.compare(self.last(), book);
    }

    fn anchored(&mut self, event_ms: i64, book: &Book) {
        assert!(!self.is_whole);
        self.is_whole = true;
        let event = self.event_at(event_ms);
        self.runs.push((event, event));
        self.compare(event, book);
    }

    fn settled(&mut self, at: Moment, book: &Book) {
        assert_eq!(self.event_at(at.event_ms), self.last());
        self.compare(self.last(), book);
    }

    fn hole(&mut self, hole: &Hole, _: Moment, book: &Book) {
        assert!(self.is_whole);
        self.is_whole = false;
        self.compare(self.last(), book);
        assert_eq!(
            hole.after.unwrap().id,
            self.world.events[self.last()].ids.last
        );
    }
}

fn judge(world: &World) -> Judge<'_> {
    Judge {
        world,
        runs: Vec::new(),
        is_whole: false,
    }
}

/// The rows that a grid should have, made from the true book alone: time, best bid, best ask.
fn expected(
    world: &World,
    runs: &[(usize, usize)],
    step_ms: i64,
) -> Vec<(i64, Option<f64>, Option<f64>)> {
    let time = |event: usize| world.events[event].ids.event_ms;
    let mut rows = Vec::new();
    for &(first, last) in runs {
        for at in time(first)..=time(last) {
            if at % step_ms == 0 {
                let event = (first..=last)
                    .rev()
                    .find(|event| time(*event) <= at)
                    .unwrap();
                let truth = world.truth(event, 0);
                let bid = truth.last_key_value().map(|(price, _)| f64::from(*price));
                let ask = truth
                    .first_key_value()
                    .map(|(price, _)| f64::from(*price) + 1000.0);
                rows.push((at, bid, ask));
            }
        }
    }
    rows
}

fn rows(
    world: &World,
    step_ms: i64,
    range_ms: std::ops::Range<i64>,
) -> Vec<(i64, Option<f64>, Option<f64>)> {
    let mut grid = Grid::new(3, step_ms, range_ms);
    let (replay, _) = world.replay(&mut grid);
    if let Some(book) = replay.book() {
        grid.finish(book);
    }
    let series = grid.series();
    let price = |column: usize, row: usize| {
        Some(series.columns[column][row]).filter(|price| !price.is_nan())
    };
    let times = series.times_ms.iter().enumerate();
    times
        .map(|(row, at)| (*at, price(0, row), price(2, row)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn wherever_there_is_a_book_it_is_the_true_one(world in world()) {
        let mut judge = judge(&world);

        let (replay, steps) = world.replay(&mut judge);

        prop_assert_eq!(replay.book().is_some(), judge.is_whole);
        let anchored = steps.iter().filter(|step| **step == Step::Anchored).count();
        prop_assert_eq!(anchored, judge.runs.len());
        prop_assert_eq!(replay.counts().anchored, anchored as u64);
        let applied: usize = judge.runs.iter().map(|(first, last)| last - first + 1).sum();
        prop_assert_eq!(replay.counts().applied, applied as u64);
        // Every snapshot is of the true book.
        prop_assert_eq!(replay.counts().differing, 0);
    }

    #[test]
    fn a_grid_never_knows_what_had_not_happened_and_has_no_row_in_a_hole(
        world in world(),
        step_ms in 1_i64..300,
    ) {
        let mut judge = judge(&world);
        world.replay(&mut judge);

        let rows = rows(&world, step_ms, 0..i64::MAX);

        prop_assert_eq!(rows, expected(&world, &judge.runs, step_ms));
    }

    #[test]
    fn ranges_cut_anywhere_have_the_same_rows(world in world(), step_ms in 1_i64..300, cut in 1_000_000_i64..1_012_000) {
        let mut parts = rows(&world, step_ms, 0..cut);
        parts.extend(rows(&world, step_ms, cut..i64::MAX));

        prop_assert_eq!(parts, rows(&world, step_ms, 0..i64::MAX));
    }
}

#[test]
fn a_late_snapshot_begins_the_book_where_its_updates_do() {
    let ids = |previous, last, event_ms| Ids {
        first: last,
        last,
        previous: Some(previous),
        event_ms,
    };
    let event = |previous, last, event_ms| Event {
        ids: ids(previous, last, event_ms),
        changes: vec![(1, last as f64)],
    };
    let world = World {
        market: Market::Um,
        events: vec![event(0, 10, 1000), event(10, 20, 1100), event(20, 30, 1200)],
        stored: vec![
            Stored::Update(0),
            Stored::Update(1),
            Stored::Update(2),
            Stored::Snapshot(0, 0),
        ],
    };
    let mut judge = judge(&world);

    let (_, steps) = world.replay(&mut judge);

    assert_eq!(
        steps,
        [Step::Waits, Step::Waits, Step::Waits, Step::Anchored]
    );
    assert_eq!(judge.runs, [(0, 2)]);
    let times: Vec<_> = rows(&world, 100, 0..i64::MAX)
        .iter()
        .map(|row| row.0)
        .collect();
    assert_eq!(times, [1000, 1100, 1200]);
}

#[test]
fn a_snapshot_of_the_future_waits_for_its_update() {
    let event = |previous, last, event_ms| Event {
        ids: Ids {
            first: last,
            last,
            previous: Some(previous),
            event_ms,
        },
        changes: vec![(last as u32, 1.0)],
    };
    let world = World {
        market: Market::Um,
        events: vec![
            event(0, 1, 1000),
            event(1, 2, 1100),
            event(2, 3, 1200),
            event(3, 4, 1300),
        ],
        stored: vec![
            Stored::Update(0),
            Stored::Snapshot(0, 0),
            Stored::Snapshot(2, 0),
            Stored::Update(1),
            Stored::Update(2),
            Stored::Update(3),
        ],
    };
    let mut judge = judge(&world);

    let (replay, steps) = world.replay(&mut judge);

    assert_eq!(
        steps,
        [
            Step::Waits,
            Step::Anchored,
            Step::Waits,
            Step::Applied,
            Step::Renewed,
            Step::Applied
        ]
    );
    assert_eq!(judge.runs, [(0, 3)]);
    assert_eq!(replay.counts().renewed, 1);
}

#[test]
fn a_snapshot_that_is_not_the_book_is_counted_as_far_as_both_reach() {
    let mut replay = Replay::new(Market::Um);
    let mut row = |last: i64, is_snapshot, bids: &[(f64, f64)]| {
        let (prices, quantities): (Vec<_>, Vec<_>) = bids.iter().copied().unzip();
        let ids = Ids {
            first: last,
            last,
            previous: Some(last - 1),
            event_ms: last,
        };
        let bids = Levels {
            prices: &prices,
            quantities: &quantities,
        };
        let row = DepthRow {
            ids,
            is_snapshot,
            transaction_ms: None,
            received_ns: 0,
            bids,
            asks: Levels::default(),
        };
        replay.row(&row, &mut ());
        replay.counts()
    };
    row(1, false, &[(10.0, 1.0)]);
    row(1, true, &[(10.0, 1.0), (8.0, 1.0)]);
    row(2, false, &[(9.0, 2.0)]);
    // What lies below 8 was never known.
    let counts = row(2, true, &[(10.0, 1.0), (9.0, 2.0), (8.0, 1.0), (7.0, 5.0)]);
    assert_eq!((counts.renewed, counts.differing), (1, 0));
    row(3, false, &[(10.0, 3.0)]);
    let counts = row(3, true, &[(10.0, 3.0), (9.0, 5.0), (8.0, 1.0)]);
    assert_eq!((counts.renewed, counts.differing), (2, 1));
    row(4, false, &[(10.0, 0.0)]);
    // Below the worst level of a snapshot nothing is said.
    let counts = row(4, true, &[(9.0, 5.0)]);
    assert_eq!((counts.renewed, counts.differing), (3, 1));
    let counts = row(4, true, &[(9.0, 5.0), (8.5, 1.0), (8.0, 1.0)]);
    assert_eq!((counts.renewed, counts.differing), (4, 1));
    // A level that it lacks, and one that should be gone.
    row(5, false, &[(9.5, 1.0)]);
    let counts = row(5, true, &[(9.0, 5.0), (8.0, 1.0)]);
    assert_eq!((counts.renewed, counts.differing), (5, 2));
}

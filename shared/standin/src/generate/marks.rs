use std::collections::BTreeSet;

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

/// A few row numbers chosen at random, asked for in ascending order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    rows: Vec<u64>,
    next: usize,
}

impl Marks {
    /// `count` distinct rows of `from..to`; fewer where there are not as many.
    pub(crate) fn choose(rng: &mut Xoshiro256PlusPlus, count: u64, from: u64, to: u64) -> Self {
        let room = to.saturating_sub(from);
        let mut rows = BTreeSet::new();
        if count >= room {
            rows.extend(from..to);
        }
        while (rows.len() as u64) < count.min(room) {
            rows.insert(rng.random_range(from..to));
        }
        Self {
            rows: rows.into_iter().collect(),
            next: 0,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Whether `row` is marked. Rows are asked for in ascending order, each once.
    pub(crate) fn hit(&mut self, row: u64) -> bool {
        let hit = self.rows.get(self.next) == Some(&row);
        self.next += usize::from(hit);
        hit
    }
}

//! An order book: quantities by price, the best at hand.

/// The most levels a side holds; past them the worst price is forgotten. Real books have a few thousand.
const MOST_LEVELS: usize = 1 << 20;

/// One side of a book. Best first is how it is read, worst first how it is stored: most updates change the best few
/// levels, and so move little.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    is_bid: bool,
    /// The price's bits as a key that grows towards the best, and its quantity; ascending.
    levels: Vec<(u64, f64)>,
}

impl Side {
    fn new(is_bid: bool) -> Self {
        Self {
            is_bid,
            levels: Vec::new(),
        }
    }

    /// Sets the quantity at a price; 0 removes the level, and removing none is normal.
    ///
    /// Prices are positive and finite: the bits of such numbers sort as they do.
    pub fn set(&mut self, price: f64, quantity: f64) {
        let key = self.key(price);
        let at = self.place(key);
        let is_there = self.levels.get(at).is_some_and(|level| level.0 == key);
        match (is_there, quantity == 0.0) {
            (true, true) => {
                self.levels.remove(at);
            }
            (true, false) => self.levels[at].1 = quantity,
            (false, true) => {}
            (false, false) if self.levels.len() < MOST_LEVELS => {
                self.levels.insert(at, (key, quantity));
            }
            (false, false) if at == 0 => {}
            (false, false) => {
                self.levels.insert(at, (key, quantity));
                self.levels.remove(0);
            }
        }
    }

    /// Where a key stands, or would: looked for from the best end in steps that double.
    fn place(&self, key: u64) -> usize {
        let mut high = self.levels.len();
        let mut step = 8;
        let mut low = high.saturating_sub(step);
        while low > 0 && self.levels[low].0 > key {
            high = low;
            step *= 4;
            low = low.saturating_sub(step);
        }
        low + self.levels[low..high].partition_point(|level| level.0 < key)
    }

    fn key(&self, price: f64) -> u64 {
        // Minus zero is zero.
        let bits = (price + 0.0).to_bits();
        if self.is_bid { bits } else { !bits }
    }

    /// Forgets all levels.
    pub fn clear(&mut self) {
        self.levels.clear();
    }

    /// The number of levels.
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// Whether there is no level.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// The best price and its quantity.
    pub fn best(&self) -> Option<(f64, f64)> {
        self.levels().next()
    }

    /// Of the levels from the best to a price, how many another side has not, or has otherwise, either way.
    pub fn differences(&self, other: &Self, worst: f64) -> usize {
        let end = self.key(worst);
        let within = |side: &'_ Self| side.levels.partition_point(|level| level.0 < end);
        let mut mine = self.levels[within(self)..].iter().peekable();
        let mut theirs = other.levels[within(other)..].iter().peekable();
        let mut differences = 0;
        loop {
            let (one, two) = match (mine.peek(), theirs.peek()) {
                (None, None) => return differences,
                (one, two) => (one.map(|level| level.0), two.map(|level| level.0)),
            };
            // Keys of those that have ended come last.
            let (one, two) = (one.unwrap_or(u64::MAX), two.unwrap_or(u64::MAX));
            let (mut ours, mut others) = (None, None);
            if one <= two {
                ours = mine.next();
            }
            if two <= one {
                others = theirs.next();
            }
            differences += usize::from(ours != others);
        }
    }

    /// Prices and quantities from the best on.
    pub fn levels(&self) -> impl ExactSizeIterator<Item = (f64, f64)> + '_ {
        let turn = if self.is_bid { 0 } else { u64::MAX };
        let levels = self.levels.iter().rev();
        levels.map(move |&(key, quantity)| (f64::from_bits(key ^ turn), quantity))
    }
}

/// An order book.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    /// Who buys; the best is the highest price.
    pub bids: Side,
    /// Who sells; the best is the lowest price.
    pub asks: Side,
}

impl Book {
    /// A book without levels.
    pub fn new() -> Self {
        Self {
            bids: Side::new(true),
            asks: Side::new(false),
        }
    }

    /// Forgets all levels of both sides.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Sets the levels of both sides.
    pub fn apply(&mut self, bids: Levels<'_>, asks: Levels<'_>) {
        for (price, quantity) in bids.iter() {
            self.bids.set(price, quantity);
        }
        for (price, quantity) in asks.iter() {
            self.asks.set(price, quantity);
        }
    }
}

impl Default for Book {
    fn default() -> Self {
        Self::new()
    }
}

/// Levels as they were sent: prices and their quantities, equally many.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Levels<'a> {
    /// Prices, positive and finite.
    pub prices: &'a [f64],
    /// Quantities, absolute; 0 removes the level.
    pub quantities: &'a [f64],
}

impl<'a> Levels<'a> {
    /// Pairs of price and quantity, in the order they were sent.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (f64, f64)> + 'a {
        let prices = self.prices.iter().copied();
        prices.zip(self.quantities.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_best_bid_is_the_highest_and_the_best_ask_the_lowest() {
        let mut book = Book::new();
        for price in [3.0, 1.0, 2.0] {
            book.bids.set(price, 10.0 * price);
            book.asks.set(price + 10.0, 1.0);
        }

        assert_eq!(book.bids.best(), Some((3.0, 30.0)));
        assert_eq!(book.asks.best(), Some((11.0, 1.0)));
        let bids: Vec<_> = book.bids.levels().collect();
        assert_eq!(bids, [(3.0, 30.0), (2.0, 20.0), (1.0, 10.0)]);
    }

    #[test]
    fn a_quantity_of_nothing_removes_a_level_or_changes_nothing() {
        let mut book = Book::new();
        book.bids.set(1.0, 5.0);
        book.bids.set(1.0, 0.0);
        book.bids.set(2.0, 0.0);

        assert!(book.bids.is_empty());
        assert_eq!(book.bids.best(), None);
    }

    proptest! {
        #[test]
        fn a_side_is_a_sorted_map(
            updates in prop::collection::vec((1_u32..400, 0_u32..4), 0..800),
        ) {
            let mut book = Book::new();
            let mut map = BTreeMap::new();
            for (ticks, quantity) in updates {
                let price = f64::from(ticks) / 8.0;
                book.bids.set(price, f64::from(quantity));
                book.asks.set(price, f64::from(quantity));
                if quantity == 0 {
                    map.remove(&ticks);
                } else {
                    map.insert(ticks, f64::from(quantity));
                }
            }
            let asks: Vec<_> = map.iter().map(|(t, q)| (f64::from(*t) / 8.0, *q)).collect();
            let mut bids = asks.clone();
            bids.reverse();
            prop_assert_eq!(book.bids.levels().collect::<Vec<_>>(), bids);
            prop_assert_eq!(book.asks.levels().collect::<Vec<_>>(), asks);
        }
    }
}

//! The map as JSON: an overview by series, and within a series symbols, or groups of them where they are many.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use tapemill_queue::TaskState;

use super::place::month_name;
use super::{Counts, Row, Series, TaskMap};

/// Symbols shown one by one; more are put together by how they begin.
const MOST_SYMBOLS: usize = 64;

/// Rows of a document. Names from outside could begin with any character.
const MOST_ROWS: usize = 256;

/// Months of a document: thirty years.
const MOST_MONTHS: usize = 360;

/// Reasons told of one symbol.
const MOST_TOLD: usize = 100;

/// Which part of the map to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// All series without one.
    pub series: Option<String>,
    /// Symbols that begin like this.
    pub prefix: String,
    /// Symbols that have tasks in this state.
    pub state: Option<TaskState>,
}

/// One line of the map: its months, and which reasons there are.
#[derive(Default)]
struct Line {
    kind: &'static str,
    name: String,
    symbols: usize,
    counts: Counts,
    months: BTreeMap<u16, Counts>,
    reasons: BTreeMap<u16, String>,
}

impl TaskMap {
    /// The months and rows of a part.
    pub(crate) fn document(&self, part: &Part) -> Value {
        let lines = match &part.series {
            None => self.overview(),
            Some(name) => match self.series.get(name) {
                Some(series) => self.within(series, part),
                None => Vec::new(),
            },
        };
        let months = axis(&lines);
        let names: Vec<String> = months.iter().copied().map(month_name).collect();
        let more = lines.len() > MOST_ROWS;
        let rows = lines.iter().take(MOST_ROWS);
        let rows: Vec<Value> = rows.map(|line| line.value(&months)).collect();
        json!({"months": names, "rows": rows, "more": more})
    }

    fn overview(&self) -> Vec<Line> {
        let line = |(name, series): (&String, &Series)| Line {
            kind: "series",
            name: name.clone(),
            symbols: series.symbols.len(),
            counts: series.counts,
            months: series.months.clone(),
            reasons: BTreeMap::new(),
        };
        self.series.iter().map(line).collect()
    }

    fn within(&self, series: &Series, part: &Part) -> Vec<Line> {
        let fits = |row: &Row| (part.state).is_none_or(|state| row.counts[state.index()] > 0);
        let symbols = series.symbols.range(part.prefix.clone()..);
        let symbols = symbols.take_while(|(name, _)| name.starts_with(&part.prefix));
        let symbols: Vec<(&String, &Row)> = symbols.filter(|(_, row)| fits(row)).collect();
        if symbols.len() <= MOST_SYMBOLS {
            return symbols
                .iter()
                .map(|(name, row)| self.symbol(name, row))
                .collect();
        }
        let shared = shared_beginning(&symbols);
        let beginning = |name: &str| {
            let next = name[shared..].chars().next();
            shared + next.map_or(0, char::len_utf8)
        };
        let groups = symbols.chunk_by(|(a, _), (b, _)| a[..beginning(a)] == b[..beginning(b)]);
        let lines = groups.map(|group| match group {
            [(name, row)] => self.symbol(name, row),
            _ => together(&group[0].0[..beginning(group[0].0)], group),
        });
        lines.collect()
    }

    fn symbol(&self, name: &str, row: &Row) -> Line {
        let mut line = Line {
            kind: "symbol",
            name: name.to_owned(),
            symbols: 1,
            counts: row.counts,
            ..Line::default()
        };
        let mut told = BTreeMap::new();
        for cell in &row.cells {
            line.months.entry(cell.month).or_default()[cell.state.index()] += 1;
            // Of several days the worst state's.
            if let Some(reason) = self.reason_of(cell)
                && told
                    .get(&cell.month)
                    .is_none_or(|state| *state < cell.state)
                && (told.len() < MOST_TOLD || told.contains_key(&cell.month))
            {
                told.insert(cell.month, cell.state);
                line.reasons.insert(cell.month, reason.to_owned());
            }
        }
        line
    }
}

fn together(beginning: &str, group: &[(&String, &Row)]) -> Line {
    let mut line = Line {
        kind: "group",
        name: beginning.to_owned(),
        symbols: group.len(),
        ..Line::default()
    };
    for (_, row) in group {
        for (total, count) in line.counts.iter_mut().zip(row.counts) {
            *total += count;
        }
        for cells in row.cells.chunk_by(|a, b| a.month == b.month) {
            let month = line.months.entry(cells[0].month).or_default();
            cells.iter().for_each(|cell| month[cell.state.index()] += 1);
        }
    }
    line
}

/// How many bytes all names have in common at their beginning; they are in order.
fn shared_beginning(symbols: &[(&String, &Row)]) -> usize {
    let (Some((first, _)), Some((last, _))) = (symbols.first(), symbols.last()) else {
        return 0;
    };
    let pairs = first.chars().zip(last.chars());
    let shared = pairs.take_while(|(a, b)| a == b);
    shared.map(|(a, _)| a.len_utf8()).sum()
}

/// Every month from the first to the last, so that holes show; only the last that occur when they are far apart.
fn axis(lines: &[Line]) -> Vec<u16> {
    let months: BTreeSet<u16> = lines
        .iter()
        .flat_map(|line| line.months.keys().copied())
        .filter(|month| *month > 0)
        .collect();
    match (months.first(), months.last()) {
        (Some(first), Some(last)) if usize::from(last - first) < MOST_MONTHS => {
            (*first..=*last).collect()
        }
        _ => {
            let skipped = months.len().saturating_sub(MOST_MONTHS);
            months.into_iter().skip(skipped).collect()
        }
    }
}

impl Line {
    fn value(&self, months: &[u16]) -> Value {
        let cells = months.iter().map(|month| match self.months.get(month) {
            Some(counts) => json!(counts),
            None => json!(0),
        });
        let cells: Vec<Value> = cells.collect();
        let reasons: Map<String, Value> = self
            .reasons
            .iter()
            .map(|(month, reason)| (month_name(*month), reason.as_str().into()))
            .collect();
        json!({
            "kind": self.kind, "name": self.name, "symbols": self.symbols, "counts": self.counts, "cells": cells,
            "reasons": reasons,
        })
    }
}

//! The weights of hosts: see [`HostWeight`].

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::fault::Fault;
use crate::weight::HostWeight;

/// Takes a weight; see [`Queue::take_weight`](crate::Queue::take_weight).
pub(super) fn take(
    tx: &Transaction<'_>,
    now: i64,
    host: &str,
    weight: u32,
    most: u32,
) -> Result<Option<Duration>, Fault> {
    let mut state = load(tx, host)?;
    let wait = state.take(now, weight, most);
    if wait.is_none() {
        store(tx, host, &state)?;
    }
    Ok(wait)
}

/// Corrects a weight; see [`Queue::correct_weight`](crate::Queue::correct_weight).
pub(super) fn correct(
    tx: &Transaction<'_>,
    now: i64,
    host: &str,
    used: Option<u32>,
    hold: Option<Duration>,
) -> Result<(), Fault> {
    let before = load(tx, host)?;
    let mut state = before.clone();
    state.correct(now, used, hold);
    if state != before {
        store(tx, host, &state)?;
    }
    Ok(())
}

fn load(tx: &Transaction<'_>, host: &str) -> Result<HostWeight, Fault> {
    let mut find = tx.prepare_cached("SELECT state FROM weight WHERE host = ?1")?;
    let state: Option<String> = find.query_row([host], |row| row.get(0)).optional()?;
    Ok(state.map_or_else(HostWeight::default, |state| HostWeight::of_text(&state)))
}

fn store(tx: &Transaction<'_>, host: &str, state: &HostWeight) -> Result<(), Fault> {
    let mut store = tx.prepare_cached("INSERT OR REPLACE INTO weight VALUES (?1, ?2)")?;
    store.execute(params![host, state.to_text()])?;
    Ok(())
}

//! Files to put into a bucket.
#![allow(dead_code, reason = "each test binary uses its own part")]

use tapemill_lake::{Lake, LakePath, Part, StagedTable, TableOptions, TableWriter};

use crate::support::{footer, minutes, schema};

pub const MIB: usize = 1 << 20;

pub fn stage(lake: &Lake, place: &LakePath) -> StagedTable {
    let mut writer = TableWriter::create(lake, place, &schema(), &TableOptions::bars(1)).unwrap();
    writer.write(&minutes(0, 100)).unwrap();
    writer.finish(footer()).unwrap()
}

pub fn archive() -> LakePath {
    LakePath::raw("data/spot/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip").unwrap()
}

/// Bytes that differ from place to place, so that parts cannot be swapped unseen, and that cannot be compressed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub fn keep(lake: &Lake, place: &LakePath, bytes: &[u8]) {
    let mut part = Part::create(lake, place).unwrap();
    for piece in bytes.chunks(100_003) {
        part.append(piece).unwrap();
    }
    part.stage().unwrap().publish().unwrap();
}

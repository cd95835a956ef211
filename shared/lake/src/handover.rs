//! What a collector captured of a day, held against the archive that replaced it: the ledger keeps whether they agree.

use serde::{Deserialize, Serialize};
use tapemill_market::{ArchiveName, Period};

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::ledger::place_of;
use crate::lineage::Source;

/// The archive's account of a day beside that of captured trades.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// What the table was made of before: captured trades, and what the exchange was asked for beside them.
    pub captured: Vec<Source>,
    /// The archive that replaced it.
    pub archived: Source,
    /// Rows of the main table that were held against each other: those of either.
    pub compared: u64,
    /// How many of them differ, or are in one of the two only.
    pub differing: u64,
    /// The first times of these.
    pub times: Vec<String>,
    /// Trades that the archive has more of in these than were captured.
    pub only_archived: u64,
    /// Trades that were captured more of in these than the archive has.
    pub only_captured: u64,
}

impl Handover {
    /// What came of it, in words.
    pub fn words(&self) -> String {
        let Self {
            compared,
            differing,
            only_archived,
            only_captured,
            ..
        } = self;
        if *differing == 0 {
            let trades: u64 = self.captured.iter().map(|source| source.rows).sum();
            return format!(
                "captured and archived are the same: {compared} minutes of {trades} trades"
            );
        }
        let mut words = format!("{differing} of {compared} minutes differ from what was captured");
        for (count, of) in [(only_archived, "archive"), (only_captured, "capture")] {
            if *count > 0 {
                words.push_str(&format!(", trades only in the {of}: {count}"));
            }
        }
        words.push_str(&format!("; {}", self.times.join(", ")));
        if *differing > self.times.len() as u64 {
            words.push_str(", …");
        }
        words
    }
}

impl Lake {
    /// Every handover that the ledger keeps, by dataset, market, symbol and day.
    ///
    /// # Errors
    ///
    /// As [`Lake::ledger`].
    pub fn handovers(&self) -> Result<Vec<Handover>> {
        self.entries()
    }

    /// Enters a handover into the ledger: once, whoever does it again.
    ///
    /// # Errors
    ///
    /// As [`crate::Staged::publish`].
    pub fn enter_handover(&self, name: &ArchiveName, handover: &Handover) -> Result<()> {
        let refused = |problem| LakeError::Name {
            what: "day",
            name: handover.day.clone(),
            problem,
        };
        let day: Period = handover.day.parse().map_err(|_| refused("it is none"))?;
        let captured = handover.captured.first();
        let captured = captured.ok_or_else(|| refused("nothing was captured of it"))?;
        let title = format!("{day}.live");
        let place = place_of(name, &title, &captured.sha256, &handover.archived.sha256)?;
        self.enter_at(&place, handover)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(key: &str, digit: &str) -> Source {
        Source {
            key: key.to_owned(),
            bytes: 1,
            sha256: digit.repeat(64),
            rows: 86_400,
        }
    }

    #[test]
    fn a_handover_comes_back_beside_other_entries() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        let name = ArchiveName::from_task_id("um/aggTrades/BTCUSDT/2025-09-22").unwrap();
        let same = Handover {
            day: "2025-09-22".to_owned(),
            captured: vec![source("live/um/aggTrades/BTCUSDT/2025-09-22", "a")],
            archived: source("data/day.zip", "b"),
            compared: 1440,
            differing: 0,
            times: Vec::new(),
            only_archived: 0,
            only_captured: 0,
        };
        let other = Handover {
            differing: 21,
            times: vec!["2025-09-22T00:00:00Z".to_owned(); 20],
            only_archived: 3,
            archived: source("data/day.zip", "c"),
            ..same.clone()
        };

        for handover in [&same, &other, &same] {
            lake.enter_handover(&name, handover).unwrap();
        }

        assert_eq!(lake.handovers().unwrap(), [same.clone(), other.clone()]);
        assert_eq!(lake.ledger().unwrap(), []);
        assert_eq!(lake.disputes().unwrap(), []);
        let path = "_ledger/aggTrades/um/BTCUSDT/2025-09-22.live.aaaaaaaa-bbbbbbbb.json";
        assert!(folder.path().join(path).exists());
        assert_eq!(
            same.words(),
            "captured and archived are the same: 1440 minutes of 86400 trades"
        );
        let words = other.words();
        assert!(words.starts_with("21 of 1440 minutes differ from what was captured, trades only in the archive: 3; 2025"), "{words}");
        assert!(words.ends_with(", …"), "{words}");
        for bad in [
            Handover {
                day: "../../x".to_owned(),
                ..same.clone()
            },
            Handover {
                captured: Vec::new(),
                ..same
            },
        ] {
            assert!(lake.enter_handover(&name, &bad).is_err(), "{bad:?}");
        }
    }
}

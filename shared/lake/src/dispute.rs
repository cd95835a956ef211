//! Two accounts of one day: by its month's archive, and by its own. The ledger keeps which was kept, and why.

use serde::{Deserialize, Serialize};
use tapemill_market::{ArchiveName, Period};

use crate::error::{LakeError, Result};
use crate::lake::Lake;
use crate::ledger::place_of;
use crate::lineage::Source;

/// A day that its own archive tells otherwise than its month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// The month's archive.
    pub month: Source,
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// What tells otherwise: the day's archive, or what the exchange was asked for.
    pub by: Vec<Source>,
    /// How many rows of its main table differ, or are in one of them only.
    pub differing: u64,
    /// The first times of these.
    pub times: Vec<String>,
    /// `month` or `day`.
    pub kept: String,
    /// The evidence.
    pub why: String,
}

impl Lake {
    /// Every dispute that the ledger keeps, by dataset, market, symbol and period.
    ///
    /// # Errors
    ///
    /// As [`Lake::ledger`].
    pub fn disputes(&self) -> Result<Vec<Dispute>> {
        self.entries()
    }

    /// Enters a dispute into the ledger: once, whoever settles it again.
    ///
    /// # Errors
    ///
    /// As [`crate::Staged::publish`].
    pub fn enter_dispute(&self, name: &ArchiveName, dispute: &Dispute) -> Result<()> {
        let refused = |problem| LakeError::Name {
            what: "day",
            name: dispute.day.clone(),
            problem,
        };
        let day: Period = dispute.day.parse().map_err(|_| refused("it is none"))?;
        let by = dispute.by.first();
        let by = by.ok_or_else(|| refused("nothing tells of it"))?;
        let title = format!("{}.{day}", name.period);
        let place = place_of(name, &title, &dispute.month.sha256, &by.sha256)?;
        self.enter_at(&place, dispute)
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
            rows: 2,
        }
    }

    #[test]
    fn a_dispute_comes_back_beside_other_entries() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path());
        let name = ArchiveName::from_task_id("um/klines:1m/BTCUSDT/2024-01").unwrap();
        let dispute = Dispute {
            month: source("data/month.zip", "a"),
            day: "2024-01-05".to_owned(),
            by: vec![source("data/day.zip", "b")],
            differing: 3,
            times: vec!["2024-01-05T00:00:00Z".to_owned()],
            kept: "day".to_owned(),
            why: "it has more bars".to_owned(),
        };

        lake.enter_dispute(&name, &dispute).unwrap();
        lake.enter_dispute(&name, &dispute).unwrap();

        assert_eq!(lake.disputes().unwrap(), std::slice::from_ref(&dispute));
        assert_eq!(lake.ledger().unwrap(), []);
        let path = "_ledger/klines%3A1m/um/BTCUSDT/2024-01.2024-01-05.aaaaaaaa-bbbbbbbb.json";
        assert!(folder.path().join(path).exists());
        for bad in [
            Dispute {
                day: "../../x".to_owned(),
                ..dispute.clone()
            },
            Dispute {
                by: Vec::new(),
                ..dispute.clone()
            },
            Dispute {
                by: vec![source("x", "/")],
                ..dispute
            },
        ] {
            assert!(lake.enter_dispute(&name, &bad).is_err(), "{bad:?}");
        }
    }
}

//! Captured trades held against the archive that replaces them.

use tapemill_exchange::Since;
use tapemill_lake::{Handover, LakeError, Output, Source as Origin, TaskSpec};
use tapemill_market::{Account, ArchiveName, Data, Market, Period, iso_time};

use crate::settle::{NAMED, account_of};

/// A day's account by captured trades.
pub(crate) struct Captured {
    pub account: Account,
    /// What it is made of, the exchange's rows beside them included.
    pub sources: Vec<Origin>,
}

impl Captured {
    /// The published table that a day's archive is about to replace; `None` where that is none of captured trades. In a
    /// bucket only what the plan saw is asked for.
    pub fn published(
        output: &Output,
        name: &ArchiveName,
        spec: TaskSpec,
    ) -> Result<Option<Self>, LakeError> {
        let may_be_there = output.lake.folder().is_some() || spec.again;
        if name.data != Data::AggTrades || !name.period.is_day() || !may_be_there {
            return Ok(None);
        }
        let place = output.place(name, &name.data.tables()[0])?;
        let found = account_of(&output.lake, &place, name)?;
        Ok(found.and_then(|(account, lineage)| {
            let sources = lineage.sources;
            let is_captured = sources.iter().any(Origin::is_captured);
            is_captured.then_some(Self { account, sources })
        }))
    }

    /// Whether it and the archive's account of the day agree, up to where the day had come when it was made.
    pub fn report(
        self,
        name: &ArchiveName,
        day: Period,
        archived: &Origin,
        own: &Account,
    ) -> Handover {
        let ended = self
            .sources
            .last()
            .and_then(|source| Since::time_of(&source.key));
        let until_us = ended.map_or(day.end_us(), |ended_ms| {
            ended_ms.saturating_mul(1000).min(day.end_us())
        });
        let told = |account: &Account| {
            let account = account.before(until_us);
            match name.market {
                Market::Spot => account.by_milliseconds(),
                Market::Um | Market::Cm => account,
            }
        };
        let (archive, capture) = (told(own), told(&self.account));
        let differing = archive.differing(&capture);
        let common = |account: &Account| account.filled(&capture).len() as u64;
        let report = Handover {
            day: day.to_string(),
            captured: self.sources,
            archived: archived.clone(),
            compared: common(&archive),
            differing: differing.len() as u64,
            times: differing
                .iter()
                .take(NAMED)
                .map(|time| iso_time(*time))
                .collect(),
            only_archived: archive.trades_beyond(&capture, &differing),
            only_captured: capture.trades_beyond(&archive, &differing),
        };
        let words = report.words();
        match report.differing {
            0 => tracing::info!(archive = %archived.key, %day, "{words}"),
            _ => tracing::warn!(archive = %archived.key, %day, "{words}"),
        }
        report
    }
}

/// Whether a source is a whole day of captured trades: then nothing came later.
pub(crate) fn is_whole_day(source: &Origin) -> bool {
    source.is_captured() && Since::time_of(&source.key).is_none()
}

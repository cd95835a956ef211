//! What else is known of an archive's rows before its tables are written: a month's days, which it is to replace, and, for
//! a repair, their own archives and the exchange. Of two accounts of a day that differ the better one is kept, by evidence.
//!
//! What comes out depends on the archives alone and not on who held them against each other, or when: a month that was
//! settled once names the days that it took among its sources, and they are held against it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tapemill_exchange::{Endpoint, RestSpec};
use tapemill_lake::tables::{MINUTES, klines};
use tapemill_lake::{
    CODEC, Dispute, Handover, Lake, LakeError, LakePath, Lineage, Output, Source as Origin,
    TaskSpec, read_lineage, read_verified,
};
use tapemill_market::{
    Account, ArchiveName, Data, Evidence, Interval, Kept, Kline, Market, Minute, Period,
    compare_minutes, iso_time, kept,
};
use tokio_util::sync::CancellationToken;

use crate::attempt::{AttemptError, Workshop, on_a_thread};
use crate::handover::{self, Captured};
use crate::mills::{self, Milled, Plan, Reading};
use crate::progress::TaskProgress;

const DAY_US: i64 = 86_400_000_000;

/// Times of differing rows that are named one by one.
pub(crate) const NAMED: usize = 20;

/// What an archive's rows were held against.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Where the rows came from that took the place of the archive's own.
    pub sources: Vec<Origin>,
    /// Days of which there were two accounts.
    pub disputes: Vec<Dispute>,
    /// Days whose trades had been captured.
    pub handovers: Vec<Handover>,
}

/// Another account of a day.
struct Other {
    day: Period,
    account: Account,
    sources: Vec<Origin>,
    missing_ids: Option<u64>,
}

impl Other {
    /// What the exchange was asked for may have been asked before the day had ended: it says nothing of what came later.
    fn up_to_its_end(mut self, own: &Account) -> Self {
        let is_asked = self.sources.iter().all(Origin::gives_way)
            && !self.sources.iter().all(handover::is_whole_day);
        if is_asked && let Some(last) = self.account.times().last() {
            self.account = self.account.filled(&own.after(*last));
        }
        self
    }
}

impl Workshop {
    /// Holds a milled archive against what else is known of its days, and puts better rows in the place of its own.
    pub(crate) async fn settle(
        &self,
        name: &ArchiveName,
        spec: TaskSpec,
        origin: &Origin,
        milled: &mut dyn Milled,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Settled, AttemptError> {
        let (output, of) = (self.output.clone(), name.clone());
        let looking = on_a_thread(move || {
            let captured = Captured::published(&output, &of, spec)?;
            Ok((known(&output, &of, spec)?, captured))
        });
        let (mut others, captured) = looking.await?;
        if others.is_empty() && captured.is_none() && spec.repair.is_none() {
            return Ok(Settled::default());
        }
        let Some(own) = milled.account() else {
            return Ok(Settled::default());
        };
        if let Some(most_days) = spec.repair {
            let of_archives: BTreeSet<Period> = others.iter().map(|other| other.day).collect();
            for day in weak_days(name, &own, milled.quality().missing_ids, most_days) {
                if !of_archives.contains(&day)
                    && !name.period.is_day()
                    && let Some(other) = self.day(name, day, progress, cancel).await?
                {
                    others.push(other);
                }
            }
            others.sort_by_key(|other| other.day.start_us());
        }
        let tape = match others.is_empty() {
            true => Tape::default(),
            false => {
                let (output, of) = (self.output.clone(), name.clone());
                on_a_thread(move || Tape::read(&output, &of)).await?
            }
        };
        let mut now = own.clone();
        let mut settled = Settled::default();
        settled
            .handovers
            .extend(captured.map(|captured| captured.report(name, name.period, origin, &own)));
        for other in others {
            self.take(name, origin, milled, &tape, other, &mut now, &mut settled);
        }
        if let Some(most_days) = spec.repair {
            for day in weak_days(name, &now, Some(0), most_days) {
                self.fill(name, day, &mut now, &mut settled, progress, cancel)
                    .await?;
            }
        }
        if now != own {
            let quality = milled.quality().settled(&own, &now);
            milled.settle(now, quality);
        }
        Ok(settled)
    }

    /// Decides between the rows that there are of a day and another account of it.
    #[expect(clippy::too_many_arguments, reason = "all of one decision")]
    fn take(
        &self,
        name: &ArchiveName,
        origin: &Origin,
        milled: &dyn Milled,
        tape: &Tape,
        other: Other,
        now: &mut Account,
        settled: &mut Settled,
    ) {
        let own = now.of(other.day);
        if other.sources.iter().any(Origin::is_captured) {
            let captured = Captured {
                account: other.account.clone(),
                sources: other.sources.clone(),
            };
            let report = captured.report(name, other.day, origin, &own);
            settled.handovers.push(report);
        }
        let other = other.up_to_its_end(&own);
        let differing = own.differing(&other.account);
        if differing.is_empty() {
            return;
        }
        let evidence = |account: &Account, missing_ids| Evidence {
            missing_ids,
            agreeing: tape.agreeing(name, account),
        };
        let of_month = evidence(&own, milled.quality().missing_ids);
        let of_day = evidence(&other.account, other.missing_ids);
        let (kept, why) = kept((&own, of_month), (&other.account, of_day));
        let day = other.day;
        tracing::warn!(
            archive = %origin.key, %day, rows = differing.len(), kept = kept.as_str(),
            "a day by its own archive is another one than in its month: {why}"
        );
        settled.disputes.push(Dispute {
            month: origin.clone(),
            day: day.to_string(),
            by: other.sources.clone(),
            differing: differing.len() as u64,
            times: differing
                .iter()
                .take(NAMED)
                .map(|time| iso_time(*time))
                .collect(),
            kept: kept.as_str().to_owned(),
            why: why.to_owned(),
        });
        if kept == Kept::Day {
            now.replace(day, other.account);
            settled.sources.extend(other.sources);
        }
    }

    /// A day by its own archive; `None` where there is none that can be read.
    async fn day(
        &self,
        month: &ArchiveName,
        day: Period,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<Option<Other>, AttemptError> {
        let name = ArchiveName {
            period: day,
            ..month.clone()
        };
        let Some(plan) = mills::plan(&self.output, &name) else {
            return Ok(None);
        };
        let plan: Arc<dyn Plan> = plan.into();
        let read = self
            .read_and_judge(&name.key(), plan, &mut None, progress, cancel)
            .await;
        let accepted = match read {
            Ok(accepted) => accepted,
            Err(AttemptError::Missing(_)) => return Ok(None),
            Err(error @ (AttemptError::Corrupt { .. } | AttemptError::Unstable { .. })) => {
                tracing::warn!(archive = %name.key(), "it cannot repair its month: {error}");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let missing_ids = accepted.milled.quality().missing_ids;
        Ok(accepted.milled.account().map(|account| Other {
            day,
            account,
            sources: vec![accepted.origin],
            missing_ids,
        }))
    }

    /// Fills the bars that lack within a day with those that the exchange has.
    async fn fill(
        &self,
        name: &ArchiveName,
        day: Period,
        now: &mut Account,
        settled: &mut Settled,
        progress: &Arc<TaskProgress>,
        cancel: &CancellationToken,
    ) -> Result<(), AttemptError> {
        let name = ArchiveName {
            period: day,
            ..name.clone()
        };
        // Trades of so long ago are not to be had.
        let is_bars = matches!(now, Account::Klines(_));
        if !is_bars || self.rest.is_none() || Endpoint::of(&name).is_none() {
            return Ok(());
        }
        let spec = RestSpec {
            closed_by_ms: day.end_us() / 1000,
            captured_first: false,
        };
        let Some(plan) = mills::plan(&self.output, &name) else {
            return Ok(());
        };
        let asked = self
            .ask(&name, spec, None, plan.start(), progress, cancel)
            .await;
        let (fetched, mill) = match asked {
            Ok(asked) => asked,
            Err(AttemptError::Missing(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Ok(Reading::Milled(milled)) = mill.finish() else {
            return Ok(());
        };
        let Some(asked) = milled.account() else {
            return Ok(());
        };
        let own = now.of(day);
        let filled = own.filled(&asked);
        if filled.len() > own.len() {
            now.replace(day, filled);
            settled.sources.push(Origin {
                key: fetched.key,
                bytes: fetched.bytes,
                sha256: fetched.sha256,
                rows: fetched.rows,
            });
        }
        Ok(())
    }
}

/// Days in which rows lack: of bars those whose grid has holes; of trades all days of an archive whose ids have, else those
/// without any. A hole
/// of more than so many days is left alone: that is not what a repair is for.
fn weak_days(
    name: &ArchiveName,
    account: &Account,
    missing_ids: Option<u64>,
    most_days: u32,
) -> Vec<Period> {
    let days: Vec<Period> = match name.period.is_day() {
        true => vec![name.period],
        false => name.days().map(|day| day.period).collect(),
    };
    let step_us = match (account, name.data) {
        (Account::Minutes(_), _) if missing_ids.is_some_and(|missing| missing > 0) => return days,
        (Account::Minutes(_), _) => Some(DAY_US),
        (Account::Klines(_), Data::Klines(_, interval)) => interval.length_us(),
        _ => None,
    };
    let Some(step_us) = step_us.filter(|step_us| DAY_US % step_us == 0) else {
        return Vec::new();
    };
    let mut bars: BTreeMap<i64, i64> = BTreeMap::new();
    for time in account.times() {
        *bars.entry(time.div_euclid(DAY_US)).or_default() += 1;
    }
    let lacking = |day: &Period| {
        let found = bars.get(&day.start_us().div_euclid(DAY_US));
        found.copied().unwrap_or_default() < DAY_US / step_us
    };
    // Days without any bar follow each other in a hole.
    let is_empty = |day: &Period| !bars.contains_key(&day.start_us().div_euclid(DAY_US));
    let longest = days
        .chunk_by(|a, b| is_empty(a) == is_empty(b))
        .filter(|run| is_empty(&run[0]) && run.len() > most_days as usize);
    let left_alone: BTreeSet<i64> = longest.flatten().map(|day| day.start_us()).collect();
    days.into_iter()
        .filter(|day| lacking(day) && !left_alone.contains(&day.start_us()))
        .collect()
}

/// What the output has of a month's days: their own tables, and what an earlier table of the month took from their
/// archives. In a bucket only what the plan saw is asked for.
fn known(output: &Output, name: &ArchiveName, spec: TaskSpec) -> Result<Vec<Other>, LakeError> {
    let is_folder = output.lake.folder().is_some();
    if name.period.is_day() || !has_account(name.data) {
        return Ok(Vec::new());
    }
    let mut others: BTreeMap<i64, Other> = BTreeMap::new();
    if is_folder || spec.again {
        for other in settled_before(output, name)? {
            others.insert(other.day.start_us(), other);
        }
    }
    if is_folder || spec.days {
        for day in days_there(output, name)? {
            if let Some(other) = other_of(output, &day)? {
                others.insert(day.period.start_us(), other);
            }
        }
    }
    Ok(others.into_values().collect())
}

fn has_account(data: Data) -> bool {
    matches!(data, Data::AggTrades | Data::Klines(..))
}

/// The days of a month whose main table is there.
fn days_there(output: &Output, month: &ArchiveName) -> Result<Vec<ArchiveName>, LakeError> {
    let table = month.data.tables().swap_remove(0);
    let symbols = BTreeSet::from([month.symbol.clone()]);
    let mut days = Vec::new();
    output.each_file(month.market, &table, Some(&symbols), |symbol, period, _| {
        if symbol == month.symbol && period.is_day() && period.month() == month.period {
            days.push(ArchiveName {
                period,
                ..month.clone()
            });
        }
    })?;
    Ok(days)
}

/// A day by its published table; `None` where that cannot be read.
fn other_of(output: &Output, day: &ArchiveName) -> Result<Option<Other>, LakeError> {
    let place = output.place(day, &day.data.tables()[0])?;
    let Some((account, lineage)) = account_of(&output.lake, &place, day)? else {
        return Ok(None);
    };
    Ok(Some(Other {
        day: day.period,
        account,
        missing_ids: lineage.quality["missing_ids"].as_u64(),
        sources: lineage.sources,
    }))
}

/// The days that the published table of a month took from elsewhere.
fn settled_before(output: &Output, month: &ArchiveName) -> Result<Vec<Other>, LakeError> {
    let place = output.place(month, &month.data.tables()[0])?;
    let sources = match read_lineage(&output.lake, &place) {
        Ok(lineage) => lineage.sources,
        Err(error) if error.is_outage() => return Err(error),
        Err(_) => return Ok(Vec::new()),
    };
    if sources.len() < 2 {
        return Ok(Vec::new());
    }
    let Some((account, _)) = account_of(&output.lake, &place, month)? else {
        return Ok(Vec::new());
    };
    let others = month.days().filter_map(|day| {
        let of_day = |source: &&Origin| is_of(&source.key, &day);
        let sources: Vec<Origin> = sources.iter().filter(of_day).cloned().collect();
        (!sources.is_empty()).then(|| Other {
            day: day.period,
            account: account.of(day.period),
            sources,
            // It was taken for being whole.
            missing_ids: Some(0),
        })
    });
    Ok(others.collect())
}

/// Whether a source is of a day: its archive, what the exchange was asked for of it, or what was captured.
fn is_of(key: &str, day: &ArchiveName) -> bool {
    let asked = || {
        let endpoint = Endpoint::of(day)?.key();
        let range = key.strip_prefix(&endpoint)?.strip_prefix("&startTime=")?;
        let start_ms: i64 = range.split('&').next()?.parse().ok()?;
        Some((day.period.start_us()..day.period.end_us()).contains(&(start_ms * 1000)))
    };
    key == day.key() || Origin::is_captured_key(key, day) || asked().unwrap_or(false)
}

/// The rows of a published table; `None` where it is not there, or not whole.
pub(crate) fn account_of(
    lake: &Lake,
    place: &LakePath,
    name: &ArchiveName,
) -> Result<Option<(Account, Lineage)>, LakeError> {
    let mut account = match name.data {
        Data::Klines(..) => Account::Klines(Vec::new()),
        _ => Account::Minutes(Vec::new()),
    };
    let mut is_ours = true;
    let read = read_verified(lake, place, |batch| {
        let read = match &mut account {
            Account::Minutes(rows) => MINUTES.rows(batch).map(|read| rows.extend(read)),
            Account::Klines(rows) => {
                let read = klines(name.market).rows(batch);
                read.map(|read| rows.extend(read))
            }
        };
        is_ours &= read.is_some();
    });
    match read {
        Ok((lineage, whole)) => {
            // Of another codec its rows may be others.
            let is_ours = is_ours && whole && lineage.codec == CODEC;
            Ok(is_ours.then_some((account, lineage)))
        }
        Err(error) if error.is_outage() => Err(error),
        Err(_) => Ok(None),
    }
}

/// The other account of the tape: of trades the exchange's one-minute klines, of those the minutes made of trades.
#[derive(Default)]
struct Tape(Option<Account>);

impl Tape {
    fn read(output: &Output, name: &ArchiveName) -> Result<Self, LakeError> {
        let minute = Data::klines(Interval::MINUTE);
        let data = match name.data {
            Data::AggTrades => minute,
            data if data == minute => Data::AggTrades,
            _ => return Ok(Self(None)),
        };
        let other = ArchiveName {
            data,
            ..name.clone()
        };
        let table = &data.tables()[0];
        let month = account_of(&output.lake, &output.place(&other, table)?, &other)?;
        if let Some((account, _)) = month {
            return Ok(Self(Some(account)));
        }
        let mut found: Option<Account> = None;
        for day in days_there(output, &other)? {
            let Some((account, _)) = account_of(&output.lake, &output.place(&day, table)?, &day)?
            else {
                continue;
            };
            match &mut found {
                Some(found) => found.replace(day.period, account),
                none => *none = Some(account),
            }
        }
        Ok(Self(found))
    }

    /// Minutes in which an account agrees with this one; `None` where there is nothing to compare with.
    fn agreeing(&self, name: &ArchiveName, account: &Account) -> Option<usize> {
        let count = |minutes: &[Minute], klines: &[Kline], market: Market| {
            let agreement = compare_minutes(market, &name.symbol, minutes, klines);
            (agreement.compared > 0).then(|| agreement.agreeing())
        };
        match (account, self.0.as_ref()?) {
            (Account::Minutes(minutes), Account::Klines(klines))
            | (Account::Klines(klines), Account::Minutes(minutes)) => {
                count(minutes, klines, name.market)
            }
            _ => None,
        }
    }
}

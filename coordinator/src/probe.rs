//! Asks the archive what there is by probing single files, where it has no listing.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use tapemill_archive::Source;
use tapemill_market::{ArchiveName, Data, Listed, Market, Period, Symbol};

use crate::error::PlanError;
use crate::selection::Selection;

/// Probes under way at once for one symbol.
const PROBES_AT_ONCE: usize = 8;

/// The first month that can have an archive.
fn launch(market: Market) -> Period {
    let (year, month) = match market {
        Market::Spot => (2017, 7),
        Market::Um => (2019, 12),
        Market::Cm => (2020, 6),
    };
    Period::Month(jiff::civil::date(year, month, 1))
}

/// What a symbol has, by few probes: the first month by bisection, then every month up to the last complete one, and
/// the days behind it. Sizes are known for what was probed; what is merely expected has size 0.
pub(crate) async fn probed(
    source: &dyn Source,
    selection: &Selection,
    data: Data,
    symbol: &Symbol,
) -> Result<Listed, PlanError> {
    let probe = Probe {
        source,
        market: selection.market,
        data,
        symbol,
    };
    let today = selection.today;
    let yesterday = today.yesterday().unwrap_or(today);
    let range = &selection.range;
    let earliest = range
        .first
        .map_or(launch(selection.market), Period::month_of)
        .max(launch(selection.market));
    let latest = range.last.map_or(yesterday, |last| last.min(yesterday));
    let running = Period::month_of(today);
    let latest_month = Period::month_of(latest).min(running.step_months(-1).unwrap_or(running));
    let months = span(earliest, latest_month);

    let mut listed = Listed::default();
    let last = probe.last_month(&months).await?;
    if let Some((last, bytes)) = last {
        let first = probe.first_month(&months[..=last]).await?;
        listed
            .months
            .extend(months[first..=last].iter().map(|month| (*month, 0)));
        listed.months.insert(months[last], bytes);
    }
    let latest_days = Period::month_of(latest);
    match (listed.months.keys().next().copied(), last) {
        (Some(first), Some((last, _))) => {
            // What was listed at the end of a month may have days before its first month; what was delisted at the
            // beginning of one, days behind its last. One probe each tells whether to ask for the others.
            if let Some(before) = first.step_months(-1).filter(|month| *month >= earliest)
                && probe.bytes(Period::Day(before.last_day())).await?.is_some()
            {
                probe.days(before, latest, &mut listed).await?;
            }
            let recent = latest_month.step_months(-1).unwrap_or(latest_month);
            for month in months[last]
                .step_months(1)
                .map_or(Vec::new(), |after| span(after, latest_days))
            {
                let goes_on = month >= recent
                    || (month.step_months(-1) == Some(months[last])
                        && probe.bytes(Period::Day(month.first_day())).await?.is_some());
                if goes_on {
                    probe.days(month, latest, &mut listed).await?;
                }
            }
        }
        _ => {
            let from = latest_days
                .step_months(-1)
                .unwrap_or(latest_days)
                .max(earliest);
            for month in span(from, latest_days) {
                probe.days(month, latest, &mut listed).await?;
            }
        }
    }
    Ok(listed)
}

fn span(first: Period, last: Period) -> Vec<Period> {
    std::iter::successors(Some(first), |month| month.step_months(1))
        .take_while(|month| *month <= last)
        .collect()
}

struct Probe<'a> {
    source: &'a dyn Source,
    market: Market,
    data: Data,
    symbol: &'a Symbol,
}

impl Probe<'_> {
    async fn bytes(&self, period: Period) -> Result<Option<u64>, PlanError> {
        let name = ArchiveName {
            market: self.market,
            data: self.data,
            symbol: self.symbol.clone(),
            period,
        };
        Ok(self
            .source
            .head(&name.key())
            .await?
            .map(|object| object.bytes))
    }

    /// Every day of a month up to `latest`.
    async fn days(
        &self,
        month: Period,
        latest: Date,
        listed: &mut Listed,
    ) -> Result<(), PlanError> {
        let days = month.first_day().series(jiff::Span::new().days(1));
        let days = days
            .take_while(|day| *day <= month.last_day().min(latest))
            .map(Period::Day);
        let found: Vec<(Period, Option<u64>)> = stream::iter(days)
            .map(|day| async move { Ok::<_, PlanError>((day, self.bytes(day).await?)) })
            .buffered(PROBES_AT_ONCE)
            .try_collect()
            .await?;
        listed.days.extend(
            found
                .into_iter()
                .filter_map(|(day, bytes)| Some((day, bytes?))),
        );
        Ok(())
    }

    /// The last month that exists: mostly the latest one or its predecessor. A delisted symbol's is searched for with
    /// growing steps, then by bisection; one that lived between two steps is found month by month.
    async fn last_month(&self, months: &[Period]) -> Result<Option<(usize, u64)>, PlanError> {
        let Some(latest) = months.len().checked_sub(1) else {
            return Ok(None);
        };
        let mut absent = months.len();
        let mut step = 0;
        while step <= latest {
            let at = latest - step;
            if let Some(bytes) = self.bytes(months[at]).await? {
                return self
                    .last_between(months, (at, bytes), absent)
                    .await
                    .map(Some);
            }
            absent = at;
            step = step * 2 + 1;
        }
        for at in (0..latest).rev() {
            if let Some(bytes) = self.bytes(months[at]).await? {
                return Ok(Some((at, bytes)));
            }
        }
        Ok(None)
    }

    /// The last month from one that exists to one that does not.
    async fn last_between(
        &self,
        months: &[Period],
        mut present: (usize, u64),
        mut absent: usize,
    ) -> Result<(usize, u64), PlanError> {
        while present.0 + 1 < absent {
            let middle = (present.0 + absent) / 2;
            match self.bytes(months[middle]).await? {
                Some(bytes) => present = (middle, bytes),
                None => absent = middle,
            }
        }
        Ok(present)
    }

    /// The first month that exists, given that the last one of these does: O(log n) probes.
    async fn first_month(&self, months: &[Period]) -> Result<usize, PlanError> {
        let (mut absent, mut present) = (0, months.len() - 1);
        while absent < present {
            let middle = (absent + present) / 2;
            match self.bytes(months[middle]).await? {
                Some(_) => present = middle,
                None => absent = middle + 1,
            }
        }
        Ok(present)
    }
}

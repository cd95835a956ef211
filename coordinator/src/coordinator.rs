//! The long-running process: plans, returns expired leases, tells how the queue is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tapemill_archive::{ArchiveError, Brake, Source};
use tapemill_exchange::Rest;
use tapemill_lake::{LakeError, Output};
use tapemill_queue::{Queue, QueueError, Stats, reap_all};
use tapemill_runtime::{Health, Outage, Outages, Ticker, one_line};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::brake::in_step;
use crate::catalogue::Catalogue;
use crate::enqueuer::{Enqueuer, Planned};
use crate::error::PlanError;
use crate::loss::Memory;
use crate::selection::Selection;
use crate::survey::{Asking, survey};
use crate::view::QueueView;

/// How often expired leases are looked for.
const REAP_EVERY: Duration = Duration::from_secs(3);

/// How often the queue is asked whether it still holds what was planned.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// How often the catalogue is rebuilt while tasks are completed.
const CATALOGUE_EVERY: Duration = Duration::from_secs(300);

/// The longest wait after a plan that failed.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The longest a loop may go without a turn: a call to the store at the end of its patience.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// Who returns leases, in logs.
const NAME: &str = "coordinator";

/// Gives the selection as it is now: `-7d` moves on, and a symbols file may have changed.
pub type Select = dyn Fn() -> Result<Selection, PlanError> + Send + Sync;

/// A coordinator. It holds no state of its own: kill it, or run two.
pub struct Coordinator {
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// What others see of it.
    pub view: Arc<QueueView>,
    /// What is planned.
    pub select: Box<Select>,
    /// Where archives come from.
    pub source: Arc<dyn Source>,
    /// Who tells what symbols traded, where the selection goes by that.
    pub exchange: Option<Arc<Rest>>,
    /// Of this process.
    pub brake: Arc<Brake>,
    /// How the archive is asked.
    pub asking: Asking,
    /// Where tables are.
    pub output: Output,
    /// How often it plans.
    pub replan: Duration,
    /// Of the process.
    pub health: Health,
    /// Of the queue.
    pub outages: Outages,
    /// Fires when it is to end.
    pub draining: CancellationToken,
}

impl Coordinator {
    /// Plans, reaps and tells until it is told to end.
    ///
    /// # Errors
    ///
    /// What waiting does not heal: a selection that is not there, a queue planned with other settings.
    pub async fn run(self) -> Result<(), PlanError> {
        let mut services = JoinSet::new();
        let ticker = self.health.watch("reap", REAP_EVERY + LONGEST_TURN);
        services.spawn(reap(self.queue.clone(), self.outages.caller(), ticker));
        services.spawn(self.view.clone().attend(self.health.clone()));
        let ticker = self.health.watch("plan", LOOK_EVERY + LONGEST_TURN);
        tokio::select! {
            biased;
            () = self.draining.cancelled() => Ok(()),
            ended = self.plan_again_and_again(ticker) => ended,
        }
    }

    async fn plan_again_and_again(&self, ticker: Ticker) -> Result<(), PlanError> {
        let planning = Outages::of("planning", "succeeds again");
        let mut failing = planning.caller().waiting_at_most(LONGEST_WAIT);
        let mut queue = self.outages.caller();
        let mut planned_before = false;
        loop {
            let planned = turning(&ticker, self.plan()).await;
            let error = match planned {
                Ok(plan) => {
                    failing.answered();
                    queue.answered();
                    planned_before = true;
                    tell(&plan.planned);
                    self.wait_until_due(&plan, &mut queue, &ticker).await;
                    continue;
                }
                Err(error) if heals(&error) => error,
                // It was right before: the archive may be half there.
                Err(error) if planned_before && !matches!(error, PlanError::Queue(_)) => error,
                Err(error) => return Err(error),
            };
            let wait = match &error {
                PlanError::Queue(error) => queue.failed(error),
                error => failing.failed(error),
            };
            turning(&ticker, tokio::time::sleep(wait)).await;
        }
    }

    async fn plan(&self) -> Result<Plan, PlanError> {
        let selection = (self.select)()?;
        let planning = async {
            let exchange = self.exchange.as_deref();
            let found = survey(&self.source, exchange, &selection, self.asking).await?;
            let enqueuer = Enqueuer {
                queue: self.queue.clone(),
                source: self.source.clone(),
                output: self.output.clone(),
                force: false,
                refresh: false,
                repair: None,
            };
            enqueuer.enqueue(&selection, &found).await
        };
        let planned = in_step(&*self.queue, &self.brake, planning).await?;
        let plan = Plan { selection, planned };
        self.rebuild_catalogue(&plan).await;
        Ok(plan)
    }

    /// Returns when it is time to plan again: the period is over, or the queue lost what was planned.
    async fn wait_until_due(&self, plan: &Plan, queue: &mut Outage, ticker: &Ticker) {
        let begun = Instant::now();
        let mut memory = Memory::default();
        let mut catalogued = Instant::now();
        // What was completed while the plan was made is in no catalogue yet.
        let mut completions = 0;
        while begun.elapsed() < self.replan {
            let left = self.replan.saturating_sub(begun.elapsed());
            tokio::time::sleep(left.min(LOOK_EVERY)).await;
            ticker.tick();
            let stats = match self.lost(&mut memory, &plan.planned).await {
                Ok(None) => {
                    tracing::warn!(
                        "the queue lost its tasks: it was deleted, or its store came back empty; planning again"
                    );
                    return;
                }
                Ok(Some(stats)) => stats,
                Err(error) => {
                    turning(ticker, tokio::time::sleep(queue.failed(&error))).await;
                    continue;
                }
            };
            queue.answered();
            let has_more = completions < stats.completions;
            let [pending, leased, ..] = stats.totals();
            let is_drained = pending.tasks + leased.tasks == 0;
            if has_more && (is_drained || catalogued.elapsed() >= CATALOGUE_EVERY) {
                turning(ticker, self.rebuild_catalogue(plan)).await;
                (catalogued, completions) = (Instant::now(), stats.completions);
            }
        }
    }

    /// How the queue stands; `None` when it does not hold what was planned.
    async fn lost(
        &self,
        memory: &mut Memory,
        planned: &Planned,
    ) -> Result<Option<Stats>, QueueError> {
        let settings = self.queue.settings().await?;
        let stats = self.queue.stats().await?;
        let lost = memory.lost(settings.is_some(), &stats) || memory.lacks(planned, &stats);
        Ok((!lost).then_some(stats))
    }

    /// For people, so that trouble with it is no reason to stop.
    async fn rebuild_catalogue(&self, plan: &Plan) {
        let Plan { selection, planned } = plan;
        let catalogue = Catalogue {
            queue: &*self.queue,
            output: &self.output,
        };
        let rebuilt = catalogue.rebuild(selection.market, &selection.data, Some(&planned.symbols));
        if let Err(error) = rebuilt.await {
            tracing::warn!("the catalogue is not up to date: {}", one_line(&error));
        }
    }
}

/// What was planned last.
struct Plan {
    selection: Selection,
    planned: Planned,
}

/// Returns expired leases, for as long as the process runs.
async fn reap(queue: Arc<dyn Queue>, mut outage: Outage, ticker: Ticker) {
    loop {
        ticker.tick();
        let wait = match reap_all(&*queue, NAME).await {
            Ok(()) => {
                outage.answered();
                REAP_EVERY
            }
            Err(error) => outage.failed(&error),
        };
        tokio::time::sleep(wait).await;
    }
}

/// Ticks every second while something takes its time.
async fn turning<T>(ticker: &Ticker, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        ticker.tick();
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

fn tell(planned: &Planned) {
    let enqueued = planned.enqueued;
    tracing::info!(
        tasks = planned.tasks.len(),
        bytes = planned.bytes,
        new = enqueued.created,
        again = enqueued.reopened,
        finished = planned.finished,
        "planned"
    );
}

/// Whether the same plan may succeed later with nothing changed by hand.
fn heals(error: &PlanError) -> bool {
    match error {
        PlanError::Name(_) | PlanError::Selection { .. } | PlanError::NoSuchSymbol { .. } => false,
        PlanError::Queue(error) => error.retryable(),
        PlanError::Volumes(error) => error.is_transient(),
        PlanError::Archive(error) => !matches!(
            error,
            ArchiveError::Address { .. } | ArchiveError::Key { .. } | ArchiveError::Client { .. }
        ),
        PlanError::Lake(LakeError::Address { .. }) => false,
        PlanError::Nothing { .. } | PlanError::Lake(_) | PlanError::Thread(_) => true,
    }
}

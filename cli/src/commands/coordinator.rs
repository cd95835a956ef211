//! `coordinator`.

use std::sync::Arc;

use tapemill_archive::Brake;
use tapemill_coordinator::{Coordinator, PlanError, QueueGauges, QueueView, api};
use tapemill_runtime::{Shutdown, Stages, exit};

use crate::args::CoordinatorArgs;
use crate::context;
use crate::failure::Failure;
use crate::progress::Terminal;
use crate::serving::Serving;

/// Where it listens unless told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9464";

/// Plans, reaps and serves until told to stop.
pub async fn run(
    args: CoordinatorArgs,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    context::selection(&args.selection, &args.rest)?;
    let brake = Arc::new(Brake::new());
    let source = context::source(&args.source, &brake)?;
    let output = context::output(&args.output, &args.shape)?;
    let label = context::queue_label(&args.queue, &args.output)?;
    let mut serving = Serving::new(shutdown);
    let view = QueueView::new(context::shown_queue(&args.queue, &args.output)?);
    let gauges = QueueGauges::register(serving.metrics.registry(), view.clone(), label);
    let gauges = gauges.map_err(Failure::failed)?;
    serving.metrics = serving.metrics.before_each_scrape(move || gauges.read());
    // It mills nothing, and asks the archive: every process tells the same.
    serving.work(&*source, &Arc::new(Stages::new()));
    let listen = args.listen.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
    let more = api(view.clone(), context::admin_token()?, serving.stop.clone());
    let server = serving.serve(Some(listen), more, terminal).await?;

    let opened = serving
        .once_it_answers(async || context::queue(&args.queue, &args.output).await)
        .await?;
    let ended = match opened {
        None => Ok(()),
        Some(queue) => {
            let queue = serving.measured(queue);
            view.open(queue.clone());
            let (selected, rest) = (args.selection.clone(), args.rest.clone());
            let exchange = context::rest(&args.rest, queue.clone())?;
            let coordinator = Coordinator {
                queue,
                view,
                select: Box::new(move || {
                    context::selection(&selected, &rest).map_err(|failure| PlanError::Selection {
                        why: failure.line(),
                    })
                }),
                source,
                exchange,
                brake,
                asking: context::asking(&args.asking),
                output,
                replan: args.replan.replan,
                health: serving.health.clone(),
                outages: serving.outages.clone(),
                draining: shutdown.draining().clone(),
            };
            coordinator.run().await
        }
    };
    if let Some(server) = server {
        server.stop().await;
    }
    ended?;
    Ok(exit::DONE)
}

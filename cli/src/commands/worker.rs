//! `worker`.

use std::sync::Arc;

use tapemill_archive::Brake;
use tapemill_runtime::{Router, Shutdown, exit};
use tapemill_worker::{Board, Scope, Stopped, Worker};
use tokio_util::sync::CancellationToken;

use crate::args::WorkerArgs;
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::{Goal, Terminal};
use crate::serving::Serving;

/// Claims and mills until told to stop, or until the queue is drained.
pub async fn run(
    args: WorkerArgs,
    terminal: &Terminal,
    shutdown: &Shutdown,
) -> Result<u8, Failure> {
    let brake = Arc::new(Brake::new());
    let source = context::capped_source(&args.source, &brake, args.work.max_bytes_per_second)?;
    let output = context::output(&args.output, &args.shape)?;
    let settings = output.fixed_settings();
    let mut workshop = context::workshop(source, brake, output, args.work.keep_zip);
    let serving = Serving::new(shutdown);
    let metrics = serving.work(&*workshop.source, &workshop.stages);
    let listen = args.listen.listen.as_deref();
    let server = serving.serve(listen, Router::new(), terminal).await?;

    let queue = serving
        .once_it_answers(async || {
            let queue = serving.measured(context::queue(&args.queue, &args.output).await?);
            queue.fix_settings(&settings).await?;
            Ok(queue)
        })
        .await?;
    let Some(queue) = queue else {
        return Ok(exit::DONE);
    };
    workshop.rest = context::rest(&args.rest, queue.clone())?;
    let board = Arc::new(Board::default());
    let (drained_queue, output) = (queue.clone(), workshop.output.clone());
    let shown = CancellationToken::new();
    let watch = terminal.watch(board.clone(), Goal::default(), shown.clone());
    let worker = Worker {
        queue,
        workshop,
        id: context::worker_id(&args.work),
        tasks: context::tasks_at_once(args.work.workers),
        lease: args.work.lease,
        grace: args.work.grace,
        scope: Scope::Everything {
            exit_when_drained: args.exit_when_drained,
        },
        board: board.clone(),
        metrics,
        health: serving.health.clone(),
        outages: serving.outages.clone(),
        draining: shutdown.draining().clone(),
    };
    let stopped = worker.run().await;
    shown.cancel();
    watch.ended().await;
    if let Some(server) = server {
        server.stop().await;
    }
    if stopped? == Stopped::Finished {
        context::refresh_catalogues(&*drained_queue, &output).await;
    }
    let finished = board.finished();
    terminal.say(&format!(
        "{} done, {} missing, {} dead; milled {} rows of {}",
        finished.done,
        finished.missing,
        finished.dead,
        format::count(finished.rows as f64),
        format::bytes(finished.bytes)
    ));
    Ok(exit::DONE)
}

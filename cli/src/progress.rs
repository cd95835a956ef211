//! Progress: bars on a terminal, a plain line every ten seconds elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tapemill_queue::TaskId;
use tapemill_runtime::LogSink;
use tapemill_worker::Board;
use tokio_util::sync::CancellationToken;

use crate::format;

/// How often bars are drawn, and how often a line is written.
const DRAW_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Rates are taken over this long, so that they neither jump nor lag.
const RATE_OVER: Duration = Duration::from_secs(15);

/// Where progress and log lines go, so that they do not garble each other.
#[derive(Clone)]
pub struct Terminal {
    bars: Option<MultiProgress>,
    quiet: bool,
    /// Whether log lines are JSON: then everything on stderr is.
    json: bool,
    /// Where data is kept for the caller, in place of stdout.
    kept: Option<Arc<Mutex<String>>>,
}

impl Terminal {
    /// Bars if stderr is a terminal; nothing if quiet.
    pub fn new(quiet: bool, json: bool) -> Self {
        let bars = (!quiet && !json && std::io::stderr().is_terminal())
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8)));
        Self {
            bars,
            quiet,
            json,
            kept: None,
        }
    }

    /// Nothing is shown, and data is kept for whoever called.
    pub fn keeping(kept: Arc<Mutex<String>>) -> Self {
        Self {
            bars: None,
            quiet: true,
            json: false,
            kept: Some(kept),
        }
    }

    /// Where bars are drawn, if they are.
    #[cfg(feature = "forecast")]
    pub fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// Data, as it is.
    pub fn print(&self, text: &str) {
        match &self.kept {
            None => print!("{text}"),
            Some(kept) => kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(text),
        }
    }

    /// A line of data; see `out!`.
    pub fn print_line(&self, line: fmt::Arguments<'_>) {
        self.print(&format!("{line}\n"));
    }

    /// Log lines, above the bars.
    pub fn log_sink(&self) -> LogSink {
        match self.bars.clone() {
            None => LogSink::stderr(),
            Some(bars) => LogSink::new(move |line| {
                // A closed stderr is no reason to fail: nobody reads the log.
                bars.suspend(|| drop(std::io::stderr().lock().write_all(line)));
            }),
        }
    }

    /// A line for people, unless quiet.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.announce(line);
        }
    }

    /// A line that nobody can do without, even when quiet.
    pub fn announce(&self, line: &str) {
        match &self.bars {
            None if self.json => tracing::info!("{line}"),
            None => eprintln!("{line}"),
            Some(bars) => bars.suspend(|| eprintln!("{line}")),
        }
    }

    /// Shows the board until the token fires.
    pub fn watch(&self, board: Arc<Board>, goal: Goal, stop: CancellationToken) -> Watch {
        let terminal = self.clone();
        let task = tokio::spawn(async move {
            if terminal.quiet {
                return;
            }
            let mut view = View::new(goal);
            match &terminal.bars {
                Some(bars) => view.bars(bars, &board, &stop).await,
                None => view.lines(&terminal, &board, &stop).await,
            }
        });
        Watch(task)
    }
}

/// Progress being shown; ends with its token.
pub struct Watch(tokio::task::JoinHandle<()>);

impl Watch {
    /// Waits until the last of it is drawn.
    pub async fn ended(self) {
        // It only draws; if that failed there is nothing to tell.
        let _ = self.0.await;
    }
}

/// What there is to do in all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Goal {
    /// Tasks; 0 when there is no end.
    pub tasks: u64,
    /// Bytes of their archives; 0 when unknown.
    pub bytes: u64,
}

struct View {
    goal: Goal,
    started: Instant,
    samples: Vec<(Instant, u64, u64)>,
}

struct Now {
    finished: u64,
    bytes: u64,
    bytes_per_second: f64,
    rows_per_second: f64,
    trouble: String,
}

impl View {
    fn new(goal: Goal) -> Self {
        Self {
            goal,
            started: Instant::now(),
            samples: vec![(Instant::now(), 0, 0)],
        }
    }

    fn now(&mut self, board: &Board) -> Now {
        let running = board.running();
        let finished = board.finished();
        let bytes = finished.bytes
            + running
                .iter()
                .map(|(_, progress)| progress.bytes)
                .sum::<u64>();
        let rows = finished.rows
            + running
                .iter()
                .map(|(_, progress)| progress.rows)
                .sum::<u64>();
        let now = Instant::now();
        self.samples.push((now, bytes, rows));
        let old = self
            .samples
            .iter()
            .position(|(at, ..)| now - *at <= RATE_OVER)
            .unwrap_or(0);
        self.samples.drain(..old);
        let (then, bytes_then, rows_then) = self.samples[0];
        let seconds = (now - then).as_secs_f64().max(0.001);
        let mut trouble = Vec::new();
        for (count, what) in [
            (finished.missing, "missing"),
            (finished.dead, "dead"),
            (finished.failed_attempts, "retried"),
        ] {
            if count > 0 {
                trouble.push(format!("{count} {what}"));
            }
        }
        Now {
            finished: finished.done + finished.missing + finished.dead,
            bytes,
            bytes_per_second: bytes.saturating_sub(bytes_then) as f64 / seconds,
            rows_per_second: rows.saturating_sub(rows_then) as f64 / seconds,
            trouble: trouble.join(", "),
        }
    }

    fn rates(&self, now: &Now) -> String {
        let mut text = format!(
            "{} rows/s, {}/s",
            format::count(now.rows_per_second),
            format::bytes(now.bytes_per_second as u64)
        );
        let left = self.goal.bytes.saturating_sub(now.bytes);
        if self.goal.bytes > 0 && left > 0 && now.bytes_per_second > 1.0 {
            let eta = Duration::from_secs_f64(left as f64 / now.bytes_per_second);
            text.push_str(&format!(", {} left", format::duration(eta)));
        }
        if !now.trouble.is_empty() {
            text.push_str(&format!(" ({})", now.trouble));
        }
        text
    }

    async fn lines(&mut self, terminal: &Terminal, board: &Board, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LINE_EVERY) => {}
            }
            let now = self.now(board);
            let tasks = match self.goal.tasks {
                0 => format!("{} tasks", now.finished),
                goal => format!("{}/{goal} tasks", now.finished),
            };
            let bytes = match self.goal.bytes {
                0 => format::bytes(now.bytes),
                goal => format!("{} of {}", format::bytes(now.bytes), format::bytes(goal)),
            };
            terminal.say(&format!(
                "{}: {tasks}, {bytes}, {}",
                format::duration(self.started.elapsed()),
                self.rates(&now)
            ));
        }
    }

    async fn bars(&mut self, bars: &MultiProgress, board: &Board, stop: &CancellationToken) {
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .expect("the template is fixed")
                .progress_chars("━╸─")
        };
        let overall = bars.add(ProgressBar::new(self.goal.bytes.max(1)));
        overall.set_style(style("{prefix} {bar:30.green/dim} {percent:>3}%  {msg}"));
        let mut tasks: BTreeMap<TaskId, (ProgressBar, Instant)> = BTreeMap::new();
        loop {
            let now = self.now(board);
            overall.set_prefix(format!("{:>4}/{} tasks", now.finished, self.goal.tasks));
            overall.set_position(now.bytes.min(self.goal.bytes));
            overall.set_message(self.rates(&now));
            let running = board.running();
            tasks.retain(|task, (bar, _)| {
                let runs = running.iter().any(|(id, _)| id == task);
                if !runs {
                    bar.finish_and_clear();
                    bars.remove(bar);
                }
                runs
            });
            for (task, progress) in running {
                let (bar, begun) = tasks.entry(task).or_insert_with_key(|task| {
                    let bar = bars.add(ProgressBar::new(1));
                    bar.set_style(style(
                        "  {bar:30.cyan/dim} {percent:>3}%  {prefix}  {msg:.dim}",
                    ));
                    bar.set_prefix(task.to_string());
                    (bar, Instant::now())
                });
                let seconds = begun.elapsed().as_secs_f64().max(0.001);
                bar.set_length(progress.bytes_total.max(1));
                bar.set_position(progress.bytes);
                bar.set_message(format!(
                    "{} rows/s, {}/s",
                    format::count(progress.rows as f64 / seconds),
                    format::bytes((progress.bytes as f64 / seconds) as u64)
                ));
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(DRAW_EVERY) => {}
            }
        }
        for (bar, _) in tasks.values() {
            bar.finish_and_clear();
        }
        overall.finish_and_clear();
    }
}

//! `tasks list`, `show`, `retry`, `cancel`.

use serde_json::{Value, json};
use tapemill_coordinator::task_value;
use tapemill_lake::{Layout, Receipt, TablePath};
use tapemill_market::ArchiveName;
use tapemill_queue::{Queue, TaskFilter, TaskId, TaskRecord};
use tapemill_runtime::exit;

use crate::args::{TasksArgs, TasksCommand};
use crate::context;
use crate::failure::Failure;
use crate::format;
use crate::progress::Terminal;

/// Tasks read or changed at a time.
const CHUNK: usize = 500;

/// Runs one of the four.
pub async fn run(command: TasksCommand, as_json: bool, terminal: &Terminal) -> Result<u8, Failure> {
    match command {
        TasksCommand::List(args) => list(&args, as_json, false, terminal).await,
        TasksCommand::Show(args) => list(&args, as_json, true, terminal).await,
        TasksCommand::Retry(args) => change(&args, as_json, "retried", terminal).await,
        TasksCommand::Cancel(args) => change(&args, as_json, "cancelled", terminal).await,
    }
}

async fn list(
    args: &TasksArgs,
    as_json: bool,
    with_history: bool,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    if with_history && args.ids.is_empty() && !is_filtered(args) {
        return Err(Failure::usage(
            "tasks show needs an ID, or a filter such as --state dead",
        ));
    }
    let queue = context::existing_queue(&args.queue, &args.output).await?;
    let settings = queue.settings().await?.unwrap_or_default();
    let layout = settings.get("layout").and_then(|name| name.parse().ok());
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut tasks = Tasks::new(args);
    while left > 0
        && let Some(page) = tasks.next(&*queue).await?
    {
        for task in page.into_iter().take(left) {
            left -= 1;
            if as_json {
                out!(terminal, "{}", as_value(&task, with_history, layout));
            } else if with_history {
                terminal.print(&as_story(&task));
            } else {
                out!(terminal, "{}", as_line(&task));
            }
        }
    }
    Ok(exit::DONE)
}

async fn change(
    args: &TasksArgs,
    as_json: bool,
    done: &str,
    terminal: &Terminal,
) -> Result<u8, Failure> {
    if args.ids.is_empty() && !is_filtered(args) {
        return Err(Failure::usage(
            "name tasks by ID, or by a filter such as --state dead",
        ));
    }
    let queue = context::existing_queue(&args.queue, &args.output).await?;
    let mut tasks = Tasks::new(args);
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut changed = 0;
    while left > 0
        && let Some(page) = tasks.next(&*queue).await?
    {
        let ids: Vec<TaskId> = page.into_iter().take(left).map(|task| task.id).collect();
        left -= ids.len();
        changed += match done {
            "retried" => queue.retry(&ids).await?,
            _ => queue.cancel(&ids).await?,
        };
    }
    if as_json {
        out!(terminal, "{}", json!({ done: changed }));
    } else {
        out!(terminal, "{} {done}", format::plural(changed, "task"));
    }
    Ok(exit::DONE)
}

fn is_filtered(args: &TasksArgs) -> bool {
    args.state.is_some() || args.dataset.is_some() || args.prefix.is_some()
}

/// The tasks that arguments name, page by page: by id in their order, else by filter.
struct Tasks<'a> {
    args: &'a TasksArgs,
    cursor: Option<String>,
    from: usize,
    ended: bool,
}

impl<'a> Tasks<'a> {
    fn new(args: &'a TasksArgs) -> Self {
        Self {
            args,
            cursor: None,
            from: 0,
            ended: false,
        }
    }

    async fn next(&mut self, queue: &dyn Queue) -> Result<Option<Vec<TaskRecord>>, Failure> {
        if self.ended {
            return Ok(None);
        }
        if !self.args.ids.is_empty() {
            return self.by_id(queue).await;
        }
        let filter = TaskFilter {
            state: self.args.state,
            dataset: self.args.dataset.clone(),
            id_prefix: self.args.prefix.clone(),
        };
        let page = queue.list(&filter, self.cursor.take(), CHUNK).await?;
        self.ended = page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.tasks))
    }

    async fn by_id(&mut self, queue: &dyn Queue) -> Result<Option<Vec<TaskRecord>>, Failure> {
        let ids: Vec<TaskId> = self
            .args
            .ids
            .iter()
            .skip(self.from)
            .take(CHUNK)
            .map(|id| TaskId::new(id.clone()))
            .collect();
        self.from += ids.len();
        self.ended = self.from >= self.args.ids.len();
        let mut tasks = Vec::new();
        for (id, task) in ids.iter().zip(queue.get(&ids).await?) {
            let unknown = || anyhow::anyhow!("there is no task {id}: see `tapemill tasks list`");
            let task = task.ok_or_else(|| Failure::failed(unknown()))?;
            // An id that a filter excludes is not meant.
            let fits = self.args.state.is_none_or(|state| task.state == state)
                && self
                    .args
                    .dataset
                    .as_ref()
                    .is_none_or(|dataset| task.dataset == *dataset);
            if fits {
                tasks.push(task);
            }
        }
        Ok(Some(tasks))
    }
}

/// One object a line, as other programs read it.
fn as_value(task: &TaskRecord, whole: bool, layout: Option<Layout>) -> Value {
    let mut value = task_value(task);
    if whole {
        value["dataset"] = json!(task.dataset);
        value["generation"] = json!(task.generation);
        value["message"] = json!(task.message);
        value["bytes"] = json!(task.bytes);
        value["worker"] = json!(task.worker);
        value["not_before"] = json!(task.not_before_ms.map(time));
        value["summary"] =
            receipt(task).map_or(Value::Null, |receipt| summary(task, &receipt, layout));
    }
    value
}

/// What a finished task brought back.
fn receipt(task: &TaskRecord) -> Option<Receipt> {
    task.summary.as_deref()?.parse().ok()
}

/// A receipt with the paths of its files, which follow from the task's name and the queue's layout.
fn summary(task: &TaskRecord, receipt: &Receipt, layout: Option<Layout>) -> Value {
    let paths = layout.map(|layout| paths(task, layout)).unwrap_or_default();
    let files = receipt.files.iter().enumerate();
    let files: Vec<Value> = files
        .map(|(at, bytes)| json!({"path": paths.get(at), "bytes": bytes}))
        .collect();
    json!({
        "verdict": receipt.verdict, "bytes": receipt.bytes, "rows": receipt.rows, "sha256": receipt.sha256_hex(),
        "files": files,
    })
}

fn paths(task: &TaskRecord, layout: Layout) -> Vec<String> {
    let Ok(name) = ArchiveName::from_task_id(task.id.as_str()) else {
        return Vec::new();
    };
    let period = name.period.to_string();
    let path = |table: String| {
        TablePath::new(&table, name.market.as_str(), name.symbol.as_str(), &period)?.path(layout)
    };
    let paths = name.data.tables().into_iter().map(path);
    paths.flatten().map(|path| path.to_string()).collect()
}

fn as_line(task: &TaskRecord) -> String {
    let mut line = format!("{}\t{}\t{} attempts", task.state, task.id, task.attempts);
    if let Some(reason) = &task.reason {
        line.push_str(&format!("\t{reason}"));
    }
    line
}

fn as_story(task: &TaskRecord) -> String {
    let mut text = format!(
        "{}\n  state       {}\n  attempts    {}, expired leases {}, generation {}\n  archive     {}\n",
        task.id,
        task.state,
        task.attempts,
        task.expiries,
        task.generation,
        format::bytes(task.bytes)
    );
    if let Some(time_ms) = task.not_before_ms {
        text.push_str(&format!("  not before  {}\n", time(time_ms)));
    }
    if let Some(worker) = &task.worker {
        text.push_str(&format!("  worker      {worker}\n"));
    }
    if let (Some(reason), message) = (&task.reason, task.message.as_deref().unwrap_or_default()) {
        text.push_str(&format!("  reason      {reason}: {message}\n"));
    }
    if let Some(receipt) = receipt(task) {
        text.push_str(&format!(
            "  brought     {}, {} rows, {}, sha256 {}\n",
            receipt.verdict,
            receipt.rows,
            format::bytes(receipt.bytes),
            receipt.sha256_hex()
        ));
    }
    for attempt in &task.history {
        text.push_str(&format!(
            "  {} to {}  generation {} {} by {}: {}: {}\n",
            time(attempt.started_ms),
            time(attempt.ended_ms),
            attempt.generation,
            attempt.outcome.as_str(),
            attempt.worker,
            attempt.reason,
            attempt.message
        ));
    }
    text
}

fn time(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| milliseconds.to_string(), |time| time.to_string())
}

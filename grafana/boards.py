"""The dashboards of queues: the run, the workers, the store and the archive. live.py has that of collectors."""

from live import LIVE
from parts import (
    DATASETS,
    INSTANCES,
    JOB,
    PROCESS,
    QUEUE,
    QUEUE_DATA,
    QUEUES,
    RATE,
    bars,
    board,
    heat,
    lines,
    or_none,
    quantile,
    query,
    row,
    stat,
    thresholds,
)

PROCESS_DATA = f'{PROCESS}, dataset=~"$dataset"'
ONE_PROCESS = f'{PROCESS}, instance=~"$instance"'
ONE_PROCESS_DATA = f'{ONE_PROCESS}, dataset=~"$dataset"'
UPSTREAM = "http_.*|network|rate_limited|bad_reply|listing|sidecar"
LEFT = "pending|leased"
ALL_OF_IT = "pending|leased|done"


def tasks(states):
    return once(f'tapemill_queue_tasks{{{QUEUE_DATA}, state=~"{states}"}}')


def size(states):
    return once(f'tapemill_queue_bytes{{{QUEUE_DATA}, state=~"{states}"}}')


def once(gauge):
    """Two coordinators tell of one queue while one replaces the other, and both tell the same."""
    return f"max by (queue, dataset, state) ({gauge})"


RUN = board(
    "tapemill-run",
    "tapemill: run",
    "How far the queues are, when they are done, and what goes wrong.",
    [JOB, QUEUES, DATASETS],
    [
        stat(
            "Progress",
            "Bytes of archives done, of all that can be done. Missing and dead ones are left out.",
            "percentunit",
            query(f'sum({size("done")}) / (sum({size(ALL_OF_IT)}) > 0)', "done"),
            min=0,
            max=1,
            noValue="no tasks",
        ),
        stat(
            "Time left",
            "Bytes left over the bytes that were done a second in the last ten minutes. Unknown while nothing is done.",
            "s",
            query(
                f'sum({size(LEFT)}) / (sum(max by (queue, dataset, state) ('
                f'deriv(tapemill_queue_bytes{{{QUEUE_DATA}, state="done"}}[10m]))) > 0)'
                f" or sum({size(LEFT)}) == 0",
                "left",
            ),
            noValue="unknown",
        ),
        stat("Bytes left", "Of archives that wait or are at work.", "decbytes", query(f"sum({size(LEFT)})", "left")),
        stat("Tasks left", "Tasks that wait or are at work.", "short", query(f"sum({tasks(LEFT)})", "left")),
        stat(
            "Dead tasks",
            "Tasks that failed too often: `tapemill tasks list --state dead` says why, `tasks retry` tries again.",
            "short",
            query(f'sum({tasks("dead")})', "dead"),
            color=thresholds("green", (1, "red")),
        ),
        stat(
            "Claims",
            "Whether tasks are handed out, or someone paused the queue.",
            "short",
            query(f"max(tapemill_queue_paused{{{QUEUE}}})", "paused"),
            color=thresholds("green", (1, "orange")),
            mappings=[{"type": "value", "options": {"0": {"text": "open"}, "1": {"text": "paused"}}}],
        ),
        lines(
            "Tasks by state",
            "All tasks of the queue. A retry is pending again; missing ones have no archive.",
            "short",
            query(f"sum by (state) ({once(f'tapemill_queue_tasks{{{QUEUE_DATA}}}')})", "{{state}}"),
            stacked=True,
        ),
        bars(
            "Progress by data",
            "Bytes of archives done, of all that can be done, for each kind of data.",
            "percentunit",
            query(
                f'sum by (dataset) ({size("done")}) / (sum by (dataset) ({size(ALL_OF_IT)}) > 0)', "{{dataset}}", instant=True
            ),
            min=0,
            max=1,
        ),
        bars(
            "Alerts",
            "Those of prometheus/rules.yaml that fire now; docs/operations.md says what to do.",
            "short",
            query(
                or_none("alertname", 'count by (alertname) (ALERTS{alertname=~"Tapemill.*", alertstate="firing"})'),
                "{{alertname}}",
                instant=True,
            ),
            color={"mode": "thresholds"},
            thresholds=thresholds("green", (1, "red")),
        ),
        lines(
            "Failed attempts by reason",
            "docs/commands.md says what each reason means. An attempt that failed is followed by another, later.",
            "short",
            query(
                or_none("reason", f"sum by (reason) (increase(tapemill_task_failures_total{{{PROCESS_DATA}}}{RATE}))"),
                "{{reason}}",
            ),
            stacked=True,
            drawn="bars",
        ),
        lines(
            "Bytes a second",
            "Received from the archive (in), and of tables published (out).",
            "Bps",
            query(f"sum by (direction) (rate(tapemill_bytes_total{{{PROCESS}}}{RATE}))", "{{direction}}"),
        ),
        lines(
            "Rows a second",
            "Rows of archives, counted when their task is done: large archives make steps.",
            "cps",
            query(f"sum by (dataset) (rate(tapemill_rows_total{{{PROCESS_DATA}}}{RATE}))", "{{dataset}}"),
            stacked=True,
        ),
        lines(
            "Tasks finished a minute",
            "By how they ended. Missing: the archive has no such file, which is no failure.",
            "cpm",
            query(f"60 * sum by (outcome) (rate(tapemill_tasks_finished_total{{{PROCESS_DATA}}}{RATE}))", "{{outcome}}"),
            stacked=True,
        ),
        lines(
            "How long tasks take",
            "From claim to completion, of tasks done: half of them take less than the one, 95 % less than the other.",
            "s",
            query(
                quantile(
                    0.5,
                    f"sum by (le, dataset) (rate(tapemill_task_duration_seconds_bucket{{{PROCESS_DATA}}}{RATE}))",
                ),
                "{{dataset}}, half",
            ),
            query(
                quantile(
                    0.95,
                    f"sum by (le, dataset) (rate(tapemill_task_duration_seconds_bucket{{{PROCESS_DATA}}}{RATE}))",
                ),
                "{{dataset}}, 95 %",
            ),
        ),
        lines(
            "Oldest",
            "How long the oldest task that could be claimed has waited (new archives go first), and the oldest attempt has run.",
            "s",
            query(f"max(tapemill_queue_oldest_pending_age_seconds{{{QUEUE}}})", "waits"),
            query(f"max(tapemill_queue_oldest_lease_age_seconds{{{QUEUE}}})", "at work"),
            width=24,
        ),
    ],
)

WORKERS = board(
    "tapemill-workers",
    "tapemill: workers",
    "What each process does, what it takes, and how its leases fare.",
    [JOB, QUEUES, INSTANCES, DATASETS],
    [
        stat(
            "Workers",
            "Those that the queue heard of lately.",
            "short",
            query(f"sum(max by (queue, state) (tapemill_workers{{{QUEUE}}}))", "workers"),
            width=6,
        ),
        stat(
            "Processes by release",
            "Coordinators included. Releases of one codec share a queue.",
            "short",
            query(f"count by (version) (tapemill_build_info{{{ONE_PROCESS}}})", "{{version}}"),
            width=6,
        ),
        stat(
            "Cores in use",
            "CPU seconds a second of all processes together.",
            "short",
            query(f"sum(rate(process_cpu_seconds_total{{{ONE_PROCESS}}}{RATE}))", "cores"),
            width=6,
            decimals=2,
        ),
        stat(
            "Memory of the largest",
            "Resident memory of the process that has most.",
            "decbytes",
            query(f"max(process_resident_memory_bytes{{{ONE_PROCESS}}})", "largest"),
            width=6,
        ),
        lines(
            "Workers by state",
            "Idle ones wait for tasks, draining ones finish what they hold.",
            "short",
            query(f"sum by (state) (max by (queue, state) (tapemill_workers{{{QUEUE}}}))", "{{state}}"),
            stacked=True,
        ),
        lines(
            "Rows a second",
            "Of each process, counted when a task is done.",
            "cps",
            query(f"sum by (instance) (rate(tapemill_rows_total{{{ONE_PROCESS_DATA}}}{RATE}))", "{{instance}}"),
        ),
        lines(
            "Bytes received a second",
            "From the archive, by each process: one at zero while others work waits for something.",
            "Bps",
            query(f'sum by (instance) (rate(tapemill_bytes_total{{{ONE_PROCESS}, direction="in"}}{RATE}))', "{{instance}}"),
        ),
        lines(
            "Tasks finished a minute",
            "By each process: done, missing and dead ones.",
            "cpm",
            query(
                f"60 * sum by (instance) (rate(tapemill_tasks_finished_total{{{ONE_PROCESS_DATA}}}{RATE}))", "{{instance}}"
            ),
        ),
        lines(
            "Where the time goes",
            "Threads in each stage, on average. Much fetch: the network bounds; much publish: the output does.",
            "short",
            query(f"sum by (stage) (rate(tapemill_stage_seconds_total{{{ONE_PROCESS}}}{RATE}))", "{{stage}}"),
            stacked=True,
        ),
        heat(
            "How long tasks take",
            "From claim to completion, of tasks done.",
            "s",
            f"sum by (le) (increase(tapemill_task_duration_seconds_bucket{{{ONE_PROCESS_DATA}}}{RATE}))",
        ),
        row("Machines"),
        lines(
            "Cores in use",
            "CPU seconds a second of each process.",
            "short",
            query(f"rate(process_cpu_seconds_total{{{ONE_PROCESS}}}{RATE})", "{{instance}}"),
            width=8,
        ),
        lines(
            "Memory",
            "Resident memory of each process: a constant for each task, whatever the archive's size.",
            "decbytes",
            query(f"process_resident_memory_bytes{{{ONE_PROCESS}}}", "{{instance}}"),
            width=8,
        ),
        lines(
            "Open files",
            "Files and sockets of each process.",
            "short",
            query(f"process_open_fds{{{ONE_PROCESS}}}", "{{instance}}"),
            width=8,
        ),
        row("Leases"),
        lines(
            "Heartbeats, how late",
            "99 % of the heartbeats of a process are less late than this. Seconds mean too little CPU.",
            "s",
            query(
                quantile(
                    0.99, f"sum by (le, instance) (rate(tapemill_heartbeat_delay_seconds_bucket{{{ONE_PROCESS}}}{RATE}))"
                ),
                "{{instance}}",
            ),
            width=8,
        ),
        lines(
            "Leases in trouble",
            "Leases that ran out and were returned, leases that their worker lost, calls refused for such a lease.",
            "short",
            query(f"sum(increase(tapemill_lease_expirations_total{{{ONE_PROCESS}}}{RATE}))", "ran out"),
            query(f"sum(increase(tapemill_lease_lost_total{{{ONE_PROCESS}}}{RATE}))", "lost"),
            query(f"sum(increase(tapemill_stale_calls_rejected_total{{{ONE_PROCESS}}}{RATE}))", "calls refused"),
            width=8,
            drawn="bars",
        ),
        lines(
            "Failed attempts",
            "By process: one that fails where others do not has a trouble of its own.",
            "short",
            query(f"sum by (instance) (increase(tapemill_task_failures_total{{{ONE_PROCESS_DATA}}}{RATE}))", "{{instance}}"),
            width=8,
            drawn="bars",
        ),
    ],
)

STORE = board(
    "tapemill-store",
    "tapemill: store and archive",
    "How the queue's store and the archive answer.",
    [JOB, QUEUES, DATASETS],
    [
        stat(
            "Store",
            "What the queue's store takes, in memory or on disk.",
            "decbytes",
            query(f"sum(max by (queue) (tapemill_store_memory_bytes{{{QUEUE}}}))", "store"),
        ),
        stat(
            "Store, a task",
            "What the store takes, over all tasks in it. Redis takes 300 bytes a task at most, beside some MB of its own.",
            "decbytes",
            query(
                f"sum(max by (queue) (tapemill_store_memory_bytes{{{QUEUE}}}))"
                f" / (sum(max by (queue, dataset, state) (tapemill_queue_tasks{{{QUEUE}}})) > 0)",
                "a task",
            ),
        ),
        stat(
            "Calls a second",
            "Calls to the store of all processes, failed ones included.",
            "cps",
            query(f"sum(rate(tapemill_store_call_duration_seconds_count{{{PROCESS}}}{RATE}))", "calls"),
        ),
        stat(
            "99 % of the calls take less than",
            "All calls of all processes.",
            "s",
            query(
                quantile(0.99, f"sum by (le) (rate(tapemill_store_call_duration_seconds_bucket{{{PROCESS}}}{RATE}))"), "99 %"
            ),
            color=thresholds("green", (0.1, "orange"), (0.5, "red")),
        ),
        stat(
            "Brake",
            "How long claims are still refused because the archive asked for fewer requests.",
            "s",
            query(f"max(tapemill_brake_seconds_remaining{{{QUEUE}}})", "brake"),
            color=thresholds("green", (1, "orange")),
        ),
        stat(
            "Answers that are errors",
            "Of all answers of the archive, those of 5xx, and requests without an answer.",
            "percentunit",
            query(
                f'sum(rate(tapemill_http_responses_total{{{PROCESS}, class=~"5xx|none"}}{RATE}))'
                f" / (sum(rate(tapemill_http_responses_total{{{PROCESS}}}{RATE})) > 0)",
                "errors",
            ),
            color=thresholds("green", (0.05, "orange"), (0.2, "red")),
            noValue="no requests",
        ),
        row("Store"),
        lines(
            "Calls a second",
            "By what is asked. A task costs two: one confirms its lease, one completes it and claims the next.",
            "cps",
            query(f"sum by (op) (rate(tapemill_store_call_duration_seconds_count{{{PROCESS}}}{RATE})) > 0", "{{op}}"),
            stacked=True,
        ),
        lines(
            "How long a call takes",
            "The mean, by what is asked. Plans (enqueue) go in large parts and may take longer.",
            "s",
            query(
                f"sum by (op) (rate(tapemill_store_call_duration_seconds_sum{{{PROCESS}}}{RATE}))"
                f" / (sum by (op) (rate(tapemill_store_call_duration_seconds_count{{{PROCESS}}}{RATE})) > 0)",
                "{{op}}",
            ),
        ),
        lines(
            "99 % of the calls take less than",
            "By process: one that waits longer than others has a bad way to the store, or no CPU.",
            "s",
            query(
                quantile(
                    0.99,
                    f"sum by (le, instance) (rate(tapemill_store_call_duration_seconds_bucket{{{PROCESS}}}{RATE}))",
                ),
                "{{instance}}",
            ),
        ),
        heat(
            "Calls by how long they take",
            "All calls of all processes, failed ones included.",
            "s",
            f"sum by (le) (increase(tapemill_store_call_duration_seconds_bucket{{{PROCESS}}}{RATE}))",
        ),
        lines(
            "What the store takes",
            "In memory or on disk. A Redis that is full refuses plans and claims; what is at work ends.",
            "decbytes",
            query(f"max by (queue) (tapemill_store_memory_bytes{{{QUEUE}}})", "{{queue}}"),
        ),
        lines(
            "Calls refused",
            "Their lease had been lost: the fence holds, nothing was written twice.",
            "short",
            query(or_none("op", f"sum by (op) (increase(tapemill_stale_calls_rejected_total{{{PROCESS}}}{RATE}))"), "{{op}}"),
            drawn="bars",
        ),
        lines(
            "How long a scrape takes",
            "/metrics of each process, as Prometheus measures it; the queue is asked twice for it, whatever its size.",
            "s",
            query('scrape_duration_seconds{job=~"$job"}', "{{instance}}"),
            width=24,
        ),
        row("Archive"),
        lines(
            "Answers a second",
            "By class of status; none: there was no answer. A checksum that is not there is a 404, and no error.",
            "cps",
            query(f"sum by (class) (rate(tapemill_http_responses_total{{{PROCESS}}}{RATE}))", "{{class}}"),
            stacked=True,
        ),
        lines(
            "Answers that are not 2xx",
            "Their part of all answers.",
            "percentunit",
            query(
                f'sum by (class) (rate(tapemill_http_responses_total{{{PROCESS}, class=~"4xx|5xx|none"}}{RATE}))'
                f" / on () group_left () (sum(rate(tapemill_http_responses_total{{{PROCESS}}}{RATE})) > 0)",
                "{{class}}",
            ),
        ),
        lines(
            "Failed attempts that the archive caused",
            "Requests are tried six times within an attempt before it fails.",
            "short",
            query(
                or_none(
                    "reason",
                    f'sum by (reason) (increase(tapemill_task_failures_total{{{PROCESS_DATA}, reason=~"{UPSTREAM}"}}{RATE}))',
                ),
                "{{reason}}",
            ),
            drawn="bars",
        ),
        lines(
            "Transfers that went on after a cut",
            "By range, from where they were. Many: the way to the archive is bad.",
            "short",
            query(f"sum by (instance) (increase(tapemill_fetch_resumes_total{{{PROCESS}}}{RATE}))", "{{instance}}"),
            drawn="bars",
        ),
        lines(
            "Brake",
            "How long claims of a queue are still refused because the archive asked for fewer requests (429, 418).",
            "s",
            query(f"max by (queue) (tapemill_brake_seconds_remaining{{{QUEUE}}})", "{{queue}}"),
        ),
        lines(
            "Bytes received a second",
            "From the archive, by all processes.",
            "Bps",
            query(f'sum(rate(tapemill_bytes_total{{{PROCESS}, direction="in"}}{RATE}))', "in"),
        ),
    ],
)

ALL = {"run": RUN, "workers": WORKERS, "store": STORE, "live": LIVE}

"""The dashboard of collectors: what comes, how late, what is missing, and whether it is stored."""

from parts import RATE, bars, board, deploys, heat, lines, marks, or_none, quantile, query, row, stat, thresholds, values_of

ONE = 'job=~"$job", instance=~"$instance"'
ONE_DATA = f'{ONE}, dataset=~"$dataset"'
QUARTER = "[15m]"

JOB = values_of("job", "tapemill_live_connections", "Job", "The scrape jobs whose collectors are shown.")
INSTANCES = values_of("instance", 'tapemill_live_connections{job=~"$job"}', "Collector", "The collectors that are shown.")
DATASETS = values_of(
    "dataset", f"tapemill_live_frames_total{{{ONE}}}", "Data", "The kinds of data that are shown.", every=".*"
)
MARKS = [
    deploys(ONE),
    marks("Bans", "orange", "the exchange answers nothing over REST", f"max(tapemill_live_ban_seconds_remaining{{{ONE}}})"),
]


def gauge(name):
    return f"tapemill_live_{name}{{{ONE}}}"


def rate(name, labels=ONE):
    return f"rate(tapemill_live_{name}{{{labels}}}{RATE})"


def increase(name, over=RATE):
    return f"increase(tapemill_live_{name}{{{ONE}}}{over})"


def lag(of):
    return quantile(of, f"sum by (le) ({rate('lag_seconds_bucket')})")


def gaps_per_million(by):
    """Holes in a million rows, of the last quarter of an hour."""
    rows = f"tapemill_live_rows_total{{{ONE}}}{QUARTER}"
    return f"1e6 * sum{by} ({increase('gaps_total', QUARTER)}) / (sum{by} (increase({rows})) > 0)"


LIVE = board(
    "tapemill-live",
    "tapemill: live",
    "What collectors of streams receive, how late, what they miss, and whether they store it.",
    [JOB, INSTANCES, DATASETS],
    [
        stat(
            "Symbols",
            "Symbols whose streams are collected, and whose books follow a snapshot.",
            "short",
            query(f'sum({gauge("symbols")[:-1]}, state="collecting"}})', "collecting"),
        ),
        stat(
            "Connections",
            "Open WebSockets of all collectors.",
            "short",
            query(f"sum({gauge('connections')})", "connections"),
            color=thresholds("red", (1, "blue")),
        ),
        stat(
            "Messages a second",
            "Of all streams and connections; what comes twice counts twice.",
            "cps",
            query(f"sum({rate('frames_total', ONE_DATA)})", "messages"),
        ),
        stat(
            "Gaps per million rows",
            "Holes of the last quarter of an hour. The ledger has each, with its bounds.",
            "short",
            query(gaps_per_million(""), "gaps"),
            color=thresholds("green", (10, "orange"), (100, "red")),
            decimals=1,
            noValue="no rows",
        ),
        stat(
            "99 % are less late than",
            "From the exchange's time of a message to its receipt.",
            "s",
            query(lag(0.99), "99 %"),
            color=thresholds("green", (0.5, "orange"), (1, "red")),
            noValue="no messages",
        ),
        stat(
            "Dropped rows",
            "Received, and not stored, for their symbols had been taken over; since the collectors began. Nothing else is dropped.",
            "short",
            query(f"sum({gauge('dropped_total')})", "dropped"),
            color=thresholds("green", (1, "red")),
        ),
        lines(
            "Messages a second",
            "As they come, by the data that they become.",
            "cps",
            query(f"sum by (dataset) ({rate('frames_total', ONE_DATA)})", "{{dataset}}"),
            stacked=True,
        ),
        lines(
            "Rows a second",
            "What is stored: each message once, snapshots, and trades that were asked for.",
            "cps",
            query(f"sum by (dataset) ({rate('rows_total', ONE_DATA)})", "{{dataset}}"),
            stacked=True,
        ),
        lines(
            "How late",
            "From the exchange's time of a message to its receipt: half are less late than the one, and so on. None below zero.",
            "s",
            query(lag(0.5), "half"),
            query(lag(0.9), "90 %"),
            query(lag(0.99), "99 %"),
        ),
        heat(
            "Messages by how late they are",
            "A second band beside the first is a second place that they come from, or a clock that jumped.",
            "s",
            f"sum by (le) ({increase('lag_seconds_bucket')})",
        ),
        row("What is missing"),
        lines(
            "Gaps",
            "Holes in streams, by collector: connections that ended, messages that the exchange left out.",
            "short",
            query(f"sum by (instance) ({increase('gaps_total')})", "{{instance}}"),
            drawn="bars",
        ),
        lines(
            "Gaps per million rows",
            "Of the last quarter of an hour, by collector. More than 100 is an alert.",
            "short",
            query(gaps_per_million(" by (instance)"), "{{instance}}"),
        ),
        lines(
            "Messages in gaps",
            "Missing: where ids count, so many were not received. Filled: trades that were asked for, and came.",
            "short",
            query(f"sum({increase('missing_ids_total')})", "missing"),
            query(f"sum({increase('filled_total')})", "filled"),
            drawn="bars",
        ),
        lines(
            "Known already, not readable, found again",
            "Messages that came twice are stored once. Texts that cannot be read are in the ledger. Books find a snapshot after each hole.",
            "short",
            query(f"sum({increase('duplicates_total')})", "duplicates"),
            query(f"sum({increase('malformed_total')})", "malformed"),
            query(f"sum({increase('resyncs_total')})", "resyncs"),
            drawn="bars",
        ),
        row("Connections"),
        lines(
            "Connections",
            "Open WebSockets of each collector: two of a kind while one takes over from the other.",
            "short",
            query(f"sum by (instance) ({gauge('connections')})", "{{instance}}"),
        ),
        lines(
            "Reconnects",
            "Connections that ended, by why: a rotation is planned and costs nothing. Failed: tries that gave none.",
            "short",
            query(f"sum by (cause) ({increase('reconnects_total')})", "{{cause}}"),
            query(f"sum({increase('connect_failures_total')})", "failed"),
            drawn="bars",
        ),
        lines(
            "Symbols",
            "Waiting: the book has no snapshot that its updates follow yet. Delisted: the exchange does not have it any longer.",
            "short",
            query(f"sum by (state) ({gauge('symbols')})", "{{state}}"),
            stacked=True,
        ),
        lines(
            "REST refused",
            "How long the exchange still answers nothing over REST, as it said. Streams go on; snapshots wait.",
            "s",
            query(f"max by (instance) ({gauge('ban_seconds_remaining')})", "{{instance}}"),
        ),
        row("Storing"),
        lines(
            "Bytes a second",
            "Received from the exchange, as text, and stored, in files.",
            "Bps",
            query(f"sum({rate('bytes_total')})", "received"),
            query(f"sum({rate('stored_bytes_total')})", "stored"),
        ),
        lines(
            "Rows stored a second",
            "Of each collector; the ledger's are among them.",
            "cps",
            query(f"sum by (instance) ({rate('stored_rows_total')})", "{{instance}}"),
        ),
        lines(
            "Buffer",
            "Rows that are not stored yet, about, and the most that they may take. With more, sockets are not read.",
            "decbytes",
            query(f"sum by (instance) ({gauge('buffered_bytes')})", "{{instance}}"),
            query(f"sum by (instance) ({gauge('buffer_limit_bytes')})", "{{instance}}, most"),
        ),
        lines(
            "Flush",
            "What the last flush of each collector took. Longer than --flush-interval: rows come faster than they are stored.",
            "s",
            query(f"max by (instance) ({gauge('flush_seconds')})", "{{instance}}"),
        ),
        lines(
            "Trouble with storing",
            "Tries to store rows that failed, which are repeated, and rows that were dropped.",
            "short",
            query(f"sum({increase('flush_failures_total')})", "failed tries"),
            query(f"sum({increase('dropped_total')})", "dropped rows"),
            drawn="bars",
        ),
        bars(
            "Alerts",
            "Those of prometheus/rules.yaml about collectors that fire now; docs/operations.md says what to do.",
            "short",
            query(
                or_none("alertname", 'count by (alertname) (ALERTS{alertname=~"TapemillLive.*", alertstate="firing"})'),
                "{{alertname}}",
                instant=True,
            ),
            color={"mode": "thresholds"},
            thresholds=thresholds("green", (1, "red")),
        ),
        row("Machines"),
        lines(
            "Cores in use",
            "CPU seconds a second of each collector: one thread reads all sockets of a share of symbols.",
            "short",
            query(f"sum by (instance) (rate(process_cpu_seconds_total{{{ONE}}}{RATE}))", "{{instance}}"),
        ),
        lines(
            "Memory",
            "Resident memory of each collector.",
            "decbytes",
            query(f"sum by (instance) (process_resident_memory_bytes{{{ONE}}})", "{{instance}}"),
        ),
    ],
    MARKS,
)

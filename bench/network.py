"""The archive over loopback: a server of limited pace, months of klines in many small tasks, and planning."""

import json
import shutil
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import trades
from environment import BENCH
from measuring import Contender, Failed, Measured
from report import Goal, Section

PACE = 100_000_000
CURL = "curl, to nothing"
KLINES_SYMBOLS = ["BTCUSDT", "ETHUSDT", "DOGEUSDT", "SOLUSDT"]
TEN_DATASETS = "aggTrades," + ",".join(f"klines:{interval}" for interval in "1m 3m 5m 15m 30m 1h 2h 4h 1d".split())


@contextmanager
def mirror(*words):
    """A mirror of this run's own: its URL, and what it was asked since the last time."""
    command = [sys.executable, BENCH / "mirror.py", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise Failed("mirror.py: ended before it said its URL")

        def told():
            with urllib.request.urlopen(f"{url}/_told") as answer:
                return json.load(answer)

        yield url, told
    finally:
        process.kill()
        process.wait()


def tapemill(bench, backend, name, url, symbols, data, words=(), ask=None):
    """A contender that takes its archives from a mirror."""
    output = bench.output(name)
    start = [bench.binaries.tapemill(backend), "run", "-q", "--source", url, "--output", output]
    return Contender(name, (*start, "--symbols", symbols, "--data", data, *words), output, ask=ask)


def paced(bench):
    """Whether a server of 100 MB/s of ZIP ever waits for us."""
    months = [bench.month("L"), bench.month("M", seed=4, month="2023-11", name="M2")]
    root = bench.archives.together("two-sizes", months)
    size = sum(archive.size() for archive in months)
    section = Section(f"A server of {PACE / 1e6:.0f} MB/s, {size / 1e6:.0f} MB of ZIP, two workers",
                      ["", "MB/s, first to last byte", "MB/s, whole command", "CPU s", "wall s", "peak MiB"])
    with mirror(root, "--bytes-per-second", PACE) as (url, told):
        urls = [f"{url}/{archive.path.relative_to(archive.root)}" for archive in months]
        contenders = [Contender(CURL, ("curl", "-sS", *urls), ask=told)] if shutil.which("curl") else []
        for backend in bench.binaries.backends:
            name = f"tapemill, {backend}"
            contenders.append(tapemill(bench, backend, name, url, "BTCUSDT", "aggTrades", ["--workers", 2], told))
        measured = Measured(contenders, (bench.rounds + 1) // 2)

    def rate(name, number):
        told = measured.costs[name][number].told
        return told["bytes"] / max(told["seconds"], 1e-9)

    def given(number):
        # curl shows what the server gives to one that does nothing with it, in the same round.
        return min(PACE, rate(CURL, number)) if CURL in measured else PACE

    for contender in contenders:
        name = contender.name
        cpu, wall, peak = (measured.median(name, what) for what in ("cpu", "wall", "peak_mib"))
        reached = measured.median_of(name, lambda number, _: rate(name, number))
        rates = [f"{reached / 1e6:.1f}", f"{size / wall / 1e6:.1f}"]
        section.rows.append([name, *rates, f"{cpu:.2f}", f"{wall:.2f}", f"{peak:.0f}"])
        if contender.output:
            share = measured.median_of(name, lambda number, _: rate(name, number) / given(number))
            text = f"share of what the server gives, {name.removeprefix('tapemill, ')}"
            section.goals.append(Goal(text, share, 0.95, None, True))
    text, each = requests(measured.costs[contenders[-1].name][-1].told, len(months))
    bench.requests("aggTrades", each)
    section.notes.append(text)
    section.notes.append(
        "The server counts from the first request for a ZIP to the last byte of one; the whole command also starts, "
        "plans, and writes the last month. It may catch up at most 50 ms of what it did not send."
    )
    return section


def klines(bench):
    """48 small tasks, queue, checksums and download included, beside polars on the same files from disk."""
    months = [f"2023-{number:02}" for number in range(1, 13)]
    symbols, months = (KLINES_SYMBOLS[:2], months[:2]) if bench.smoke else (KLINES_SYMBOLS, months)
    archives = [
        bench.archives.klines("klines", symbol, month, 100 * at + int(month[-2:]))
        for at, symbol in enumerate(symbols) for month in months
    ]
    root, tasks = archives[0].root, len(archives)
    script = BENCH / "peers" / "klines_polars.py"
    polars = [
        Contender(name, (bench.python, script, root, bench.output(name), threads), bench.output(name))
        for name, threads in [("polars", 1), ("polars, two files at once", 2)] if bench.has("polars")
    ]
    with mirror(root) as (url, told):
        def job(backend, name, source, ask=None):
            return tapemill(bench, backend, name, source, ",".join(symbols), "klines:1m", ["--workers", 2], ask)

        ours = [job(backend, f"tapemill, {backend}", url, told) for backend in bench.binaries.backends]
        # Shows the network's part.
        folder = job(bench.binaries.backends[0], "tapemill, from a folder", root)
        measured = Measured([*ours, folder, *polars], bench.rounds)
    trades.same_files([contender.output for contender in [*ours, folder]])
    trades.agree(bench, [pair for rival in polars for pair in klines_pairs(ours[0].output, rival.output, archives)])

    head = ["", "CPU s", "wall s", "peak MiB", "months/s", "ms of CPU a month", "without imports: CPU s", "wall s"]
    size = sum(archive.size() for archive in archives)
    section = Section(f"{tasks} months of 1m klines ({size / 1e6:.0f} MB of ZIP)", head)
    for contender in [*ours, folder, *polars]:
        cpu, wall, peak = (measured.median(contender.name, what) for what in ("cpu", "wall", "peak_mib"))
        bare = json.loads(measured.costs[contender.name][-1].out) if contender in polars else None
        cells = [f"{cpu:.3f}", f"{wall:.3f}", f"{peak:.0f}", f"{tasks / wall:.0f}", f"{cpu / tasks * 1e3:.1f}"]
        without = [f"{bare['cpu']:.3f}", f"{bare['wall']:.3f}"] if bare else ["", ""]
        section.rows.append([contender.name, *cells, *without])
    for contender in ours if polars else []:
        backend = contender.name.removeprefix("tapemill, ")
        gain, faster = (measured.ratio(rival.name, contender.name, "wall") for rival in polars)
        section.goals.append(Goal(f"throughput ÷ polars, {backend}", gain, 2, 3, True, " ×"))
        section.notes.append(f"Beside polars with two files at once, {backend}: {faster:.2f} ×.")
        bare_walls = [[json.loads(cost.out)["wall"] for cost in measured.costs[rival.name]] for rival in polars]
        fastest = [min(walls) for walls in zip(*bare_walls)]
        without = measured.median_of(contender.name, lambda number, cost: fastest[number] / cost.wall)
        section.notes.append(f"Without Python's start and imports: {without:.2f} × the faster of both, {backend}.")
    text, each = requests(measured.costs[ours[0].name][-1].told, tasks)
    section.notes.append(text)
    bench.plan_with("klines:1m", "klines:1m", archives, ours[0].output, measured.median(ours[0].name, "cpu"), each)
    return section


def klines_pairs(ours, theirs, archives):
    """Our tables beside those of polars."""
    for archive in archives:
        period = archive.path.stem.split("-1m-")[1]
        for table, interval in [("klines_1m", "1m"), ("klines_1h_from_1m", "1h")]:
            name = f"{archive.path.stem}.parquet"
            yield ours / table / "um" / archive.symbol / f"{period}.parquet", theirs / interval / name


def requests(told, tasks):
    """What the mirror was asked for so many tasks, in words and for each."""
    asked = [told[what] for what in ("archives", "sidecars", "listings", "others")]
    each = sum(asked) / tasks
    return (
        f"Requests: {asked[0]} for archives, {asked[1]} for checksums, {asked[2]} for listings, over "
        f"{told['connections']} connections: {each:.2f} a month."
    ), each


def planning(bench):
    """Planning and status at 500 symbols × 84 months × 10 datasets."""
    symbols, months = (3, 4) if bench.smoke else (500, 84)
    output = bench.output("planning")
    backend = bench.binaries.backends[0]
    tapemill_ = bench.binaries.tapemill(backend)
    # Without days: the months are all there.
    words = ["--symbols", "all", "--data", TEN_DATASETS, "--end", "2026-10"]
    with mirror("--symbols", symbols, "--months", months) as (url, told):
        plan = (tapemill_, "plan", "-q", "--source", url, "--output", output, *words)
        first = Measured([Contender("plan, nothing known", plan, output, ask=told)], 1)
        again = Measured([Contender("plan again", plan, ask=told)], 1)
    status = Measured([Contender("status --json", (tapemill_, "status", "--json", "--output", output))], bench.rounds)
    pending = json.loads(status.costs["status --json"][-1].out)["totals"]["pending"]
    expected = symbols * months * 10
    if pending != expected:
        raise Failed(f"planning: {pending} tasks pending, {expected} expected")
    section = Section(f"Planning {symbols} symbols × {months} months × 10 datasets, {expected:,} tasks in SQLite",
                      ["", "CPU s", "wall s", "peak MiB", "listing pages"])
    for measured in [first, again, status]:
        (name,) = measured.costs
        cpu, wall, peak = (measured.median(name, what) for what in ("cpu", "wall", "peak_mib"))
        pages = measured.costs[name][-1].told.get("listings", "")
        section.rows.append([name, f"{cpu:.3f}", f"{wall:.3f}", f"{peak:.0f}", pages])
    return section

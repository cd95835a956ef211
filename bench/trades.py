"""A month of trades: what the whole job costs beside its limits and its peers, and whether all of them agree."""

import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from environment import BENCH, SHARED_PEERS
from measuring import Contender, Failed, Measured, run
from report import Goal, Section

PEERS = ["polars", "duckdb", "pandas", "pyarrow", "chdb"]
HEAD = ["", "CPU s", "wall s", "peak MiB", "rows/s and core", "CPU ÷ ours"]


def mill(bench, archive, backend, name=None, workers=1, core=None, root=None, market="um"):
    """`tapemill run` on a mirror folder, as a contender."""
    name = name or f"tapemill, {backend}"
    output = bench.output(name)
    command = [bench.binaries.tapemill(backend), "run", "-q", "--workers", workers, "--source", root or archive.root]
    command += ["--output", output, "--symbols", archive.symbol, "--data", "aggTrades", "--market", market]
    return Contender(name, tuple(command), output, core)


def limits(bench, archive, backend):
    """What no reader can avoid, and inflate alone, with the libraries of one back end."""
    limit = bench.binaries.limit(backend)
    return [
        Contender(f"the unavoidable, {backend}", (limit, archive.path)),
        Contender(f"bare inflate, {backend}", (limit, archive.path, "inflate")),
    ]


def peers(bench, archive):
    """Every peer whose script lies beside the project and whose library is installed."""
    found = []
    for name in PEERS:
        script = SHARED_PEERS / f"peer_{name}.py"
        if script.exists() and bench.has(name):
            output = bench.output(name)
            found.append(Contender(name, (bench.python, script, archive.path, output / "minutes.parquet"), output))
    return found


def freqtrade(bench, archive):
    """The same month through freqtrade's own parser, where it could be installed."""
    if not bench.freqtrade:
        return []
    output = bench.output("freqtrade")
    script = BENCH / "peers" / "peer_freqtrade.py"
    return [Contender("freqtrade", (bench.freqtrade, script, archive.path, output / "minutes.parquet"), output)]


def minutes_of(output):
    (found,) = Path(output).glob("aggtrades_1m/*/*/*.parquet")
    return found


def agree(bench, pairs, most=1e-9):
    """Fails unless the second table of every pair says what the first, ours, says; sums may differ by so much."""
    if pairs:
        command = [bench.python, BENCH / "agree.py", str(most), *(path for pair in pairs for path in pair)]
        told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode != 0:
            raise Failed(f"results differ: {(told.stdout or told.stderr).strip().splitlines()[-1]}")


def same_files(outputs):
    """Fails unless all outputs hold the same Parquet files, byte for byte; returns how many."""
    found = [hashes(output) for output in outputs]
    for output, other in zip(outputs[1:], found[1:]):
        for path in sorted(found[0].keys() | other.keys()):
            if found[0].get(path) != other.get(path):
                raise Failed(f"{path} is not the same in {outputs[0]} and {output}")
    return len(found[0])


def hashes(output):
    """SHA-256 of every published table, by its path; the catalogue is for people and may differ."""
    files = [path for path in Path(output).rglob("*.parquet") if "_catalogue" not in path.parts]
    if not files:
        raise Failed(f"{output}: expected Parquet files there")
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(measured, names, archive, ours):
    """Table rows in the order of HEAD."""
    found = []
    for name in names:
        cpu, wall, peak = (measured.median(name, what) for what in ("cpu", "wall", "peak_mib"))
        rate = f"{archive.rows / cpu / 1e6:.1f} M"
        found.append([name, f"{cpu:.3f}", f"{wall:.3f}", f"{peak:.0f}", rate, f"{measured.ratio(name, ours):.2f}"])
    return found


def whole_job(bench, size):
    """One task at a time on one archive, beside everything."""
    archive = bench.month(size)
    backends = bench.binaries.backends
    jobs = [mill(bench, archive, backend) for backend in backends]
    beside = [limit for backend in backends for limit in limits(bench, archive, backend)]
    if shutil.which("unzip"):
        beside.append(Contender("unzip -p", ("unzip", "-p", archive.path)))
    # freqtrade holds each trade as Python objects, a GiB for two million: it gets the small month only.
    others = peers(bench, archive) + (freqtrade(bench, archive) if size == "S" else [])
    contenders = jobs + beside + others
    measured = Measured(contenders, bench.rounds if size != "L" else (bench.rounds + 1) // 2)
    agree(bench, [(minutes_of(jobs[0].output), peer.output / "minutes.parquet") for peer in others])
    same_files([job.output for job in jobs])

    ours = jobs[0].name
    section = Section(f"A month of {archive.rows:,} trades ({archive.size() / 1e6:.0f} MB of ZIP)", HEAD)
    section.rows = rows_of(measured, [contender.name for contender in contenders], archive, ours)
    for backend, job in zip(backends, jobs):
        if size == "M":
            section.goals += goals(measured, job.name, backend)
        elif size == "L":
            wall = measured.ratio(job.name, f"bare inflate, {backend}", "wall")
            section.goals.append(Goal(f"wall, an idle core there, ÷ bare inflate, {backend}", wall, 1.15, unit=" ×"))
    if others:
        names = ", ".join(peer.name for peer in others)
        section.notes.append(f"{names} agree with ours: counts, times and prices to the bit, sums within 1e-9.")
        section.notes.append("All peers inflate with Python's zlib.")
    if "freqtrade" in measured:
        section.notes.append("freqtrade makes six columns of the 22: the minute, four prices and the volume.")
    if size == "M":
        what = f"aggTrades, {archive.rows:,} trades a month"
        bench.plan_with("aggTrades", what, [archive], jobs[0].output, measured.median(ours, "cpu"))
    return section


def memory(bench):
    """Peaks of one task at a time over three sizes, and of a run that finds everything done."""
    backend = bench.binaries.backends[0]
    jobs = {size: mill(bench, bench.month(size), backend, f"{size}: one task") for size in bench.sizes}
    idle = mill(bench, bench.month("M"), backend, "nothing to do")
    # Twice on one output, which therefore stays between rounds: the second finds all done.
    idle.output.mkdir(parents=True)
    run(idle.command)
    measured = Measured([*jobs.values(), replace(idle, output=None)], bench.rounds)
    peak = {size: measured.median(job.name, "peak_mib") for size, job in jobs.items()}
    fixed = measured.median(idle.name, "peak_mib")
    section = Section("Memory", ["", "peak MiB", "beyond the fixed part"])
    section.rows = [[idle.name, f"{fixed:.1f}", ""]]
    for size, job in jobs.items():
        rows = f"{bench.month(size).rows:,} trades"
        section.rows.append([f"{job.name}, {rows}", f"{peak[size]:.1f}", f"{peak[size] - fixed:.1f}"])
    section.goals = [
        Goal("peak of a task beyond the fixed part, the largest", max(peak.values()) - fixed, 24, unit=" MiB"),
        Goal("peak, L ÷ S", peak["L"] / peak["S"], 1.05, unit=" ×"),
    ]
    return section


def cores(bench):
    """Two tasks on two cores beside one task; and that threads and workers change no byte."""
    first = bench.month("M")
    second = bench.month("M", seed=4, month="2023-11", name="M2")
    both = bench.archives.together("two-months", [first, second])
    section = Section("Two tasks on two cores", ["", "CPU s", "wall s", "peak MiB"])
    for backend in bench.binaries.backends:
        one = mill(bench, first, backend, f"one task, {backend}")
        in_turn = mill(bench, first, backend, f"two tasks in turn, {backend}", 1, root=both)
        at_once = mill(bench, first, backend, f"two tasks at once, {backend}", 2, root=both)
        measured = Measured([one, in_turn, at_once], bench.rounds)
        same_files([in_turn.output, at_once.output])
        for contender in [one, in_turn, at_once]:
            figures = [measured.median(contender.name, what) for what in ("cpu", "wall", "peak_mib")]
            section.rows.append([contender.name, *(f"{f:.3f}" for f in figures[:2]), f"{figures[2]:.0f}"])
        gain = 2 * measured.ratio(one.name, at_once.name, "wall")
        section.goals.append(Goal(f"throughput of two at once ÷ one, {backend}", gain, 1.9, None, True, " ×"))
    huge = bench.month("L")
    spread = [mill(bench, huge, backend, f"L with a core to spare, {backend}") for backend in bench.binaries.backends]
    spread += [mill(bench, huge, backend, f"L on one core, {backend}", core=0) for backend in bench.binaries.backends]
    Measured(spread, 1)
    files = same_files([contender.output for contender in spread])
    section.notes.append(
        f"Same bytes: the files of two tasks in turn and at once; the {files} files of {huge.rows:,} trades with a core "
        f"to spare (a second thread reads) and on one core, with {' and '.join(bench.binaries.backends)}."
    )
    return section


def shapes(bench):
    """Other decimals, orders and headers than a month of BTCUSDT has."""
    rows, seed = bench.sizes["M"]
    plain = bench.month("M")
    make = bench.archives.trades
    archives = {
        "BTCUSDT": plain,
        "BTCUSDT, two streams of ids": bench.archives.interleaved("M-interleaved", plain),
        "BTCUSDT, no header": make("M-bare", rows, seed, flags=["--no-header"]),
        "DOGEUSDT": make("M-doge", rows, seed, "DOGEUSDT"),
        "ETHUSDT, spot, 8 decimals": make("M-spot", rows, seed, "ETHUSDT", flags=["--spot"], market="spot"),
    }
    head = ["", "CPU s", "the unavoidable", "÷ the unavoidable", "rows/s and core", "polars ÷ ours"]
    section = Section(f"Other shapes, {rows:,} trades", head)
    backend = bench.binaries.backends[0]
    tables = {}
    for name, archive in archives.items():
        job = mill(bench, archive, backend, name, market="spot" if "spot" in name else "um")
        limit = limits(bench, archive, backend)[0]
        # polars' script takes seven columns, sorted.
        fits = "spot" not in name and "streams" not in name
        rival = [peer for peer in peers(bench, archive) if peer.name == "polars" and fits]
        measured = Measured([job, limit, *rival], (bench.rounds + 1) // 2)
        tables[name] = minutes_of(job.output)
        agree(bench, [(tables[name], peer.output / "minutes.parquet") for peer in rival])
        cpu = measured.median(name, "cpu")
        section.rows.append([
            name, f"{cpu:.3f}", f"{measured.median(limit.name, 'cpu'):.3f}", f"{measured.ratio(name, limit.name):.2f}",
            f"{archive.rows / cpu / 1e6:.1f} M", f"{measured.ratio('polars', name):.2f}" if rival else "",
        ])
    one, two, bare = (tables[name] for name in list(archives)[:3])
    if bench.has("pyarrow"):
        agree(bench, [(one, two), (one, bare)], most=0)
        section.notes.append("Two streams of ids, and no header, give the minutes of the first row to the bit.")
    return section


def goals(measured, ours, backend):
    """What the whole job has to come to, of one back end."""
    over = measured.ratio(ours, f"the unavoidable, {backend}")
    found = [Goal(f"CPU, whole job ÷ the unavoidable, {backend}", over, 1.35, 1.15, unit=" ×")]
    if "unzip -p" in measured:
        unzip = measured.ratio(ours, "unzip -p")
        found.append(Goal(f"CPU, whole job ÷ unzip -p, {backend}", unzip, 0.32, 0.22, unit=" ×"))
    rivals = [name for name in ("polars", "duckdb") if name in measured]
    if rivals:
        better = f"{' and '.join(rivals)}, the better, ÷ ours, {backend}"
        cpu = min(measured.ratio(name, ours) for name in rivals)
        wall = min(measured.ratio(name, ours, "wall") for name in rivals)
        found.append(Goal(f"CPU, {better}", cpu, 5, 7, True, " ×"))
        found.append(Goal(f"wall, {better}", wall, 4, None, True, " ×"))
    if "pandas" in measured:
        pandas = measured.ratio("pandas", ours)
        found.append(Goal(f"CPU, pandas ÷ ours, {backend}", pandas, 5.5, None, True, " ×"))
    return found

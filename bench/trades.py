"""A month of trades: what the whole job costs beside its limits and its peers, and whether all of them agree."""

import hashlib
import subprocess
from pathlib import Path

from environment import BENCH, SHARED_PEERS, say
from measuring import Contender, Failed, Measured
from report import Goal, Section

PEERS = ["polars", "duckdb", "pandas", "pyarrow", "chdb"]
HEAD = ["", "CPU s", "wall s", "peak MiB", "rows/s and core", "CPU ÷ ours"]


def mill(bench, archive, backend, name=None, workers=1, core=None, root=None, symbols=None, data="aggTrades"):
    """`tapemill run` on a mirror folder, as a contender."""
    name = name or f"tapemill, {backend}"
    output = bench.output(name)
    command = [bench.binaries.tapemill(backend), "run", "-q", "--workers", workers, "--source", root or archive.root]
    command += ["--output", output, "--symbols", symbols or archive.symbol, "--data", data]
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
    if not SHARED_PEERS.exists():
        say(f"no peers: {SHARED_PEERS} is not there")
    return found


def minutes_of(output):
    (found,) = Path(output).glob("aggtrades_1m/*/*/*.parquet")
    return found


def agree(bench, ours, others):
    """Fails unless every other table of minutes says what ours says."""
    if others:
        command = [bench.python, BENCH / "agree.py", ours, *others]
        told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode != 0:
            wrong = [line for line in told.stdout.splitlines() if ": agrees" not in line] or [told.stderr.strip()]
            raise Failed(f"results differ: {wrong[0]}")


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
    beside.append(Contender("unzip -p", ("unzip", "-p", archive.path)))
    others = peers(bench, archive)
    contenders = jobs + beside + others
    measured = Measured(contenders, bench.rounds)
    agree(bench, minutes_of(jobs[0].output), [peer.output / "minutes.parquet" for peer in others])
    same_files([job.output for job in jobs])

    ours = jobs[0].name
    section = Section(f"A month of {archive.rows:,} trades ({archive.size() / 1e6:.0f} MB)", HEAD)
    section.rows = rows_of(measured, [contender.name for contender in contenders], archive, ours)
    if size == "M":
        section.goals = [goal for backend, job in zip(backends, jobs) for goal in goals(measured, job.name, backend)]
    section.notes.append(
        f"Agree with ours: {', '.join(peer.name for peer in others) or 'no peer was there'}: counts, times and prices to "
        f"the bit, sums within 1e-9. The files of {' and '.join(backends)} are the same bytes."
    )
    return section


def goals(measured, ours, backend):
    """What the whole job has to come to, of one back end."""
    over = measured.ratio(ours, f"the unavoidable, {backend}")
    unzip = measured.ratio(ours, "unzip -p")
    found = [
        Goal(f"CPU, whole job ÷ the unavoidable, {backend}", over, 1.35, 1.15, unit=" ×"),
        Goal(f"CPU, whole job ÷ unzip -p, {backend}", unzip, 0.32, 0.22, unit=" ×"),
    ]
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

"""What the benchmark runs: the release binaries, the Python with the peers, the tools beside."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from measuring import Failed

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
SHARED_PEERS = ROOT.parent / "shared" / "bench" / "peers"
# What ISA-L is built with.
ISAL_TOOLS = ["nasm", "autoconf", "automake", "libtoolize", "make"]
BACKENDS = ["zlib-rs", "isal"]


def say(text):
    print(text, file=sys.stderr, flush=True)


def called(*command, **options):
    return subprocess.check_output([str(word) for word in command], text=True, **options).strip()


class Binaries:
    """`tapemill` and `tapemill-limit` of each back end that could be built."""

    def __init__(self, folder=None):
        self.folder = Path(folder) if folder else build()
        self.backends = [name for name in BACKENDS if (self.folder / name / "tapemill").exists()]
        if not self.backends:
            raise Failed(f"{self.folder}: expected zlib-rs/tapemill and zlib-rs/tapemill-limit there")

    def tapemill(self, backend="zlib-rs"):
        return self.folder / backend / "tapemill"

    def limit(self, backend="zlib-rs"):
        return self.folder / backend / "tapemill-limit"


def build():
    """Builds both, and copies each aside: cargo gives the binaries of either feature set one place."""
    metadata = json.loads(called("cargo", "metadata", "--format-version", "1", "--no-deps", cwd=ROOT))
    target = Path(metadata["target_directory"])
    folder = target / "bench"
    packages = ["-p", "tapemill", "-p", "tapemill-bench"]
    for backend, features in [("isal", ["--features", "tapemill/isal,tapemill-bench/isal"]), ("zlib-rs", [])]:
        lacking = [tool for tool in ISAL_TOOLS if not shutil.which(tool)] if features else []
        place = folder / backend
        if lacking:
            say(f"without ISA-L: {', '.join(lacking)} not found; scripts/test installs what builds it")
            shutil.rmtree(place, ignore_errors=True)
            continue
        say(f"building the release binaries, {backend}")
        subprocess.run(["cargo", "build", "--release", "-q", *packages, *features], cwd=ROOT, check=True)
        place.mkdir(parents=True, exist_ok=True)
        for name in ["tapemill", "tapemill-limit"]:
            shutil.copy2(target / "release" / name, place / name)
    return folder


def python():
    """A Python with the peers."""
    return made("BENCH_PYTHON", ".venv", "requirements.txt", "numpy, polars, duckdb, pandas, pyarrow, chdb")


def freqtrade():
    """A Python with freqtrade, in an environment of its own since it pins what others need newer; None without."""
    wants = "freqtrade.exchange.binance_public_data"
    try:
        return made("BENCH_FREQTRADE_PYTHON", ".venv-freqtrade", "requirements-freqtrade.txt", wants)
    except subprocess.CalledProcessError:
        say("freqtrade: not installed, pip could not; the rest goes on without")
        return None


def made(named, folder, requirements, wants):
    """The Python that a variable names, else an environment beside this file, made when it is not there."""
    if os.environ.get(named):
        return Path(os.environ[named])
    place = BENCH / folder
    found = place / "bin" / "python"
    if not found.exists() or subprocess.run([found, "-c", f"import {wants}"], capture_output=True).returncode != 0:
        say(f"installing Python packages into {place.relative_to(ROOT)}")
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        pip = [found, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", BENCH / requirements], check=True)
    return found


def installed(interpreter, modules):
    """Which of these an interpreter can import."""
    script = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])"
    return set(called(interpreter, "-c", script, *modules).split())


def install_tools():
    """Debian packages that the benchmark needs and does not find."""
    need = [name for name in ["unzip", "curl"] if not shutil.which(name)]
    if need:
        say(f"installing Debian packages: {' '.join(need)}")
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*sudo, "apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
        install = ["apt-get", "install", "-qy", "--no-install-recommends", *need]
        subprocess.run([*sudo, *install], check=True, stdout=subprocess.DEVNULL)


def machine():
    """One line: processor, cores, memory, system."""
    processor, memory = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1]
        kib = int(re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)[1])
        memory = f", {kib / (1 << 20):.0f} GiB"
    return f"{processor}, {os.cpu_count()} cores{memory}, {platform.system()} {platform.release()}"


def versions(interpreter, modules):
    """Of everything that is measured, by name."""
    script = "import importlib.metadata as m, sys; print(*[f'{n} {m.version(n)}' for n in sys.argv[1:]], sep=', ')"
    commit = called("git", "describe", "--always", "--dirty", cwd=ROOT)
    rust, own = called("rustc", "--version").split(" (")[0], called(interpreter, "--version")
    return f"tapemill at {commit}, {rust}, {own}, {called(interpreter, '-c', script, *sorted(modules))}"

"""Commands run side by side: rounds in which each runs once, so that every ratio is of neighbours in time."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

LAUNCH = Path(__file__).with_name("launch.py")
# Settings of whoever starts the benchmark are none of its own.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TAPEMILL_")}


# A machine that just took back gigabytes is slower for a moment: a run took up to twice its time right after polars. So
# nothing is measured at once after something large: each contender waits half as long as the one before took, up to this.
MOST_PAUSE = 3.0


class Failed(Exception):
    """One line: what failed, and what it said."""


@dataclass(frozen=True)
class Cost:
    """What one run of a command took, what it printed, and what others know of it."""

    cpu: float
    user: float
    wall: float
    peak_mib: float
    out: str
    told: dict


@dataclass(frozen=True)
class Contender:
    """A command with a name. A folder that it writes to is empty when it starts."""

    name: str
    command: tuple
    output: Path | None = None
    core: int | None = None
    # Called when it has run, for what only others know of it; kept beside the cost.
    ask: Callable[[], dict] | None = None


def run(command, core=None):
    """One run of a command, on one core if one is named. Keeps the last 64 KiB of what it prints."""
    command = [str(word) for word in command]
    with tempfile.TemporaryDirectory() as folder:
        costs, out, err = (Path(folder) / name for name in ("costs", "out", "err"))
        launch = [sys.executable, "-I", "-S", str(LAUNCH), str(costs), *command]
        if core is not None:
            launch = ["taskset", "-c", str(core), *launch]
        # unzip -p writes the whole file: that has to cost nothing but its own writing.
        to_nothing = command[0] in ("unzip", "curl")
        with open(os.devnull if to_nothing else out, "wb") as stdout, err.open("wb") as stderr:
            done = subprocess.run(launch, stdout=stdout, stderr=stderr, env=ENVIRONMENT)
        if done.returncode != 0:
            said = err.read_text(errors="replace").strip().splitlines()
            raise Failed(f"{' '.join(command)}: exit code {done.returncode}: {said[-1] if said else 'it said nothing'}")
        told = "" if to_nothing else out.read_text(errors="replace")[-65536:]
        return Cost(**json.loads(costs.read_text()), out=told, told={})


class Measured:
    """The costs of every contender, one for each round."""

    def __init__(self, contenders, rounds):
        self.costs = {contender.name: [] for contender in contenders}
        before = 0.0
        for number in range(rounds):
            first = number % len(contenders)
            for contender in contenders[first:] + contenders[:first]:
                if contender.output:
                    shutil.rmtree(contender.output, ignore_errors=True)
                    contender.output.mkdir(parents=True)
                os.sync()
                time.sleep(min(before / 2, MOST_PAUSE))
                cost = run(contender.command, contender.core)
                before = cost.wall
                told = contender.ask() if contender.ask else {}
                self.costs[contender.name].append(replace(cost, told=told))

    def __contains__(self, name):
        return name in self.costs

    def median(self, name, what):
        return statistics.median(getattr(cost, what) for cost in self.costs[name])

    def median_of(self, name, pick):
        """The median of what is picked from the number of a round and the cost in it."""
        return statistics.median(pick(number, cost) for number, cost in enumerate(self.costs[name]))

    def ratio(self, name, other, what="cpu"):
        """The median of the ratios within each round."""
        pairs = zip(self.costs[name], self.costs[other])
        return statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs)

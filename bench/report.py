"""What is printed and written: tables, and required figures beside what was measured."""

from dataclasses import dataclass, field
from datetime import date

INTRODUCTION = """# Performance

Made by `bench/run`, which measures everything anew and writes this page; [bench/README.md](../bench/README.md) says
how. Every contender runs once a round, in turns; figures are medians, and a ratio is the median of the ratios within
each round. CPU is user + system time of the whole process, peak memory what the kernel counted.

`isal` is the release build, `cargo build --release --features isal`; `zlib-rs` is what builds without nasm. Their files are the
same. What is required is required of the release build.

Order books are measured by `bench/book/run`: 3.6 million level updates a second and core, beside hftbacktest, in [books](books.md#speed).
Live capture is measured by `bench/live/run`: 140,000 messages a second of 300 symbols, in [live](live.md#speed).
"""

COMMANDS = """## Commands

```sh
tapemill run -q --workers 1 --source MIRROR --output OUT --symbols BTCUSDT --data aggTrades   # the whole job
tapemill-limit ARCHIVE.zip                     # the unavoidable: inflate, CRC-32, SHA-256, with the same libraries
tapemill-limit ARCHIVE.zip inflate             # bare inflate
unzip -p ARCHIVE.zip
python peer_NAME.py ARCHIVE.zip OUT.parquet    # polars, duckdb, pandas, pyarrow, chdb, freqtrade
python klines_polars.py ROOT OUT [2]
```
"""


@dataclass(frozen=True)
class Goal:
    """A figure that has to be at most, or at least, what is required; `aim` is what it should come to."""

    text: str
    figure: float
    required: float
    aim: float | None = None
    at_least: bool = False
    unit: str = ""

    def passes(self):
        return self.figure >= self.required if self.at_least else self.figure <= self.required

    def cells(self):
        sign = "≥" if self.at_least else "≤"
        aim = "" if self.aim is None else f"{sign} {self.aim:g}{self.unit}"
        verdict = "pass" if self.passes() else "**miss**"
        return [self.text, f"{self.figure:.2f}{self.unit}", f"{sign} {self.required:g}{self.unit}", aim, verdict]


@dataclass
class Section:
    """One scenario: a table, what has to be known to read it, and its goals."""

    title: str
    head: list
    rows: list = field(default_factory=list)
    goals: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def text(self):
        parts = [f"## {self.title}", table(self.head, self.rows)]
        if self.goals:
            parts.append(table(["figure", "measured", "required", "aim", ""], [goal.cells() for goal in self.goals]))
        parts += self.notes
        return "\n\n".join(parts) + "\n"


def table(head, rows):
    """A Markdown table that is also legible as it is."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def page(machine, versions, rounds, sections):
    """The text of docs/performance.md."""
    made = f"{date.today()}, {rounds} rounds (half as many where one takes minutes). {machine}. {versions}."
    return "\n".join([INTRODUCTION, made + "\n", *(section.text() for section in sections), COMMANDS])


def planned_with(figures):
    """What people plan with, from what was measured."""
    head = ["", "MB of ZIP", "MB of Parquet a symbol-year", "months a minute and core", "requests a month"]
    section = Section("What to plan with", head)
    for figure in figures.values():
        tables = ", ".join(f"{name} {size * 12 / 1e6:.1f}" for name, size in figure["tables"].items())
        section.rows.append([
            figure["what"], f"{figure['archive'] / 1e6:.1f}", tables, f"{60 / figure['cpu']:.0f}",
            f"{figure['requests']:.1f}" if "requests" in figure else "",
        ])
    return section

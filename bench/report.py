"""What is printed and written: tables, and required figures beside what was measured."""

from dataclasses import dataclass, field


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

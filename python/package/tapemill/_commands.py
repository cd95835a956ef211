"""The commands of the binary as functions: flags are keyword arguments, data comes back as Python values."""

from __future__ import annotations

import json
from typing import Any

from . import _core
from ._core import RequestError, TapemillError, ValidationError
from ._settings import defaults


class DeadTasksError(TapemillError):
    """A run finished, and some tasks of its selection are dead; `status` and `tasks` say why."""


def command(name: str, *words: str, **flags: object) -> list[dict[str, Any]]:
    """Runs a command, and returns what `--json` prints: one value a line.

    `min_volume=1e6` is `--min-volume 1e6`, `force=True` is `--force`; a list is joined by commas; `None` and `False` are left out.
    Raises `ValidationError` for bad usage, `DeadTasksError`, or `RequestError` with the one line that the command says.
    """
    code, values = run_command(name, *words, **flags)
    if code == 3:
        raise DeadTasksError(f"{name} finished, and some tasks are dead: tapemill tasks list --state dead says why")
    return values


def run_command(name: str, *words: str, **flags: object) -> tuple[int, list[dict[str, Any]]]:
    """As `command`, with the exit code; 3 (dead tasks) and 4 (defects) are no exceptions."""
    arguments = ["tapemill", *name.split(), *words, "--json"]
    if "output" not in flags:
        flags["output"] = defaults().resolved_root()
    for flag, value in flags.items():
        if value is None or value is False:
            continue
        arguments.append(f"--{flag.replace('_', '-')}")
        if value is not True:
            arguments.append(",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
    code, data, error = _core.call(arguments)
    if code == 130:
        raise KeyboardInterrupt
    if error is not None:
        raise ValidationError(error) if code == 2 else RequestError(error)
    return code, [json.loads(line) for line in data.splitlines()]


def run(**flags: object) -> list[dict[str, Any]]:
    """`tapemill run`: plans, works and reports until the selection is finished."""
    return command("run", **flags)


def update(**flags: object) -> list[dict[str, Any]]:
    """`tapemill update`: brings a selection up to now."""
    return command("update", **flags)


def status(**flags: object) -> dict[str, Any]:
    """`tapemill status`: counts, rates and workers of a queue."""
    return command("status", **flags)[0]


def verify(**flags: object) -> list[dict[str, Any]]:
    """`tapemill verify`: a verdict per table: `file`, `verdict` (`ok`, `note`, `defect`), `kind`, `reason`."""
    return command("verify", **flags)


def export(kind: str, to: str, **flags: object) -> list[dict[str, Any]]:
    """`tapemill export KIND --to TO`: a line per file."""
    return command(f"export {kind}", to=to, **flags)

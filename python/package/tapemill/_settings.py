"""Settings that are the same for many calls."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace

from ._core import Output, ValidationError


@dataclass(frozen=True, slots=True)
class Settings:
    """What loads and fetches have in common; `None` is what the command line takes by default."""

    root: str | None = None
    """The output: a folder or `s3://bucket/prefix`. Without it `TAPEMILL_OUTPUT`, else `./data`."""
    market: str = "um"
    """`um`, `cm` or `spot`."""
    archive: str | None = None
    """A mirror of the archive, or a folder of archives."""
    rest: str | None = None
    """The exchange's REST interface: scheme, host and port."""
    queue: str | None = None
    """The queue, for an output that has no place for one."""
    layout: str = "plain"
    """How folders are named: `plain` or `hive`."""
    workers: int | None = None
    """Archives that are fetched at once."""
    threads: int | None = None
    """Files that are read at once."""
    strict: bool = False
    """Whether a hole is an error; else it is told by `coverage`."""

    def resolved_root(self) -> str:
        return self.root or os.environ.get("TAPEMILL_OUTPUT") or "./data"

    def output(self) -> Output:
        """The tables of the market."""
        return Output(self.resolved_root(), self.market, self.layout, self.threads or os.cpu_count() or 1)

    def changed(self, **settings: object) -> Settings:
        """These settings with others in place of some; what is `None` stays."""
        known = {field.name for field in fields(self)}
        for name in settings:
            if name not in known:
                raise ValidationError(f"there is no setting {name}: it is one of {', '.join(sorted(known))}")
        given = {name: value for name, value in settings.items() if value is not None}
        changed = replace(self, **given)  # type: ignore[arg-type]
        if changed.market not in ("um", "cm", "spot"):
            raise ValidationError(f"market {changed.market!r} is none of um, cm, spot")
        if changed.layout not in ("plain", "hive"):
            raise ValidationError(f"layout {changed.layout!r} is neither plain nor hive")
        return changed

    def words(self, *, fetches: bool) -> list[str]:
        """As flags of the command line."""
        words = ["--output", self.resolved_root(), "--layout", self.layout]
        flags = {"--queue": self.queue}
        if fetches:
            flags |= {"--source": self.archive, "--rest": self.rest, "--workers": str(self.workers) if self.workers else None}
        for flag, value in flags.items():
            if value:
                words += [flag, value]
        return words


_defaults = Settings()


def configure_defaults(**settings: object) -> None:
    """Sets what every `DataSource`, `BacktestDataLoader` and command takes unless it is told otherwise."""
    global _defaults
    _defaults = _defaults.changed(**settings)


def defaults() -> Settings:
    return _defaults

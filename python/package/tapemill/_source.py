"""One symbol, one dataset: from what is stored, then the archive, then the exchange."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

from . import _core, _tables
from ._core import ApiError, CacheError, RequestError, ValidationError
from ._settings import Settings, defaults
from ._times import Moment, first_us, last_us, microseconds, moment

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa  # type: ignore[import-untyped]

Source = Literal["auto", "cache", "archive", "rest"]
DAY_US = 86_400_000_000
# The exchange's last word on a bar comes up to two seconds after its end: before that nobody is asked for it.
SETTLING_US = 3_000_000


class IncompleteWarning(UserWarning):
    """Bars lack that should be there; `coverage` says which."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which bars of a query are there. Only finished bars are expected. Events have no grid: all that is known is their number."""

    expected: int | None
    """Bars that there should be; `None` for events."""
    present: int
    """Rows that there are."""
    missing: int = 0
    """Expected bars that lack."""
    gaps: tuple[tuple[datetime, datetime], ...] = ()
    """When the first and the last bar of each run that lacks opens."""

    @property
    def is_complete(self) -> bool:
        return not self.gaps

    @property
    def ratio(self) -> float | None:
        """Part of the expected bars that are there; `None` for events and where none is expected."""
        return 1 - self.missing / self.expected if self.expected else None


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave. Itself an Arrow stream: `polars.DataFrame(result)`, `pyarrow.table(result)`."""

    query: Query
    coverage: Coverage
    sources: dict[str, int]
    """Rows of the stored files by where they came from: `archive` and `rest`. Files are whole months or days."""
    notes: tuple[str, ...] = ()
    """What went wrong on the way and was got over."""
    table: _core.Table = field(repr=False, kw_only=True)

    @property
    def df(self) -> pl.DataFrame:
        return _tables.to_polars(self.table)

    def to_arrow(self) -> pa.Table:
        return _tables.to_arrow(self.table)

    def to_pandas(self) -> pd.DataFrame:
        return _tables.to_pandas(self.table)

    def __len__(self) -> int:
        return self.table.num_rows

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


@dataclass(frozen=True, slots=True)
class Query:
    """A question that can be kept and asked again."""

    symbol: str
    start: Moment
    end: Moment
    interval: str = "1m"
    dataset: str = "klines"
    settings: Settings = field(default_factory=defaults, repr=False)

    def get(self, source: Source = "auto", use_cache: bool = True) -> Result:
        """Asks it: see `DataSource.get_data`."""
        return _Asked(self).get(source, use_cache)

    async def get_async(self, source: Source = "auto", use_cache: bool = True) -> Result:
        return await asyncio.to_thread(self.get, source, use_cache)


class DataSource:
    """Market data of one output folder, which grows by what is asked for."""

    def __init__(self, root: str | None = None, market: str | None = None, **settings: object) -> None:
        self.settings = defaults().changed(root=root, market=market, **settings)

    def query(
        self, symbol: str, start: Moment, end: Moment, interval: str = "1m", dataset: str = "klines"
    ) -> Query:
        """A question about this output, to be kept."""
        query = Query(symbol, start, end, interval, dataset, self.settings)
        _Asked(query)
        return query

    def get_data(
        self,
        symbol: str,
        start: Moment,
        end: Moment,
        interval: str = "1m",
        dataset: str = "klines",
        source: Source = "auto",
        use_cache: bool = True,
    ) -> Result:
        """Rows from `start` to `end`, both inclusive: `start` is moved up to where a bar opens, `end` down.

        `auto` takes what is stored; for what lacks the archive is asked, then the exchange, and what they give is stored.
        `cache` asks nobody; `archive` and `rest` ask only the one. With `use_cache=False` what is stored is fetched anew.
        A day (`"2024-01-31"` or a date) means all of it, UTC; a moment has to know its time zone.

        Raises `ValidationError` for an argument, `CacheError` for a stored file (it is named), `RequestError` when there is
        nothing at all, and with `strict` when bars lack.
        """
        return self.query(symbol, start, end, interval, dataset).get(source, use_cache)

    async def get_data_async(
        self,
        symbol: str,
        start: Moment,
        end: Moment,
        interval: str = "1m",
        dataset: str = "klines",
        source: Source = "auto",
        use_cache: bool = True,
    ) -> Result:
        """`get_data` on a thread of its own."""
        return await asyncio.to_thread(self.get_data, symbol, start, end, interval, dataset, source, use_cache)


class _Asked:
    """A query, read and checked."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.settings = query.settings
        self.dataset = _tables.dataset(query.dataset, query.interval)
        self.start = first_us(query.start, "start")
        self.end = last_us(query.end, "end")
        if self.start > self.end:
            raise ValidationError(f"start {query.start} lies after end {query.end}")
        self.now = microseconds(datetime.now(timezone.utc)) - SETTLING_US

    def get(self, source: Source, use_cache: bool) -> Result:
        if source not in ("auto", "cache", "archive", "rest"):
            raise ValidationError(f"source {source!r} is none of auto, cache, archive, rest")
        notes: list[str] = []
        table, coverage = None, None
        if source == "cache" or (source == "auto" and use_cache):
            table = self.load()
            coverage = self.coverage(table)
        if source != "cache" and not (table is not None and self.holds(coverage)):
            for attempt in self.attempts(source, use_cache):
                if problem := self.fetch(attempt):
                    notes.append(problem)
                table = self.load()
                coverage = self.coverage(table)
                if table is not None and coverage.is_complete and not problem:
                    break
        if table is None:
            raise _nothing(self, notes)
        assert coverage is not None
        if not coverage.is_complete:
            first, last = coverage.gaps[0]
            problem = f"{coverage.missing} of {coverage.expected} bars lack, the first from {first} to {last}"
            if self.settings.strict:
                raise RequestError("; ".join([problem, *notes]))
            warnings.warn(problem, IncompleteWarning, stacklevel=4)
        return Result(self.query, coverage, self.sources(), tuple(notes), table=table)

    def holds(self, coverage: Coverage | None) -> bool:
        """Whether what is stored is all there can be. Events and trades have no grid: then the files have to cover the days."""
        if coverage is None:
            return False
        if self.dataset.interval is not None:
            return coverage.is_complete
        days = _days(self.periods())
        last = min(self.end, self.now - DAY_US)
        wanted = range(self.start // DAY_US, last // DAY_US + 1)
        return all(day in days for day in wanted)

    def attempts(self, source: Source, use_cache: bool) -> list[list[str]]:
        force = [] if use_cache else ["--force"]
        archive = ["run", "--no-rest", *force]
        rest = ["update", "--rest-only", *force]
        return {"archive": [archive], "rest": [rest], "auto": [["update", *force], rest]}[source]

    def fetch(self, command: list[str]) -> str | None:
        """Fetches into the output; what went wrong, or `None`."""
        day = "%Y-%m-%d"
        words = ["tapemill", *command, "--market", self.settings.market, "--symbols", self.query.symbol]
        words += ["--data", self.dataset.data, "--start", moment(self.start).strftime(day)]
        words += ["--end", moment(min(self.end, self.now)).strftime(day), "--json"]
        code, _, error = _core.call([*words, *self.settings.words(fetches=True)])
        if code == 130:
            raise KeyboardInterrupt
        if error is not None:
            return error
        return self.why_dead() if code == 3 else None

    def why_dead(self) -> str:
        """Why archives of this query could not be had."""
        prefix = f"{self.settings.market}/{self.dataset.data}/"
        words = ["tapemill", "tasks", "list", "--state", "dead", "--prefix", prefix, "--json"]
        _, data, _ = _core.call([*words, *self.settings.words(fetches=False)])
        tasks = [json.loads(line) for line in data.splitlines()]
        return "; ".join(f"{task['id']}: {task['reason']}" for task in tasks) or "some archives could not be had"

    def load(self) -> _core.Table | None:
        output = self.settings.output()
        return output.load(self.dataset.table, [self.query.symbol], self.start, self.end, own_time=True)

    def coverage(self, table: _core.Table | None) -> Coverage:
        present = 0 if table is None else table.num_rows
        if self.dataset.interval is None:
            return Coverage(None, present)
        expected, missing, gaps = _core.coverage(table, self.dataset.interval, self.start, self.end, self.now)
        told = tuple((moment(first), moment(last)) for first, last in gaps)
        return Coverage(expected, present, missing, told)

    def periods(self) -> list[str]:
        found = self.settings.output().available(self.dataset.table, [self.query.symbol])
        return next(iter(found.values()), [])

    def sources(self) -> dict[str, int]:
        files = self.settings.output().sources(self.dataset.table, self.query.symbol, self.start, self.end)
        rows: dict[str, int] = {}
        for _, made in files:
            for key, count in made:
                kind = "rest" if key.startswith("rest/") else "archive"
                rows[kind] = rows.get(kind, 0) + count
        return rows


def _days(periods: list[str]) -> set[int]:
    """The days that periods cover, counted from 1970."""
    days: set[int] = set()
    for period in periods:
        first = datetime.fromisoformat(period if len(period) == 10 else f"{period}-01").replace(tzinfo=timezone.utc)
        after = first
        if len(period) == 7:
            after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        start, end = microseconds(first) // DAY_US, microseconds(after) // DAY_US
        days.update(range(start, max(end, start + 1)))
    return days


def _nothing(asked: _Asked, notes: list[str]) -> Exception:
    query = asked.query
    what = f"there is no {query.dataset} {query.interval} of {query.symbol} in {asked.settings.market} from {query.start} to {query.end}"
    told = "; ".join([what, *notes])
    if any(re.search(r"\b(403|418|429|451)\b", note) for note in notes):
        return ApiError(told)
    return RequestError(told) if notes else CacheError(told)

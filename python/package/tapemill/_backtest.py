"""Many symbols as one table: what backtests take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from . import _core, _tables
from ._core import ValidationError
from ._settings import defaults
from ._times import Moment, first_us, last_us, microseconds, moment

if TYPE_CHECKING:
    import polars as pl

DATA_TYPES = ("klines", "mark_price", "index_price", "premium_index", "funding_rate")
PRICES = ("open", "high", "low", "close")


class BacktestDataLoader:
    """Loads what an output has; it asks nobody. `DataSource` and `tapemill.run` bring data."""

    def __init__(self, root: str | None = None, market: str | None = None, **settings: object) -> None:
        self.settings = defaults().changed(root=root, market=market, **settings)

    def load_data(
        self,
        symbols: str | Sequence[str] | None,
        start_date: Moment,
        end_date: Moment,
        data_types: Sequence[str] | None = None,
        interval: str = "1h",
    ) -> dict[str, pl.DataFrame]:
        """One table per type: `timestamp`, `symbol` and the type's columns, by time, then symbol.

        Days are whole days, UTC; `symbols=None` is every symbol there is. Types without rows are left out.
        """
        found: dict[str, pl.DataFrame] = {}
        for kind in data_types or DATA_TYPES:
            table = self._load(kind, interval, _symbols(symbols), start_date, end_date, None)
            if table is not None:
                found[kind] = _tables.to_polars(table)
        return found

    def load_universe(
        self,
        start_date: Moment,
        end_date: Moment,
        min_volume: float = 1_000_000,
        data_types: Sequence[str] | None = None,
        interval: str = "1h",
    ) -> dict[str, pl.DataFrame]:
        """`load_data` of the symbols of `universe`."""
        symbols = self.universe(start_date, end_date, min_volume, interval)
        return self.load_data(symbols, start_date, end_date, data_types, interval) if symbols else {}

    def universe(
        self, start_date: Moment, end_date: Moment, min_volume: float = 1_000_000, interval: str = "1h"
    ) -> list[str]:
        """Symbols that have bars within these days, delisted ones included, and traded at least so much a day in their
        quote: the mean over the days that they have bars of. Nothing outside of these days counts."""
        start, end = first_us(start_date, "start_date"), last_us(end_date, "end_date")
        volumes = self.settings.output().daily_volume(_data("klines", interval), None, start, end)
        return sorted(symbol for symbol, volume in volumes.items() if volume >= min_volume)

    def load_aligned_data(
        self,
        symbols: str | Sequence[str] | None,
        start_date: Moment,
        end_date: Moment,
        interval: str = "1h",
        data_types: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """The klines, and beside each bar the mark, index and premium prices of the same time and the funding rate that was
        known when it opened: `mark_price_open` … `premium_index_close`, `funding_rate`; null where there is none.

        By time, then symbol. A settlement counts from its minute on, although its stamp is some milliseconds later.
        """
        table = self._aligned(symbols, start_date, end_date, interval, data_types)
        if table is None:
            raise ValidationError(f"there are no klines of {interval} from {start_date} to {end_date}")
        return _tables.to_polars(table)

    def panel(
        self,
        field: str,
        freq: str = "1h",
        symbols: str | Sequence[str] | None = None,
        start_date: Moment = date(2017, 1, 1),
        end_date: Moment | None = None,
        data_type: str = "klines",
    ) -> pl.DataFrame:
        """One column per symbol, one row per time."""
        end = end_date or datetime.now(timezone.utc)
        table = self._load(data_type, freq, _symbols(symbols), start_date, end, [field])
        if table is None:
            raise ValidationError(f"there is no {data_type} of {freq} from {start_date} to {end}")
        long = _tables.to_polars(table)
        if field not in long.columns:
            raise ValidationError(f"{data_type} has no column {field!r}")
        return long.pivot(on="symbol", index="timestamp", values=field, sort_columns=True).sort("timestamp")

    def batches(
        self,
        symbols: str | Sequence[str] | None,
        start_date: Moment,
        end_date: Moment,
        data_type: str = "klines",
        interval: str = "1h",
        days: int = 31,
    ) -> Iterator[pl.DataFrame]:
        """The rows of `load_data`, so many days at a time: for what does not fit into memory."""
        if days < 1:
            raise ValidationError(f"days {days} is less than 1")
        at, end = first_us(start_date, "start_date"), last_us(end_date, "end_date")
        step = timedelta(days=days)
        while at <= end:
            after = microseconds(moment(at) + step)
            last = min(after - 1, end)
            table = self._load(data_type, interval, _symbols(symbols), moment(at), moment(last), None)
            if table is not None:
                yield _tables.to_polars(table)
            at = after

    def get_available_symbols(self, data_type: str = "klines", interval: str = "1h") -> list[str]:
        """The symbols that the output has a type of."""
        return sorted(self._periods(data_type, interval, None))

    def get_date_range(self, symbol: str, data_type: str = "klines", interval: str = "1h") -> dict[str, object]:
        """`start` and `end` of what the output has of a symbol, and the number of `files`."""
        periods = next(iter(self._periods(data_type, interval, [symbol]).values()), [])
        if not periods:
            return {"start": None, "end": None, "files": 0}
        last = periods[-1]
        end = date.fromisoformat(last if len(last) == 10 else f"{last}-01")
        if len(last) == 7:
            end = date(end.year + end.month // 12, end.month % 12 + 1, 1) - timedelta(days=1)
        start = date.fromisoformat(periods[0] if len(periods[0]) == 10 else f"{periods[0]}-01")
        return {"start": start, "end": end, "files": len(periods)}

    async def load_data_async(self, *args: object, **settings: object) -> dict[str, pl.DataFrame]:
        """`load_data` on a thread of its own."""
        return await asyncio.to_thread(self.load_data, *args, **settings)  # type: ignore[arg-type]

    async def load_aligned_data_async(self, *args: object, **settings: object) -> pl.DataFrame:
        """`load_aligned_data` on a thread of its own."""
        return await asyncio.to_thread(self.load_aligned_data, *args, **settings)  # type: ignore[arg-type]

    def _load(
        self,
        kind: str,
        interval: str,
        symbols: list[str] | None,
        start: Moment,
        end: Moment,
        columns: list[str] | None,
    ) -> _core.Table | None:
        first, last = first_us(start, "start_date"), last_us(end, "end_date")
        return self.settings.output().load(_data(kind, interval), symbols, first, last, columns)

    def _aligned(
        self,
        symbols: str | Sequence[str] | None,
        start: Moment,
        end: Moment,
        interval: str,
        data_types: Sequence[str] | None,
    ) -> _core.Table | None:
        joins: list[tuple[str, list[tuple[str, str]], bool]] = []
        for kind in data_types or DATA_TYPES:
            if kind == "funding_rate":
                joins.append(("funding_rate", [("funding_rate", "funding_rate")], True))
            elif kind in DATA_TYPES[1:]:
                columns = [(price, f"{kind}_{price}") for price in PRICES]
                joins.append((_data(kind, interval), columns, False))
            elif kind != "klines":
                raise ValidationError(f"data type {kind!r} is none of {', '.join(DATA_TYPES)}")
        first, last = first_us(start, "start_date"), last_us(end, "end_date")
        return self.settings.output().load_aligned(_data("klines", interval), joins, _symbols(symbols), first, last)

    def _periods(self, kind: str, interval: str, symbols: list[str] | None) -> dict[str, list[str]]:
        return self.settings.output().available(_data(kind, interval), symbols)


def _data(kind: str, interval: str) -> str:
    """Bars come from whichever tables give them, other kinds from their own table."""
    found = _tables.dataset(kind, interval)
    return found.data if found.interval is not None else found.table


def _symbols(symbols: str | Sequence[str] | None) -> list[str] | None:
    if symbols is None:
        return None
    return [symbols] if isinstance(symbols, str) else list(symbols)

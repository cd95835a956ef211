"""Which table a dataset is, and what came of a load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _core
from ._core import ValidationError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa  # type: ignore[import-untyped]

BARS = {
    "klines": "klines",
    "mark_price": "mark_price_klines",
    "mark_price_klines": "mark_price_klines",
    "markPriceKlines": "mark_price_klines",
    "index_price": "index_price_klines",
    "index_price_klines": "index_price_klines",
    "indexPriceKlines": "index_price_klines",
    "premium_index": "premium_index_klines",
    "premium_index_klines": "premium_index_klines",
    "premiumIndexKlines": "premium_index_klines",
}
ARCHIVES = {
    "klines": "klines",
    "mark_price_klines": "markPriceKlines",
    "index_price_klines": "indexPriceKlines",
    "premium_index_klines": "premiumIndexKlines",
}
EVENTS = {
    "funding_rate": "fundingRate",
    "fundingRate": "fundingRate",
    "metrics": "metrics",
    "trades": "trades",
    "book_depth": "bookDepth",
    "bookDepth": "bookDepth",
    "book_ticker": "bookTicker",
    "bookTicker": "bookTicker",
    "liquidation_snapshot": "liquidationSnapshot",
    "liquidationSnapshot": "liquidationSnapshot",
}
SNAKE = {"fundingRate": "funding_rate", "bookDepth": "book_depth", "bookTicker": "book_ticker"}
INTERVALS = "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1mo".split()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table, and the kind of archive it is made of."""

    table: str
    data: str
    interval: str | None
    """Of bars that come at each of their times; `None` for events, and for bars that come only with trades."""


def dataset(name: str, interval: str) -> Dataset:
    """`klines` and its like of an interval; `funding_rate`, `metrics`, …; `minutes` and `factors` made of trades."""
    interval = "1mo" if interval == "1M" else interval
    if interval not in INTERVALS:
        raise ValidationError(f"interval {interval!r} is none of {', '.join(INTERVALS)}")
    if name in BARS:
        kind = BARS[name]
        return Dataset(f"{kind}_{interval}", f"{ARCHIVES[kind]}:{interval}", interval)
    if name in EVENTS:
        data = EVENTS[name]
        return Dataset(SNAKE.get(data, "liquidation_snapshot" if data == "liquidationSnapshot" else data), data, None)
    made = {"minutes": "aggtrades_1m", "aggtrades_1m": "aggtrades_1m", "factors": "factors_1h", "factors_1h": "factors_1h"}
    if name in made:
        return Dataset(made[name], "aggTrades", None)
    if name in ("aggtrades", "aggTrades"):
        return Dataset("aggtrades", "aggTrades:raw", None)
    known = sorted({*BARS, *EVENTS, *made, "aggtrades"})
    raise ValidationError(f"dataset {name!r} is none of {', '.join(known)}")


def to_polars(table: _core.Table) -> pl.DataFrame:
    try:
        import polars
    except ImportError:
        raise ImportError("polars is not installed: pip install polars, or take .to_arrow() or .to_pandas()") from None
    return polars.DataFrame(table)


def to_arrow(table: _core.Table) -> pa.Table:
    try:
        import pyarrow
    except ImportError:
        raise ImportError("pyarrow is not installed: pip install pyarrow, or take .df") from None
    return pyarrow.table(table)


def to_pandas(table: _core.Table) -> pd.DataFrame:
    frame: pd.DataFrame = to_arrow(table).to_pandas()
    return frame

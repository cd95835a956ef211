"""Bars of an interval from the tables of an output, with pandas."""

import math
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

OHLC = ["open", "high", "low", "close"]
LENGTHS = {"1m": "1min", "5m": "5min", "15m": "15min", "1h": "1h", "4h": "4h", "1d": "1D"}


class Lake:
    def __init__(self, output, market):
        self.output, self.market = Path(output), market
        quote = "base" if market == "cm" else "quote"
        self.volumes = ["volume", f"{quote}_volume", "trades", "taker_buy_volume", f"taker_buy_{quote}_volume"]

    def table(self, name, symbol):
        """All rows of a table, a month's file in place of its days'; None where there is no file."""
        files = sorted((self.output / name / self.market / symbol).glob("*.parquet"))
        months = {file.stem for file in files if len(file.stem) == 7}
        files = [file for file in files if len(file.stem) == 7 or file.stem[:7] not in months]
        frames = [pq.read_table(file, partitioning=None).to_pandas() for file in files]
        return pd.concat(frames, ignore_index=True).drop(columns="symbol") if frames else None

    def folded(self, bars, interval):
        """Bars of an interval, made of finer ones."""
        if bars is None:
            return None
        length = pd.Timedelta(LENGTHS[interval])
        rows = []
        for start, part in bars.groupby(bars["open_time"].dt.floor(length)):
            row = {"open_time": start, "open": part["open"].iloc[0], "close": part["close"].iloc[-1]}
            row |= {"high": part["high"].max(), "low": part["low"].min()}
            row |= {name: math.fsum(part[name]) for name in self.volumes}
            # Times of these tests are of milliseconds.
            row |= {"close_time": start + length - pd.Timedelta("1ms")}
            rows.append(row)
        return pd.DataFrame(rows)

    def bars(self, name, symbol, interval):
        """The exchange's own bars, and at other times those made of hours, and of minutes."""
        found = [self.table(f"{name}_{interval}", symbol)]
        is_of_hours = interval in ("1h", "4h", "1d")
        if interval in ("4h", "1d"):
            found.append(self.folded(self.table(f"{name}_1h", symbol), interval))
        if name == "klines" and is_of_hours:
            hours = self.table("klines_1h_from_1m", symbol)
            found.append(hours if interval == "1h" else self.folded(hours, interval))
        elif interval != "1m":
            found.append(self.folded(self.table(f"{name}_1m", symbol), interval))
        found = [frame for frame in found if frame is not None]
        if not found:
            return None
        # Stable, and the first of each time is that of the better table.
        both = pd.concat(found, ignore_index=True)[["open_time", *OHLC, *self.volumes, "close_time"]]
        return both.sort_values("open_time", kind="stable").drop_duplicates("open_time").reset_index(drop=True)

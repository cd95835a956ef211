"""Judges what `BacktestDataLoader` loaded by the same joins in pandas, over the same files. Needs pandas and pyarrow.

    aligned.py ROOT FOLDER START END

START and END are days, both inclusive. Prints the symbols by mean daily quote volume as JSON.
"""

import json
import sys
from pathlib import Path

import pandas as pd

root, folder, start, end = sys.argv[1:]
FIRST, AFTER = pd.Timestamp(start, tz="UTC"), pd.Timestamp(end, tz="UTC") + pd.Timedelta(days=1)
PRICES = ["open", "high", "low", "close"]


def table(name, symbol):
    files = sorted(Path(root).glob(f"{name}/um/{symbol}/*.parquet"))
    parts = [pd.read_parquet(file) for file in files]
    return pd.concat(parts, ignore_index=True) if parts else None


def cut(frame, column):
    return frame[(frame[column] >= FIRST) & (frame[column] < AFTER)]


def aligned(symbol):
    frame = cut(table("klines_1h", symbol), "open_time").rename(columns={"open_time": "timestamp"})
    for kind in ("mark_price", "index_price", "premium_index"):
        other = table(f"{kind}_klines_1h", symbol)
        names = {price: f"{kind}_{price}" for price in PRICES}
        if other is None:
            frame = frame.assign(**dict.fromkeys(names.values(), float("nan")))
            continue
        other = other[["open_time", *PRICES]].rename(columns={"open_time": "timestamp", **names})
        frame = frame.merge(other, on="timestamp", how="left")
    funding = table("funding_rate", symbol)
    if funding is None:
        return frame.assign(funding_rate=float("nan"))
    funding = funding.assign(timestamp=funding["funding_time"].dt.floor("min"))[["timestamp", "funding_rate"]]
    return pd.merge_asof(frame, funding, on="timestamp", direction="backward")


def main():
    symbols = sorted(path.name for path in Path(root).glob("klines_1h/um/*"))
    expected = pd.concat([aligned(symbol) for symbol in symbols], ignore_index=True)
    expected["symbol"] = expected["symbol"].astype(str)
    expected = expected.sort_values(["timestamp", "symbol"], ignore_index=True)
    found = pd.read_parquet(f"{folder}/aligned.parquet")
    found["symbol"] = found["symbol"].astype(str)
    expected = expected[found.columns]
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)
    assert len(found) > 100 and found["funding_rate"].notna().any() and found["mark_price_open"].notna().any()

    for name, column in (("klines", "open_time"), ("funding_rate", "funding_time")):
        parts = [cut(table({"klines": "klines_1h"}.get(name, name), symbol), column) for symbol in ("BTCUSDT", "ETHUSDT")]
        wanted = pd.concat(parts, ignore_index=True).rename(columns={column: "timestamp"})
        wanted["symbol"] = wanted["symbol"].astype(str)
        wanted = wanted.sort_values(["timestamp", "symbol"], ignore_index=True)
        loaded = pd.read_parquet(f"{folder}/{name}.parquet")
        loaded["symbol"] = loaded["symbol"].astype(str)
        pd.testing.assert_frame_equal(loaded, wanted[loaded.columns], check_exact=True, check_dtype=False)

    panel = pd.read_parquet(f"{folder}/panel.parquet").set_index("timestamp")
    wanted = expected.pivot(index="timestamp", columns="symbol", values="close")
    pd.testing.assert_frame_equal(panel, wanted[panel.columns], check_exact=True, check_names=False, check_freq=False)

    klines = pd.concat([cut(table("klines_1h", symbol), "open_time") for symbol in symbols])
    klines["symbol"] = klines["symbol"].astype(str)
    daily = klines.groupby(["symbol", klines["open_time"].dt.floor("D")])["quote_volume"].sum()
    print(json.dumps(daily.groupby("symbol").mean().to_dict()))


main()

"""One load in a process of its own: load.py OUTPUT aligned|year tapemill|pandas. Prints milliseconds, rows, and peak growth over
the bytes of the result. Everything is loaded once before, so that modules and files are warm."""

import json
import sys
import time
from pathlib import Path

output, what, how = sys.argv[1:]
START, END = "2024-01-01", "2024-12-31"
PRICES = ["open", "high", "low", "close"]
KINDS = {"mark_price": "mark_price_klines_1h", "index_price": "index_price_klines_1h", "premium_index": "premium_index_klines_1h"}


def status(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


def aligned_tapemill():
    from tapemill import BacktestDataLoader

    return BacktestDataLoader(output).load_aligned_data(None, START, END)


def year_tapemill():
    from tapemill import DataSource

    return DataSource(output).get_data("S00USDT", START, END, interval="1h").df


def table(pd, name, symbol):
    files = sorted(Path(output).glob(f"{name}/um/{symbol}/*.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def aligned_pandas():
    import pandas as pd

    frames = []
    for folder in sorted(Path(output).glob("klines_1h/um/*")):
        frame = table(pd, "klines_1h", folder.name).rename(columns={"open_time": "timestamp"})
        for kind, name in KINDS.items():
            other = table(pd, name, folder.name)[["open_time", *PRICES]]
            other = other.rename(columns={"open_time": "timestamp", **{price: f"{kind}_{price}" for price in PRICES}})
            frame = frame.merge(other, on="timestamp", how="left")
        funding = table(pd, "funding_rate", folder.name)
        funding = funding.assign(timestamp=funding["funding_time"].dt.floor("min"))[["timestamp", "funding_rate"]]
        frames.append(pd.merge_asof(frame, funding, on="timestamp"))
    return pd.concat(frames, ignore_index=True).sort_values(["timestamp", "symbol"], ignore_index=True)


def year_pandas():
    import pandas as pd

    return table(pd, "klines_1h", "S00USDT")


def size(frame):
    return frame.estimated_size() if hasattr(frame, "estimated_size") else int(frame.memory_usage(deep=True).sum())


load = globals()[f"{what}_{how}"]
if what == "year":
    load()
else:
    # Modules and the page cache, without the memory of a whole load.
    globals()[f"year_{how}"]()
    for file in Path(output).rglob("*.parquet"):
        file.read_bytes()
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
begun = time.perf_counter()
frame = load()
taken = time.perf_counter() - begun
peak = status("VmHWM") - before
print(json.dumps({"ms": taken * 1e3, "rows": len(frame), "peak": peak / size(frame)}))

"""Months of 1m klines to typed Parquet and to hours with polars: klines_polars.py ROOT OUT [THREADS].

Every ZIP below ROOT is read from disk, without checksums; OUT/1m/NAME.parquet has its bars, OUT/1h/NAME.parquet their
hours. With THREADS, so many files at once. The last line on stdout is what it took without the imports, as JSON.
"""

import json
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

COLUMNS = {
    "open_time": pl.Int64, "open": pl.Float64, "high": pl.Float64, "low": pl.Float64, "close": pl.Float64,
    "volume": pl.Float64, "close_time": pl.Int64, "quote_volume": pl.Float64, "trades": pl.Int64,
    "taker_buy_volume": pl.Float64, "taker_buy_quote_volume": pl.Float64, "ignore": pl.String,
}
TIMES = ["open_time", "close_time"]
ADDED = ["volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"]


def convert(path, out):
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0])
    bars = pl.read_csv(text, has_header=False, skip_rows=int(text[:1].isalpha()), schema=COLUMNS).select(
        pl.lit(path.parent.parent.name).cast(pl.Categorical).alias("symbol"),
        *(pl.from_epoch(name, "ms").dt.cast_time_unit("us").dt.replace_time_zone("UTC") if name in TIMES else name
          for name in list(COLUMNS)[:-1]),
    )
    bars.write_parquet(out / "1m" / f"{path.stem}.parquet", compression="zstd")
    hours = bars.group_by("symbol", pl.col("open_time").dt.truncate("1h"), maintain_order=True).agg(
        pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(),
        pl.col("close_time").last(), *(pl.col(name).sum() for name in ADDED),
    )
    hours.write_parquet(out / "1h" / f"{path.stem}.parquet", compression="zstd")


def main():
    root, out = map(Path, sys.argv[1:3])
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    began, cpu = time.perf_counter(), time.process_time()
    for interval in ["1m", "1h"]:
        (out / interval).mkdir(parents=True)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(convert, sorted(root.rglob("*.zip")), [out] * 10_000))
    print(json.dumps({"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    main()

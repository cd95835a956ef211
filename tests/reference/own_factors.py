"""Own factors, by polars: prints how many cells were compared.

own_factors.py factors OUTPUT BUILT_IN OWN INTERVAL FILE.sql   the built-in columns are untouched, the own ones are right
own_factors.py stored OUTPUT SQL                               what factors.sql gives is what the mill stored
own_factors.py wide PLAIN WIDE OWN                             wide tables have the same, joined on the hour
"""

import json
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

OWN = [
    "whale_share",
    "price_range",
    "minutes",
    "price_std",
    "last_buy_minute",
    "hour_of_day",
    "always_traded",
]


def read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path, hive_partitioning=False)


def table(output: Path, name: str, symbol: str) -> pl.DataFrame:
    files = sorted((output / name / "um" / symbol).glob("*.parquet"))
    assert files, f"{name} of {symbol}"
    return pl.concat([read(file) for file in files])


def same(found: pl.DataFrame, expected: pl.DataFrame, *, close: tuple[str, ...] = ()) -> int:
    assert found.columns == expected.columns, (found.columns, expected.columns)
    assert found.height == expected.height, (found.height, expected.height)
    for name in found.columns:
        a, b = found[name], expected[name]
        if name in close:
            nulls = (a.is_null() == b.is_null()).all()
            assert nulls and ((a - b).abs().fill_null(0.0) <= 1e-9 * b.abs().fill_null(0.0) + 1e-12).all(), name
        else:
            wrong = ~a.cast(b.dtype).eq_missing(b)
            assert not wrong.any(), (name, found.filter(wrong)[name].head(3), expected.filter(wrong)[name].head(3))
    return found.height * found.width


def own_columns(minutes: pl.DataFrame, interval: str) -> pl.DataFrame:
    every = interval if interval != "1mo" else "1mo"
    col = pl.col
    bars = minutes.with_columns(bar=col("minute").dt.truncate(every))
    return bars.group_by("bar", maintain_order=True).agg(
        # The sums are of few values of like size; whale_share is compared closely, not to the bit.
        whale_share=(col("whale_buy_quote") + col("whale_sell_quote")).sum() / col("quote_volume").sum(),
        price_range=col("price_high").max() - col("price_low").min(),
        minutes=pl.len().cast(pl.Int64),
        price_std=pl.when(pl.len() > 1).then(col("price_last").std()),
        last_buy_minute=col("minute").filter(col("taker_buy_quote") > col("taker_sell_quote")).max(),
        hour_of_day=col("bar").first().dt.hour().cast(pl.Int64),
        always_traded=(col("trade_count") > 1).all(),
    )


def factors(output: Path, built_in: Path, own: Path, interval: str, file: Path) -> int:
    cells = 0
    for symbol in ["BTCUSDT", "ETHUSDT"]:
        path = own / f"factors_{interval}" / "um" / f"{symbol}.parquet"
        found = read(path)
        plain = read(built_in / f"factors_{interval}" / "um" / f"{symbol}.parquet")
        assert found.columns == plain.columns + OWN, found.columns
        cells += same(found.select(plain.columns), plain)
        expected = own_columns(table(output, "aggtrades_1m", symbol), interval)
        assert found["minute"].to_list() == expected["bar"].to_list()
        cells += same(found.select(OWN), expected.drop("bar"), close=("whale_share", "price_std"))
        meta = pq.read_metadata(path).metadata
        settings = json.loads(next(value for key, value in meta.items() if key.endswith(b"settings")))
        assert settings["own_factors"] == file.read_text(), settings
    return cells


def stored(output: Path, sql: Path) -> int:
    cells = 0
    for symbol in ["BTCUSDT", "ETHUSDT"]:
        found = read(sql / "factors_1h" / "um" / f"{symbol}.parquet")
        cells += same(found, table(output, "factors_1h", symbol))
    return cells


def wide(plain: Path, wide: Path, own: Path) -> int:
    cells = 0
    for symbol in ["BTCUSDT", "ETHUSDT"]:
        found = read(wide / "wide_1h" / "um" / f"{symbol}.parquet")
        before = read(plain / "wide_1h" / "um" / f"{symbol}.parquet")
        added = [f"at_{name}" for name in OWN]
        assert found.columns == before.columns + added, found.columns
        cells += same(found.select(before.columns), before)
        bars = read(own / "factors_1h" / "um" / f"{symbol}.parquet").select("minute", *OWN)
        expected = found.select(minute="open_time").join(bars, on="minute", how="left", maintain_order="left")
        expected = expected.drop("minute").rename(dict(zip(OWN, added)))
        cells += same(found.select(added), expected)
        assert found["at_minutes"].null_count() < found.height
    return cells


def main() -> None:
    command, *words = sys.argv[1:]
    if command == "factors":
        output, built_in, own, interval, file = words
        print(factors(Path(output), Path(built_in), Path(own), interval, Path(file)))
    elif command == "stored":
        print(stored(*map(Path, words)))
    else:
        print(wide(*map(Path, words)))


main()

"""What the collector and Qlib's dump make of tables, written anew from their rules: the reference for `export qlib`.

    qlib_dump.py OUTPUT MARKET PREFIX DUMP...

Each DUMP is of one frequency and has the collector's CSVs: its files have to be, byte by byte, those that Qlib's dump makes of the
normalized CSVs, and these have to follow from the tables. Where the folder's name begins with `bare`, holes stay.

Independent of tapemill: pandas and pyarrow alone.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet

FIELDS = ["open", "high", "low", "close", "volume", "amount", "vwap", "trades", "taker_buy_volume", "taker_buy_amount"]
STEPS = {"1min": "1min", "60min": "60min", "4h": "4h", "1d": "1D"}
TABLES = {"1min": "klines_1m", "60min": "klines_1h", "4h": "klines_4h", "1d": "klines_1d"}
FREQUENCIES = {"1min": "1min", "60min": "60min", "4h": "240min", "1d": "day"}
SUMS = ["volume", "amount", "trades", "taker_buy_volume", "taker_buy_amount"]


def dump(normalized: Path, frequency: str, into: Path) -> None:
    """Calendar of all files; from each instrument's first to its last date a value for every entry of the calendar."""
    form = "%Y-%m-%d" if frequency == "day" else "%Y-%m-%d %H:%M:%S"
    frames = {}
    for file in sorted(normalized.glob("*.csv")):
        frame = pd.read_csv(file)
        frame["date"] = pd.to_datetime(frame["date"])
        frames[file.stem] = frame.drop_duplicates("date").set_index("date")
    calendar = sorted(set().union(*(frame.index for frame in frames.values())))
    for folder in ["calendars", "instruments"]:
        (into / folder).mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{time.strftime(form)}\n" for time in calendar)
    (into / "calendars" / f"{frequency}.txt").write_text(lines)
    listed = ""
    calendar = pd.DatetimeIndex(calendar)
    for stem, frame in frames.items():
        first, last = frame.index.min(), frame.index.max()
        listed += f"{stem.lower().upper()}\t{first.strftime(form)}\t{last.strftime(form)}\n"
        features = into / "features" / stem.lower()
        features.mkdir(parents=True, exist_ok=True)
        places = calendar[(calendar >= first) & (calendar <= last)]
        rows = frame.reindex(places)
        for field in FIELDS:
            values = np.concatenate([[calendar.get_loc(first)], rows[field].to_numpy("float64")])
            values.astype("<f4").tofile(features / f"{field}.{frequency}.bin")
    (into / "instruments" / "all.txt").write_text(listed)


def bars_of(output: Path, name: str, market: str, symbol: str) -> pd.DataFrame:
    """A table's bars in the collector's columns."""
    files = sorted((output / name / market / symbol).glob("*.parquet"))
    if not files:
        return pd.DataFrame(columns=FIELDS, index=pd.DatetimeIndex([]))
    raw = pd.concat([parquet.ParquetFile(file).read().to_pandas() for file in files])
    frame = pd.DataFrame({field: raw[field] for field in ["open", "high", "low", "close"]})
    if market == "cm":
        # Contracts of 100 dollars for Bitcoin, of 10 for others; volumes in coins.
        size = 100.0 if symbol.startswith("BTCUSD_") else 10.0
        frame["volume"], frame["amount"] = raw["base_volume"], raw["volume"] * size
        frame["taker_buy_volume"], frame["taker_buy_amount"] = raw["taker_buy_base_volume"], raw["taker_buy_volume"] * size
    else:
        frame["volume"], frame["amount"] = raw["volume"], raw["quote_volume"]
        frame["taker_buy_volume"], frame["taker_buy_amount"] = raw["taker_buy_volume"], raw["taker_buy_quote_volume"]
    frame["trades"] = raw["trades"].astype(float)
    frame["vwap"] = (frame["amount"] / frame["volume"]).where(frame["volume"] > 0)
    frame.index = pd.DatetimeIndex(raw["open_time"].dt.tz_convert(None))
    return frame[FIELDS]


def folded(bars: pd.DataFrame, step: str) -> pd.DataFrame:
    """Bars made of finer ones, those without any left out."""
    rules = {"open": "first", "high": "max", "low": "min", "close": "last"} | {field: "sum" for field in SUMS}
    made = bars.resample(step, label="left", closed="left").agg(rules)
    made = made[bars["close"].resample(step).count() > 0]
    made["vwap"] = (made["amount"] / made["volume"]).where(made["volume"] > 0)
    return made[FIELDS]


def normalized(output: Path, market: str, symbol: str, interval: str, fill: bool) -> pd.DataFrame:
    """The exchange's own bars, what is missing made of minutes and then of hours, and the calendar filled."""
    step = STEPS[interval]
    bars = bars_of(output, TABLES[interval], market, symbol)
    bars = bars[bars.index == bars.index.floor(step)]
    finer = {"1min": [], "60min": ["klines_1m"]}.get(interval, ["klines_1m", "klines_1h"])
    for table in finer:
        made = folded(bars_of(output, table, market, symbol), step)
        new = made.loc[made.index.difference(bars.index)]
        bars = pd.concat([bars, new]).sort_index() if len(bars) else new
    if not fill:
        return bars
    return bars.reindex(pd.date_range(bars.index.min(), bars.index.max(), freq=step))


def compare_values(file: Path, interval: str, output: Path, market: str, prefix: str, fill: bool) -> int:
    got = pd.read_csv(file)
    assert list(got.columns) == ["date", *FIELDS, "symbol"], (file, list(got.columns))
    assert (got["symbol"] == file.stem).all(), file
    width = 10 if interval == "1d" else 19
    assert (got["date"].astype(str).str.len() == width).all(), file
    got.index = pd.to_datetime(got["date"])
    expected = normalized(output, market, file.stem[len(prefix):], interval, fill)
    assert got.index.equals(expected.index), (file, got.index, expected.index)
    for field in FIELDS:
        a, b = got[field].to_numpy(float), expected[field].to_numpy(float)
        # Sums are exact here and rounded once, and pandas' are not.
        tolerance = 0 if field in ["open", "high", "low", "close", "trades"] else 1e-12
        assert np.allclose(a, b, rtol=tolerance, atol=0, equal_nan=True), (file, field)
    return int(got["close"].isna().sum())


def compare_bytes(folder: Path, csvs: Path, frequency: str) -> int:
    with tempfile.TemporaryDirectory() as made:
        dump(csvs, frequency, Path(made))
        files = {str(file.relative_to(made)): file.read_bytes() for file in Path(made).rglob("*") if file.is_file()}
    ours = [file for part in ["features", "calendars", "instruments"] for file in (folder / part).rglob("*") if file.is_file()]
    assert sorted(files) == sorted(str(file.relative_to(folder)) for file in ours), (sorted(files), ours)
    for name, content in files.items():
        assert (folder / name).read_bytes() == content, (folder, name)
    return len(files)


def main() -> None:
    output, market, prefix = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    told = {}
    for folder in map(Path, sys.argv[4:]):
        (csvs,) = folder.glob("normalize_*")
        interval = csvs.name.removeprefix("normalize_")
        fill = not folder.name.startswith("bare")
        empty = {file.stem: compare_values(file, interval, output, market, prefix, fill) for file in csvs.glob("*.csv")}
        told[folder.name] = {"files": compare_bytes(folder, csvs, FREQUENCIES[interval]), "empty": empty}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()

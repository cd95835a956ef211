"""Compares exports with what the archives, or the stored minutes, give by the reference. Needs pyarrow.

    exports.py csv FOLDER MIRROR [--first 2024-01-05 --last 2024-02-03]
    exports.py factors FOLDER OUTPUT INTERVAL

`csv` reads every archive of aggTrades and klines below MIRROR, and expects each cell of the CSVs in FOLDER to be what the
reference makes of them: the same text, floats as Python writes them.
`factors` folds the minutes stored in OUTPUT anew. Prints how many cells were compared; exits 1 at the first difference.
"""

import argparse
import calendar
import csv
import math
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import agg_trades
import archive
import klines

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def moment(microseconds):
    return EPOCH + timedelta(microseconds=microseconds)


def text_of(name, value, opens):
    """How a cell has to read: floats as Python itself writes them."""
    if value is None:
        return ""
    if name in ("minute", "open_time", "close_time", "first_ts", "last_ts"):
        form = "%Y-%m-%d %H:%M:%S+00:00" if name == opens else "%Y-%m-%d %H:%M:%S.%f+00:00"
        return moment(value).strftime(form)
    return str(value)


def expected_tables(mirror):
    """CSV name → lines, of all archives in order of their periods."""
    tables = {}
    for path in sorted(Path(mirror).rglob("*.zip")):
        parts = path.relative_to(mirror).parts
        market = {"spot": "spot", "futures": parts[2]}[parts[1]]
        kind = parts[parts.index("monthly" if "monthly" in parts else "daily") + 1]
        if kind == "aggTrades":
            symbol = parts[-2]
            period = path.stem[len(f"{symbol}-{kind}-"):]
            minutes, hours, _ = agg_trades.aggregate(path, market, symbol, period)
            tables.setdefault(f"{symbol}_aggtrades_1m.csv", []).extend(minutes)
            tables.setdefault(f"{symbol}_aggTrades.csv", []).extend(
                [{name: value for name, value in line.items() if name != "symbol"} for line in hours]
            )
        elif kind == "klines":
            symbol, interval = parts[-3], parts[-2]
            period = path.stem[len(f"{symbol}-{interval}-"):]
            bars, hours, _ = klines.aggregate(path, market, symbol, period, interval)
            tables.setdefault(f"{symbol}_klines_{interval}.csv", []).extend(bars)
            if hours is not None:
                tables.setdefault(f"{symbol}_klines_1h_from_1m.csv", []).extend(hours)
    return tables


def compare_csvs(folder, mirror, first, last):
    tables = expected_tables(mirror)
    found = {path.name for path in Path(folder).glob("*.csv")}
    if found != set(tables):
        raise SystemExit(f"the files are {sorted(found)}, expected {sorted(tables)}")
    start = None if first is None else archive.bounds_us(first)[0]
    end = None if last is None else archive.bounds_us(last)[1]
    cells = 0
    for name, lines in tables.items():
        opens = "minute" if "minute" in lines[0] else "open_time"
        lines = sorted(lines, key=lambda line: line[opens])
        lines = [line for line in lines if (start is None or line[opens] >= start) and (end is None or line[opens] < end)]
        with open(Path(folder) / name, newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            header = next(rows)
            columns = list(tables[name][0])
            if header != columns:
                raise SystemExit(f"{name} has the columns {header}, expected {columns}")
            rows = list(rows)
        if len(rows) != len(lines):
            raise SystemExit(f"{name} has {len(rows)} rows, expected {len(lines)}")
        for number, (row, line) in enumerate(zip(rows, lines)):
            for column, cell in zip(columns, row, strict=True):
                wanted = text_of(column, line[column], opens)
                if cell != wanted:
                    raise SystemExit(f"{name} row {number} {column} is {cell!r}, expected {wanted!r}")
                cells += 1
    return cells


def opening(time, interval):
    """When the bar that holds a time opens, and when the next one does: by the calendar."""
    at = moment(time)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if interval == "1mo":
        first = midnight.replace(day=1)
        return first, first + timedelta(days=calendar.monthrange(at.year, at.month)[1])
    if interval == "1w":
        monday = midnight - timedelta(days=at.weekday())
        return monday, monday + timedelta(days=7)
    count, unit = int(interval[:-1]), interval[-1]
    length = timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[unit]: count})
    from_start = at - (EPOCH if unit == "d" else midnight)
    first = at - from_start % length
    return first, first + length


def columns_of(path):
    table = pq.read_table(path)
    out = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        out[name] = column.to_pylist()
    return out


def compare_factors(folder, output, interval):
    cells = 0
    files = sorted(Path(folder).glob(f"factors_{interval}/*/*.parquet"))
    if not files:
        raise SystemExit(f"there are no factors of {interval} in {folder}")
    for path in files:
        market, symbol = path.parts[-2], path.stem
        minutes = []
        for part in sorted(Path(output).glob(f"aggtrades_1m/{market}/{symbol}/*.parquet")):
            columns = columns_of(part)
            minutes += [dict(zip(columns, row)) for row in zip(*columns.values())]
        bars = {}
        for minute in minutes:
            bars.setdefault(opening(minute["minute"], interval), []).append(minute)
        found = columns_of(path)
        if len(found["minute"]) != len(bars):
            raise SystemExit(f"{path} has {len(found['minute'])} rows, expected {len(bars)}")
        for at, ((first, after), lines) in enumerate(sorted(bars.items())):
            start = (first - EPOCH) // timedelta(microseconds=1)
            expected = agg_trades.hour(start, lines)
            room = (after - first) // timedelta(minutes=1)
            weighted = (
                ((line["minute"] - start) // archive.MINUTE_US + 1) * (line["taker_buy_quote"] - line["taker_sell_quote"])
                for line in lines
            )
            expected["tw_cvd_quote_norm"] = math.fsum(weighted) / (room * (room + 1) // 2)
            if list(found) != list(expected):
                raise SystemExit(f"{path} has the columns {list(found)}")
            for name, value in expected.items():
                if found[name][at] != value or type(found[name][at]) is not type(value):
                    raise SystemExit(f"{path} {first} {name} is {found[name][at]!r}, expected {value!r}")
                cells += 1
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_csv = commands.add_parser("csv")
    of_csv.add_argument("folder")
    of_csv.add_argument("mirror")
    of_csv.add_argument("--first", type=lambda text: str(date.fromisoformat(text)))
    of_csv.add_argument("--last", type=lambda text: str(date.fromisoformat(text)))
    of_factors = commands.add_parser("factors")
    of_factors.add_argument("folder")
    of_factors.add_argument("output")
    of_factors.add_argument("interval")
    args = parser.parse_args()
    if args.command == "csv":
        cells = compare_csvs(args.folder, args.mirror, args.first, args.last)
    else:
        cells = compare_factors(args.folder, args.output, args.interval)
    print(cells)


if __name__ == "__main__":
    sys.exit(main())

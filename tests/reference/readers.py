"""Reads every table of an output folder as its users do: polars, DuckDB, pandas and pyarrow, one ordinary call each.

    readers.py OUTPUT

Each library reads each file, each folder of a dataset and market as a whole, and one day of it. Checked are the
columns, their types and order, times that know they are UTC, the symbol, and that all four see the same rows; and of
the files what lets a reader skip: row groups and their statistics, sorting columns, the page index. Prints what it
read; an assertion tells what is wrong.
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

import rows

TIME = pa.timestamp("us", "UTC")
NUMBER, COUNT, FLAG = pa.float64(), pa.int64(), pa.bool_()
WORD = pa.dictionary(pa.int32(), pa.string())
SYMBOL = ("symbol", WORD)
SUMS = """trade_count base_volume quote_volume taker_buy_qty taker_sell_qty taker_buy_quote taker_sell_quote
    taker_buy_quote_sq taker_sell_quote_sq taker_buy_trade_count taker_sell_trade_count whale_buy_quote
    whale_sell_quote retail_buy_quote retail_sell_quote"""
MINUTES = f"minute {SUMS} first_ts price_first last_ts price_last price_high price_low raw_trade_count"
HOURS = f"""minute {SUMS} price_open price_close price_high price_low cvd_qty cvd_quote vwap whale_cvd_quote
    retail_cvd_quote avg_trade_quote avg_trade_base taker_buy_avg_trade_quote taker_sell_avg_trade_quote
    taker_buy_hhi_quote taker_sell_hhi_quote imbalance_ratio_quote tw_cvd_quote_norm price_change
    cvd_per_abs_price_change"""
KLINES = """open_time open high low close volume close_time quote_volume trades taker_buy_volume
    taker_buy_quote_volume"""
COIN_KLINES = KLINES.replace("quote_volume", "base_volume")
TIMES = {"minute", "first_ts", "last_ts", "open_time", "close_time"}
COUNTS = {"trade_count", "taker_buy_trade_count", "taker_sell_trade_count", "raw_trade_count", "trades"}


READ_AS = {rows.time: TIME, rows.integer: COUNT, rows.number: NUMBER, rows.number_or_none: NUMBER, rows.flag: FLAG, str: WORD}
KIND_OF = {table: kind for kind, table in rows.TABLES.items()}


def schema_of(dataset, market):
    """What the contract says of a dataset."""
    if dataset in KIND_OF:
        columns = {name: READ_AS[of] for name, of in rows.layout(KIND_OF[dataset], market) if name}
        front = [name for names in (rows.TIMES, rows.IDS) for name in names if name in columns]
        return [SYMBOL] + [(name, columns[name]) for name in dict.fromkeys([*front, *columns])]
    if "klines_" in dataset:
        names = COIN_KLINES if market == "cm" else KLINES
    else:
        names = {"aggtrades_1m": MINUTES, "factors_1h": HOURS}[dataset]
    kinds = {name: TIME for name in TIMES} | {name: COUNT for name in COUNTS}
    return [SYMBOL] + [(name, kinds.get(name, NUMBER)) for name in names.split()]


def same_value(found, expected):
    return found == expected or (found != found and expected is None) or (found is pd.NaT and expected is None)


def check_same(lines, expected, what):
    """Rows as lists of plain values, the same as pyarrow has them."""
    assert len(lines) == len(expected), f"{what}: {len(lines)} rows, expected {len(expected)}"
    for row, (found, wanted) in enumerate(zip(lines, expected)):
        for column, pair in enumerate(zip(found, wanted)):
            assert same_value(*pair), f"{what}, row {row}, column {column}: {pair}"


def check_polars(frame, schema, expected, what):
    assert frame.columns == [name for name, _ in schema], f"{what}: {frame.columns}"
    for name, kind in schema:
        found = frame.schema[name]
        wanted = {TIME: pl.Datetime("us", "UTC"), NUMBER: pl.Float64, COUNT: pl.Int64, FLAG: pl.Boolean}.get(kind)
        if wanted is None:
            assert found in (pl.Categorical, pl.String), f"{what}: {name} is {found}"
        else:
            assert found == wanted, f"{what}: {name} is {found}"
    check_same(frame.rows(), expected, what)


def check_duckdb(relation, schema, expected, what):
    assert relation.columns == [name for name, _ in schema], f"{what}: {relation.columns}"
    wanted = {TIME: "TIMESTAMP WITH TIME ZONE", NUMBER: "DOUBLE", COUNT: "BIGINT", FLAG: "BOOLEAN"}
    for found, (name, kind) in zip(relation.types, schema):
        assert str(found) == wanted.get(kind, "VARCHAR"), f"{what}: {name} is {found}"
    # DuckDB hands out times through pytz, which is not asked for here, so Arrow takes them over.
    check_same(rows_of(relation.to_arrow_table()), expected, what)


def check_pandas(frame, schema, expected, what):
    assert list(frame.columns) == [name for name, _ in schema], f"{what}: {list(frame.columns)}"
    wanted = {TIME: "datetime64[us, UTC]", NUMBER: "float64", COUNT: "int64", FLAG: "bool"}
    for name, kind in schema:
        assert str(frame[name].dtype) == wanted.get(kind, "category"), f"{what}: {name} is {frame[name].dtype}"
    check_same(list(frame.itertuples(index=False, name=None)), expected, what)


def check_pyarrow(table, schema, what):
    assert [(field.name, field.type) for field in table.schema] == schema, f"{what}: {table.schema}"


def rows_of(table):
    return list(zip(*(column.to_pylist() for column in table.columns))) if table.num_rows else []


def check_file(path, dataset, market, symbol):
    """One file: every library, and how it is laid out."""
    schema = schema_of(dataset, market)
    table = pq.read_table(path)
    check_pyarrow(table, schema, f"pyarrow {path}")
    expected = rows_of(table)
    check_polars(pl.read_parquet(path), schema, expected, f"polars {path}")
    check_duckdb(duckdb.read_parquet(str(path)), schema, expected, f"duckdb {path}")
    check_pandas(pd.read_parquet(path), schema, expected, f"pandas {path}")
    assert expected and {row[0] for row in expected} == {symbol}, f"{path}: whose rows?"
    times = [row[1] for row in expected]
    bars = dataset not in KIND_OF
    assert all(a < b or (a == b and not bars) for a, b in zip(times, times[1:])), f"{path}: times do not ascend"
    assert times[0].utcoffset() == timedelta(0), f"{path}: {times[0]} does not know it is UTC"
    sorted_by = [(1, False), (2, False)] if schema[2][0] in rows.IDS else [(1, False)]
    check_layout(path, times, sorted_by)
    return len(expected)


def check_layout(path, times, sorted_by):
    """What lets a reader skip."""
    metadata = pq.read_metadata(path)
    first = 0
    for at in range(metadata.num_row_groups):
        group = metadata.row_group(at)
        assert [(s.column_index, s.descending) for s in group.sorting_columns] == sorted_by, f"{path}: {group}"
        for column in range(group.num_columns):
            chunk = group.column(column)
            assert chunk.compression == "ZSTD", f"{path}: {chunk}"
            assert chunk.has_offset_index and chunk.has_column_index, f"{path}: no page index of {chunk}"
            assert chunk.is_stats_set and chunk.statistics.null_count is not None, f"{path}: {chunk}"
            assert chunk.statistics.has_min_max or chunk.statistics.null_count == group.num_rows, f"{path}: {chunk}"
        ends = group.column(1).statistics.min, group.column(1).statistics.max
        assert ends == (times[first], times[first + group.num_rows - 1]), f"{path}: group {at} says {ends}"
        first += group.num_rows
    assert first == len(times)


def check_day(path, dataset, market):
    """One day of a month of minutes: all libraries find the same rows, and most row groups are not read."""
    table = pq.read_table(path)
    name = table.column_names[1]
    middle = table.column(1)[table.num_rows // 2].as_py()
    start = datetime(middle.year, middle.month, middle.day, tzinfo=timezone.utc)
    end = start + timedelta(days=1)
    expected = [row for row in rows_of(table) if start <= row[1] < end]
    assert expected
    condition = (ds.field(name) >= start) & (ds.field(name) < end)
    schema = schema_of(dataset, market)

    (fragment,) = ds.dataset(path, format="parquet").get_fragments()
    needed = len(fragment.subset(condition).row_groups)
    whole = fragment.num_row_groups
    assert whole >= 4 and 1 <= needed <= whole / 2, f"{path}: a day needs {needed} of {whole} row groups"
    assert rows_of(pq.read_table(path, filters=condition)) == expected
    lazy = pl.scan_parquet(path).filter((pl.col(name) >= start) & (pl.col(name) < end))
    check_polars(lazy.collect(), schema, expected, f"polars, a day of {path}")
    query = f"from '{path}' where {name} >= '{start.isoformat()}' and {name} < '{end.isoformat()}'"
    check_duckdb(duckdb.sql(query), schema, expected, f"duckdb, a day of {path}")
    frame = pd.read_parquet(path, filters=[(name, ">=", start), (name, "<", end)])
    check_pandas(frame, schema, expected, f"pandas, a day of {path}")
    return needed, whole


def check_folder(folder, dataset, market, files):
    """A dataset of one market as a whole: several symbols and periods, in the plain layout."""
    schema = schema_of(dataset, market)
    height = sum(files.values())
    symbols = {path.parent.name for path in files}
    table = pq.read_table(folder)
    check_pyarrow(table, schema, f"pyarrow {folder}")
    frame = pd.read_parquet(folder)
    glob = f"{folder}/*/*.parquet"
    lazy = pl.read_parquet(glob)
    relation = duckdb.sql(f"from '{glob}'")
    found = {
        "pyarrow": (table.num_rows, set(table.column("symbol").unique().to_pylist())),
        "pandas": (len(frame), set(frame["symbol"].unique())),
        "polars": (lazy.height, set(lazy["symbol"].unique())),
        "duckdb": (len(relation), {name for (name,) in relation.select("symbol").distinct().fetchall()}),
    }
    for library, told in found.items():
        assert told == (height, symbols), f"{library} {folder}: {told}, expected {height} rows of {symbols}"


def check_hive(folder, wanted):
    """A dataset in the hive layout: the market is a column to those who look for columns in paths."""
    symbols = {path.name.removeprefix("symbol=") for path in folder.glob("*/symbol=*")}
    glob = f"{folder}/**/*.parquet"
    lazy = pl.read_parquet(glob, hive_partitioning=True)
    relation = duckdb.sql(f"from '{glob}'")
    table = pq.read_table(folder)
    frame = pd.read_parquet(folder)
    found = {
        "pyarrow": (table.num_rows, table.column_names, set(table.column("symbol").unique().to_pylist())),
        "pandas": (len(frame), list(frame.columns), set(frame["symbol"].unique())),
        "polars": (lazy.height, lazy.columns, set(lazy["symbol"].unique())),
        "duckdb": (len(relation), relation.columns, {name for (name,) in relation.select("symbol").distinct().fetchall()}),
    }
    for library, (height, names, seen) in found.items():
        assert (height, seen) == (wanted, symbols), f"{library} {folder}: {height} rows of {seen}"
        assert names[0] == "symbol" and names[-1] == "market", f"{library} {folder}: {names}"


def main():
    output = Path(sys.argv[1])
    folders = {path.relative_to(output).parts[0] for path in output.rglob("*.parquet")}
    for dataset in sorted(output / name for name in folders if not name.startswith("_")):
        told = {"dataset": dataset.name, "files": 0, "rows": 0, "days": []}
        hive = {}
        for market in sorted(dataset.iterdir()):
            files = {}
            for path in sorted(market.glob("*/*.parquet")):
                symbol, market_name = path.parent.name.split("=")[-1], market.name.split("=")[-1]
                files[path] = check_file(path, dataset.name, market_name, symbol)
                if files[path] > 30_000 and dataset.name not in KIND_OF:
                    told["days"].append(check_day(path, dataset.name, market_name))
            told["files"] += len(files)
            told["rows"] += sum(files.values())
            if "=" in market.name:
                hive |= files
            else:
                check_folder(market, dataset.name, market.name, files)
        if hive:
            check_hive(dataset, sum(hive.values()))
        print(json.dumps(told))


if __name__ == "__main__":
    main()

"""Compares a Parquet file of tapemill with the reference, column by column.

    compare.py PARQUET OUT.json [--table minutes|hours|klines] [--differences 10]

OUT.json is what reference.py writes; its tables may also be lists of lines, as in golden/expected.json.
Every value must be the same bit for bit; the columns derived from hourly sums may differ by 1e-12 of their size.
The footer's `tapemill.quality` is compared too. Needs pyarrow. Prints the first differences and exits 1 on any.
"""

import argparse
import json
import math
import struct
import sys
from array import array

import pyarrow as pa
import pyarrow.parquet as pq

DERIVED = {
    "cvd_qty",
    "cvd_quote",
    "vwap",
    "whale_cvd_quote",
    "retail_cvd_quote",
    "avg_trade_quote",
    "avg_trade_base",
    "taker_buy_avg_trade_quote",
    "taker_sell_avg_trade_quote",
    "taker_buy_hhi_quote",
    "taker_sell_hhi_quote",
    "imbalance_ratio_quote",
    "tw_cvd_quote_norm",
    "price_change",
    "cvd_per_abs_price_change",
}
TOLERANCE = 1e-12


def values(column):
    """Plain Python values; times as microseconds."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type):
        if column.type.unit != "us" or column.type.tz != "UTC":
            raise SystemExit(f"a time is {column.type}, expected timestamp[us, tz=UTC]")
        column = column.cast(pa.int64())
    return column.to_pylist()


def is_same(name, found, expected):
    if isinstance(expected, str) and "0x" in expected:
        expected = float.fromhex(expected)
    if type(found) is not type(expected):
        return False
    if not isinstance(expected, float):
        return found == expected
    if struct.pack("<d", found) == struct.pack("<d", expected):
        return True
    return name in DERIVED and math.isclose(found, expected, rel_tol=TOLERANCE)


def are_same_floats(found, expected):
    """Whether two columns are floats and the same to the bit: what is_same says of each pair, only faster."""
    if not all(type(value) is float for value in found):
        return False
    if not all(isinstance(value, str) and "0x" in value for value in expected):
        return False
    return array("d", found).tobytes() == array("d", map(float.fromhex, expected)).tobytes()


def table_of(path, names):
    """Which part of the reference a file is about."""
    if "cvd_qty" in names or "1h_from_1m" in path:
        return "hours"
    return "klines" if "open_time" in names else "minutes"


def differences(path, reference, table):
    """Yields one line per difference."""
    file = pq.read_table(path, partitioning=None)
    expected = reference[table or table_of(path, file.column_names)]
    if isinstance(expected, list):
        expected = {name: [line[name] for line in expected] for name in expected[0]}
    if expected and list(expected) != file.column_names:
        yield f"columns: found {file.column_names}, expected {list(expected)}"
    for name, wanted in expected.items():
        if name not in file.column_names:
            continue
        found = values(file.column(name))
        if len(found) != len(wanted):
            yield f"{name}: found {len(found)} rows, expected {len(wanted)}"
            continue
        if are_same_floats(found, wanted):
            continue
        for row, pair in enumerate(zip(found, wanted)):
            if not is_same(name, *pair):
                yield f"{name}, row {row}: found {shown(pair[0])}, expected {shown(pair[1])}"
    if not expected and file.num_rows:
        yield f"found {file.num_rows} rows, expected none"
    footer = (pq.read_metadata(path).metadata or {}).get(b"tapemill.quality")
    if footer is None:
        yield "the footer has no tapemill.quality"
        return
    quality, wanted = json.loads(footer), reference["quality"]
    for name in [*wanted, *(quality.keys() - wanted.keys())]:
        if quality.get(name) != wanted.get(name):
            yield f"quality {name}: found {quality.get(name)}, expected {wanted.get(name)}"


def shown(value):
    if isinstance(value, float):
        return f"{value!r} ({value.hex()})"
    if isinstance(value, str) and value.lstrip("-").startswith("0x"):
        return f"{float.fromhex(value)!r} ({value})"
    return repr(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parquet")
    parser.add_argument("reference")
    parser.add_argument("--table", choices=["minutes", "hours", "klines"])
    parser.add_argument("--differences", type=int, default=10, help="how many to print")
    args = parser.parse_args()
    with open(args.reference, encoding="ascii") as file:
        reference = json.load(file)
    count = 0
    for count, line in enumerate(differences(args.parquet, reference, args.table), 1):
        if count <= args.differences:
            print(line)
    if count:
        print(f"{args.parquet}: {count} differences")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())

"""Holds tables against each other: agree.py MOST OURS.parquet OTHER.parquet [OURS OTHER]…

Of each pair all columns of the other are compared. Counts, times and prices have to be equal; sums may differ by MOST of
themselves, since peers add floats, in an order of their own. Prints a line for each pair that differs; exit code 1 when
one does.
"""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet

# Peers write times of trades as plain milliseconds.
TIMES = ["minute", "first_ts", "last_ts", "open_time", "close_time"]
PRICES = ["price_first", "price_last", "price_high", "price_low", "open", "high", "low", "close"]


def column(table, name):
    found = table[name]
    if pa.types.is_timestamp(found.type):
        found = found.cast(pa.timestamp("ms", "UTC"))
    if name in TIMES:
        found = found.cast(pa.int64())
    return found.to_numpy()


def difference(ours, other, most):
    """What differs first, or None."""
    if ours.num_rows != other.num_rows:
        return f"{other.num_rows} rows, ours has {ours.num_rows}"
    for name in other.column_names:
        if name == "symbol":
            continue
        a, b = column(ours, name), column(other, name)
        if name in TIMES + PRICES or a.dtype.kind in "iu":
            wrong = a != b
        else:
            wrong = ~(np.abs(b - a) <= most * np.abs(a))
        if wrong.any():
            at = int(np.argmax(wrong))
            return f"{name} of row {at} is {b[at]}, ours {a[at]}"
    return None


def main():
    most, paths, failed = float(sys.argv[1]), sys.argv[2:], False
    for ours, other in zip(paths[::2], paths[1::2], strict=True):
        why = difference(*(pyarrow.parquet.read_table(path) for path in (ours, other)), most)
        if why:
            failed = True
            print(f"{other}: {why}")
    sys.exit(failed)


if __name__ == "__main__":
    main()

"""Holds tables of minutes against each other: agree.py OURS.parquet OTHER.parquet…

Counts, times and prices have to be equal, sums within 1e-9 of each other: peers add floats, in an order of their own.
Prints one line a table; exit code 1 when one differs.
"""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet

# Peers write times of trades as plain milliseconds.
TIMES = ["minute", "first_ts", "last_ts"]
EXACT = TIMES + ["trade_count", "taker_buy_trade_count", "taker_sell_trade_count", "price_first", "price_last",
                 "price_high", "price_low"]
SUMS = ["base_volume", "quote_volume", "taker_buy_qty", "taker_sell_qty", "taker_buy_quote", "taker_sell_quote",
        "taker_buy_quote_sq", "taker_sell_quote_sq", "whale_buy_quote", "whale_sell_quote", "retail_buy_quote",
        "retail_sell_quote"]
MOST = 1e-9


def columns(path):
    table = pyarrow.parquet.read_table(path)
    found = {}
    for name in EXACT + SUMS:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", "UTC"))
        found[name] = column.cast(pa.int64() if name in TIMES else column.type).to_numpy()
    return found


def difference(ours, other):
    """The first column that differs and by how much, or None; and the largest relative difference of a sum."""
    rows, others = len(ours["minute"]), len(other["minute"])
    if rows != others:
        return f"{others} minutes, ours has {rows}", 0.0
    for name in EXACT:
        if not np.array_equal(ours[name], other[name]):
            at = int(np.argmax(ours[name] != other[name]))
            return f"{name} of row {at} is {other[name][at]}, ours {ours[name][at]}", 0.0
    largest = 0.0
    for name in SUMS:
        relative = np.abs(other[name] - ours[name]) / np.maximum(np.abs(ours[name]), 1e-300)
        largest = max(largest, float(relative.max(initial=0.0)))
        if not largest <= MOST:
            at = int(np.argmax(relative))
            return f"{name} of row {at} is {other[name][at]}, ours {ours[name][at]}", largest
    return None, largest


def main():
    ours, *others = sys.argv[1:]
    expected, failed = columns(ours), False
    for path in others:
        why, largest = difference(expected, columns(path))
        failed |= why is not None
        minutes = len(expected["minute"])
        print(f"{path}: {why or f'agrees, {minutes} minutes, sums within {largest:.1e}'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()

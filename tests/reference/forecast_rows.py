"""Rows to forecast: forecast_rows.py OUT.parquet OUT.f64 ROWS [WHAT]

Seven features of a made-up order book, 100 ms apart, with something in them to be learned: the price follows the imbalance of the book.
OUT.f64 has the same numbers without a format: rows × features. WHAT changes the rows:
  hole:ROW   from ROW on, times are a second later
  null:ROW   a value is missing at ROW
  after:ROW  all rows from ROW on are others
  from:ROW   rows before ROW are not there
  untimed:ROW  nor are times
  text       the first feature is text
  back       two rows have changed places
  empty      there are none
"""

import sys

import numpy
import pyarrow
import pyarrow.parquet

NAMES = ["best_bid_price", "best_ask_price", "mid_price", "spread", "bid_volume_top", "ask_volume_top", "volume_imbalance"]


def rows(count: int, seed: int) -> numpy.ndarray:
    random = numpy.random.default_rng(seed)
    imbalance = numpy.zeros(count)
    for row in range(1, count):
        imbalance[row] = 0.9 * imbalance[row - 1] + 0.2 * random.standard_normal()
    imbalance = numpy.tanh(imbalance)
    # What the imbalance was moves the price for some rows to come.
    steps = 0.4 * numpy.roll(imbalance, 1) + 0.2 * random.standard_normal(count)
    middle = 60_000 + numpy.round(numpy.cumsum(steps), 1)
    spread = 0.1 + 0.1 * random.integers(0, 3, count)
    volume = numpy.exp(random.standard_normal(count))
    bid, ask = volume * (1 + imbalance), volume * (1 - imbalance)
    return numpy.stack([middle - spread / 2, middle + spread / 2, middle, spread, bid, ask, imbalance], axis=1)


def main() -> None:
    parquet, raw, count, *what = sys.argv[1:]
    count, (what, _, at) = int(count), (what + [""])[0].partition(":")
    values = rows(count, 7)
    times = 1_700_000_000_000 + 100 * numpy.arange(count)
    columns = {name: pyarrow.array(values[:, at]) for at, name in enumerate(NAMES)}
    if what == "after":
        values[int(at) :] = rows(count, 8)[int(at) :] * 1.5
        columns = {name: pyarrow.array(values[:, at]) for at, name in enumerate(NAMES)}
    elif what == "hole":
        times[int(at) :] += 1000
    elif what == "null":
        missing = numpy.arange(count) == int(at)
        columns["spread"] = pyarrow.array(values[:, 3], mask=missing)
    elif what == "text":
        columns["best_bid_price"] = pyarrow.array([str(value) for value in values[:, 0]])
    elif what == "back":
        times[[10, 11]] = times[[11, 10]]
    elif what == "empty":
        columns = {name: column[:0] for name, column in columns.items()}
        times = times[:0]
    times = pyarrow.array(times, pyarrow.timestamp("ms", "UTC"))
    table = pyarrow.table({"timestamp": times, "symbol": ["BTCUSDT"] * len(times)} | columns)
    if what in ("from", "untimed"):
        table = table.slice(int(at))
    if what == "untimed":
        table = table.drop_columns(["timestamp"])
    pyarrow.parquet.write_table(table, parquet)
    values.astype("<f8").tofile(raw)


main()

#!/usr/bin/env python3
"""Writes an archive as the exchange does, from a seed: DIR/SYMBOL-aggTrades-YYYY-MM.zip, or klines.

    generate.py --rows 1000000 --seed 1 --symbol BTCUSDT --month 2023-12 --out DIR [--no-header] [--spot]
    generate.py --klines 1m --seed 1 --symbol BTCUSDT --month 2023-12 --out DIR
    generate.py --interleave SORTED.zip --out DIR

--month also takes a day, YYYY-MM-DD. The same arguments and the same numpy and polars give the same CSV. One entry,
deflate level 6. Trades: sorted by time and id, bursts in one millisecond, prices that mostly stay or move by a tick,
many round lots. --spot writes eight decimals and no header, as spot archives have them. --interleave takes the rows of
another archive and lets two streams of ids take turns, 100,000 rows apart.
"""

import argparse
import itertools
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl

TRADES_HEADER = b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
KLINES_HEADER = (b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
                 b"taker_buy_quote_volume,ignore\n")
# symbol: (decimals of the price, price at the start, decimals of the quantity, median quantity)
SHAPES = {
    "BTCUSDT": (1, 42283.5, 3, 0.02),
    "ETHUSDT": (2, 2281.47, 3, 0.35),
    "DOGEUSDT": (5, 0.08412, 0, 1500.0),
    "SOLUSDT": (3, 61.523, 0, 4.0),
}
SPOT_DECIMALS = 8
CHUNK = 500_000
UNITS = {"m": 60, "h": 3600, "d": 86400}


def decimals(values, places):
    """Integers scaled by 10**places as text with exactly so many decimals."""
    series = pl.Series(values)
    if not places:
        return series.cast(pl.String)
    unit = 10**places
    return (series // unit).cast(pl.String) + "." + (series % unit).cast(pl.String).str.zfill(places)


def csv(columns):
    """Columns as lines."""
    frame = pl.DataFrame({str(number): column for number, column in enumerate(columns)})
    return frame.write_csv(include_header=False, quote_style="never").encode()


def bounds_ms(period):
    start = datetime.strptime(period, "%Y-%m-%d" if period.count("-") == 2 else "%Y-%m").replace(tzinfo=timezone.utc)
    end = start + timedelta(days=1 if period.count("-") == 2 else 32)
    end = end if period.count("-") == 2 else end.replace(day=1)
    return int(start.timestamp() * 1000), int(end.timestamp() * 1000)


def walk(rng, count, start, tick_chance=0.28):
    """A path on the tick grid that stays between a quarter and twice its start."""
    step = np.where(rng.random(count) < tick_chance, np.where(rng.random(count) < 0.5, -1, 1), 0)
    jump = rng.random(count) > 0.95
    step[jump] *= rng.geometric(1 / 30, int(jump.sum()))
    low, span = start // 4 + 1, max(start * 2, start + 10) - start // 4 - 1
    return low + np.abs((start + np.cumsum(step) - low + span) % (2 * span) - span)


def quantities(rng, count, unit, median):
    """Lognormal in the smallest units, two of five a round lot."""
    found = np.rint(rng.lognormal(np.log(median * unit), 1.7, count)).astype(np.int64)
    round_lot = rng.random(count) < 0.4
    lots = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1200, 2000])
    found[round_lot] = np.rint(rng.choice(lots, round_lot.sum()) / 1000 * max(unit, 50 * median))
    return np.maximum(found, 1)


def trades(rng, rows, symbol, period, spot):
    """Lines of aggTrades, a chunk at a time."""
    price_places, first_price, quantity_places, median = SHAPES[symbol]
    start, end = bounds_ms(period)
    # Calm and busy stretches of 400 bursts each: gaps between bursts are drawn around a mood that drifts.
    burst_of_row = np.cumsum(rng.random(rows) < 0.45)
    bursts = int(burst_of_row[-1]) + 1
    mood = np.convolve(rng.standard_normal(bursts // 400 + 32), 0.35 * 0.9 ** np.arange(32), "valid")
    gaps = np.cumsum(rng.exponential(size=bursts) * np.exp(-np.repeat(mood, 400)[:bursts]))
    times = start + (gaps * ((end - start - 1) / gaps[-1])).astype(np.int64)
    maker = rng.random(bursts) < 0.5
    path = walk(rng, rows, round(first_price * 10**price_places))
    next_id, next_trade = 1_931_204_417, 4_300_000_000
    # What spot writes behind the symbol's own decimals are zeros.
    more = [SPOT_DECIMALS - places if spot else 0 for places in (price_places, quantity_places)]
    words = ("True", "False") if spot else ("true", "false")
    for at in range(0, rows, CHUNK):
        count = min(CHUNK, rows - at)
        burst = burst_of_row[at : at + count]
        quantity = quantities(rng, count, 10**quantity_places, median)
        span = np.where(rng.random(count) < 0.7, 1, 1 + rng.geometric(0.4, count))
        last = next_trade + np.cumsum(span) - 1
        columns = [
            np.arange(next_id, next_id + count),
            decimals(path[at : at + count] * 10 ** more[0], price_places + more[0]),
            decimals(quantity * 10 ** more[1], quantity_places + more[1]),
            last - span + 1,
            last,
            times[burst],
            np.where(maker[burst], *words),
        ]
        next_id, next_trade = next_id + count, int(last[-1]) + 1
        yield csv([*columns, np.full(count, "True")] if spot else columns)


def klines(rng, interval, symbol, period):
    """Lines of klines, one for every bar of the period."""
    price_places, first_price, quantity_places, median = SHAPES[symbol]
    start, end = bounds_ms(period)
    step = int(interval[:-1]) * UNITS[interval[-1]] * 1000
    opens = np.arange(start, end, step)
    count = len(opens)
    path = walk(rng, count + 1, round(first_price * 10**price_places), 0.9)
    before, after = path[:-1], path[1:]
    high = np.maximum(before, after) + rng.geometric(0.1, count)
    low = np.maximum(np.minimum(before, after) - rng.geometric(0.1, count), 1)
    trades_ = np.maximum(np.rint(rng.lognormal(5, 1, count)), 1).astype(np.int64)
    traded = trades_ * median * 10**quantity_places * rng.lognormal(1, 0.5, count)
    volume = np.maximum(np.rint(traded), 1).astype(np.int64)
    bought = (volume * rng.beta(8, 8, count)).astype(np.int64)
    quote_places = price_places + quantity_places
    middle = (high + low) // 2
    yield csv([
        opens, *(decimals(price, price_places) for price in (before, high, low, after)),
        decimals(volume, quantity_places), opens + step - 1, decimals(volume * middle, quote_places), trades_,
        decimals(bought, quantity_places), decimals(bought * middle, quote_places), np.zeros(count, np.int64),
    ])


def interleaved(source):
    """The lines of a sorted archive, whose ids then come in two streams."""
    with zipfile.ZipFile(source) as archive, archive.open(archive.namelist()[0]) as entry:
        first = entry.readline()
        if first[:1].isalpha():
            yield first
            first = b""
        lines = itertools.chain([first] if first else [], entry)
        while block := list(itertools.islice(lines, 200_000)):
            half = (len(block) + 1) // 2
            mixed = [b""] * len(block)
            mixed[0::2], mixed[1::2] = block[:half], block[half:]
            yield b"".join(mixed)


def write(folder, name, parts, rows=0):
    """The ZIP, under its own name when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / f"{name}.zip", folder / f"{name}.zip.part"
    entry = zipfile.ZipInfo(f"{name}.csv", (2024, 1, 1, 0, 0, 0))
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    # An entry opened for writing gets zlib's default level, 6.
    with zipfile.ZipFile(part, "w") as archive, archive.open(entry, "w", force_zip64=rows > 20_000_000) as out:
        for data in parts:
            out.write(data)
    part.rename(target)
    print(f"{target}: {target.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--rows", type=int, help="trades, and how many")
    kind.add_argument("--klines", metavar="INTERVAL", help="1m, 1h, …")
    kind.add_argument("--interleave", type=Path, metavar="SORTED.zip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--symbol", choices=sorted(SHAPES), default="BTCUSDT")
    parser.add_argument("--month", default="2023-12", help="YYYY-MM or YYYY-MM-DD")
    parser.add_argument("--out", type=Path, required=True, help="folder for the ZIP")
    parser.add_argument("--no-header", action="store_true")
    parser.add_argument("--spot", action="store_true")
    options = parser.parse_args()
    rng = np.random.Generator(np.random.PCG64(options.seed))
    if options.interleave:
        return write(options.out, options.interleave.stem, interleaved(options.interleave))
    if options.klines:
        name = f"{options.symbol}-{options.klines}-{options.month}"
        header, parts = KLINES_HEADER, klines(rng, options.klines, options.symbol, options.month)
    elif options.rows >= 1:
        name = f"{options.symbol}-aggTrades-{options.month}"
        header, parts = TRADES_HEADER, trades(rng, options.rows, options.symbol, options.month, options.spot)
    else:
        parser.error("--rows must be at least 1")
    bare = options.no_header or options.spot
    write(options.out, name, itertools.chain([] if bare else [header], parts), options.rows or 0)


if __name__ == "__main__":
    main()

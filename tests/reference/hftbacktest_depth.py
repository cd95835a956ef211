"""Feeds a file to hftbacktest and prints its depth at given local times, as one JSON line each.

usage: hftbacktest_depth.py FILE.npz TICK_SIZE LOT_SIZE LEVELS TIMES

TIMES is a file of nanoseconds, one a line, ascending.
"""

import json
import sys

import numpy as np
from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.data.validation import validate_event_order
from numba import njit

FAR = 2_000_000


@njit
def depths(hbt, times, levels, prices, quantities, counts):
    # Before the first event there is no time.
    hbt.elapse(1)
    for row in range(len(times)):
        wait = times[row] - hbt.current_timestamp
        if wait > 0 and hbt.elapse(wait) not in (0, 1):
            return row
        depth = hbt.depth(0)
        found = 0
        if depth.best_bid_tick > 0:
            tick = depth.best_bid_tick
            while found < levels and tick > depth.best_bid_tick - FAR and tick > 0:
                quantity = depth.bid_qty_at_tick(tick)
                if quantity > 0:
                    prices[row, 0, found] = tick * depth.tick_size
                    quantities[row, 0, found] = quantity
                    found += 1
                tick -= 1
        counts[row, 0] = found
        found = 0
        if depth.best_ask > 0:
            tick = depth.best_ask_tick
            while found < levels and tick < depth.best_ask_tick + FAR:
                quantity = depth.ask_qty_at_tick(tick)
                if quantity > 0:
                    prices[row, 1, found] = tick * depth.tick_size
                    quantities[row, 1, found] = quantity
                    found += 1
                tick += 1
        counts[row, 1] = found
    return len(times)


def main() -> None:
    file, tick_size, lot_size, levels, asked = sys.argv[1:]
    levels = int(levels)
    with open(asked) as lines:
        times = np.array([int(line) for line in lines], dtype=np.int64)
    with np.load(file) as archive:
        assert archive.files == ["data"], archive.files
        validate_event_order(archive["data"])
    asset = (
        BacktestAsset()
        .data([file])
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .power_prob_queue_model(2.0)
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(float(tick_size))
        .lot_size(float(lot_size))
    )
    hbt = HashMapMarketDepthBacktest([asset])
    shape = (len(times), 2, levels)
    prices, quantities = np.full(shape, np.nan), np.zeros(shape)
    counts = np.zeros((len(times), 2), dtype=np.int64)
    done = depths(hbt, times, levels, prices, quantities, counts)
    assert done == len(times), (done, len(times))
    hbt.close()
    for row in range(len(times)):
        sides = [
            [
                [float(prices[row, side, at]), float(quantities[row, side, at])]
                for at in range(counts[row, side])
            ]
            for side in (0, 1)
        ]
        print(json.dumps(sides))


if __name__ == "__main__":
    main()

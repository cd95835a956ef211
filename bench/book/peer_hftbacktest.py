"""hftbacktest on the same events: medians of some rounds, as one JSON line.

usage: peer_hftbacktest.py ROUNDS TICK_SIZE RECORDING.gz EVENTS.npz…
"""

import json
import statistics
import sys
import time

import numpy as np
from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from hftbacktest.data.utils import binancefutures
from numba import njit

LEVELS = 25
STEP_NS = 100_000_000


@njit
def walk(hbt, prices, quantities):
    rows = 0
    while hbt.elapse(STEP_NS) == 0:
        depth = hbt.depth(0)
        found, tick, last = 0, depth.best_bid_tick, depth.best_bid_tick - 10_000
        while found < LEVELS and tick > last:
            quantity = depth.bid_qty_at_tick(tick)
            if quantity > 0:
                prices[0, found], quantities[0, found] = tick * depth.tick_size, quantity
                found += 1
            tick -= 1
        found, tick, last = 0, depth.best_ask_tick, depth.best_ask_tick + 10_000
        while found < LEVELS and tick < last:
            quantity = depth.ask_qty_at_tick(tick)
            if quantity > 0:
                prices[1, found], quantities[1, found] = tick * depth.tick_size, quantity
                found += 1
            tick += 1
        rows += 1
    return rows


def asset(data, tick, bounds=None):
    made = (
        BacktestAsset()
        .data(data)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .power_prob_queue_model(2.0)
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(tick)
        .lot_size(1.0)
    )
    return made.roi_lb(bounds[0]).roi_ub(bounds[1]) if bounds else made


def main() -> None:
    rounds, tick, recording, files = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4:]
    started = time.perf_counter()
    arrays = [np.load(file)["data"] for file in files]
    load = time.perf_counter() - started
    prices = np.concatenate([array["px"][array["qty"] > 0] for array in arrays])
    bounds = (float(prices.min()) * 0.9, float(prices.max()) * 1.1)
    ways = {
        "backtest": lambda data: HashMapMarketDepthBacktest([asset(data, tick)]),
        "backtest, vector": lambda data: ROIVectorMarketDepthBacktest([asset(data, tick, bounds)]),
    }
    out = np.zeros((2, LEVELS)), np.zeros((2, LEVELS))
    told = {"load_seconds": round(load, 3), "rows": int(sum(map(len, arrays)))}
    for name, make in ways.items():
        seconds = []
        for turn in range(rounds + 1):
            hbt = make(arrays)
            started = time.perf_counter()
            steps = walk(hbt, *out)
            # The first compiles.
            if turn > 0:
                seconds.append(time.perf_counter() - started)
            hbt.close()
        told[name] = {"seconds": round(statistics.median(seconds), 3), "steps": steps}
    seconds = []
    for turn in range(2):
        started = time.perf_counter()
        binancefutures.convert(recording, buffer_size=2_000_000)
        seconds.append(time.perf_counter() - started)
    told["convert"] = {"seconds": round(seconds[-1], 3)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()

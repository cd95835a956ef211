"""What `BacktestDataLoader` loads, written down for others to judge.

    loader.py ROOT FOLDER START END

Writes FOLDER/aligned.parquet, klines.parquet, funding_rate.parquet and panel.parquet, and prints the universe as JSON.
"""

import json
import sys

import polars as pl
from tapemill import BacktestDataLoader, ValidationError

root, folder, start, end = sys.argv[1:]
loader = BacktestDataLoader(root)
loader.load_aligned_data(None, start, end).write_parquet(f"{folder}/aligned.parquet")
found = loader.load_data(["BTCUSDT", "ETHUSDT"], start, end)
assert set(found) == {"klines", "mark_price", "index_price", "premium_index", "funding_rate"}, set(found)
for kind in ("klines", "funding_rate"):
    found[kind].write_parquet(f"{folder}/{kind}.parquet")
loader.panel("close", "1h", None, start, end).write_parquet(f"{folder}/panel.parquet")
parts = list(loader.batches(None, start, end, days=7))
assert len(parts) > 3 and pl.concat(parts).equals(loader.load_data(None, start, end, ["klines"])["klines"])
assert loader.load_data("NOPEUSDT", start, end) == {}
try:
    loader.load_aligned_data("NOPEUSDT", start, end)
except ValidationError as error:
    assert "there are no klines" in str(error)
else:
    raise AssertionError("there is nothing to align")
every = loader.universe(start, end, 0)
volumes = {symbol for symbol in every if symbol in loader.universe(start, end, 1e6)}
print(json.dumps({"all": every, "large": sorted(volumes), "symbols": loader.get_available_symbols()}))

"""Checks that a file of book series has the columns and types that training code reads, and prints how many rows it has.

usage: book_series.py FILE.parquet
"""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq

HEAD = (
    "best_bid_price best_bid_qty best_ask_price best_ask_qty spread mid_price bid_volume_top ask_volume_top"
    " volume_imbalance"
).split()

table = pq.read_table(sys.argv[1])
levels = (len(table.column_names) - 2 - len(HEAD)) // 4
names = ["timestamp", "symbol", *HEAD]
for level in range(1, levels + 1):
    names += [f"{side}_{what}_{level}" for side in ("bid", "ask") for what in ("px", "qty")]
assert table.column_names == names, table.column_names
assert table.schema.field("timestamp").type == pa.int64()
assert table.schema.field("symbol").type == pa.string()
assert all(table.schema.field(name).type == pa.float64() for name in names[2:])
frame = table.to_pandas()
assert (frame["timestamp"].diff().dropna() == 250).all()
assert (frame["best_bid_price"] == frame["bid_px_1"]).all()
assert (frame["spread"] > 0).all()
print(json.dumps({"rows": table.num_rows, "levels": levels}))

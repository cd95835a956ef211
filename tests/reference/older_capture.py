"""Checks that captures begin with the columns of the older collector, and writes them as it would have: those columns and
nothing else.

usage: older_capture.py ORDERBOOK_FOLDER TO_FOLDER
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

LEVELS = pa.list_(pa.struct([("price", pa.float64()), ("qty", pa.float64())]))
SCHEMA = pa.schema(
    [
        ("event_type", pa.string()),
        ("event_time", pa.int64()),
        ("received_time", pa.timestamp("ms", tz="UTC")),
        ("symbol", pa.string()),
        ("first_update_id", pa.int64()),
        ("final_update_id", pa.int64()),
        ("prev_final_update_id", pa.int64()),
        ("is_snapshot", pa.bool_()),
        ("bids", LEVELS),
        ("asks", LEVELS),
    ]
)

source, to = map(Path, sys.argv[1:])
files = sorted(source.rglob("*.parquet"))
for file in files:
    table = pq.ParquetFile(file).read()
    found = pa.schema(list(table.schema)[: len(SCHEMA)])
    assert found.equals(SCHEMA), found
    older = pa.Table.from_pylist(table.select(SCHEMA.names).to_pylist(), schema=SCHEMA)
    place = to / file.relative_to(source)
    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(older, place)
print(len(files))

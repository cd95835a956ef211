"""Reads the files of `tapemill export arrow` as their users do, and compares them with the tables of the output.

    arrow_cache.py OUTPUT EXPORT MARKET INTERVALS

Each file is mapped into memory by pyarrow, which may take no memory for its values, and by polars. Both have to see the rows
that the tables have of that day. The index has to list each file, and nothing else. Prints the rows of each folder; an
assertion tells what is wrong.
"""

import json
import sqlite3
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
from bars import Lake

OUTPUT, EXPORT, MARKET, INTERVALS = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4].split(",")
FOLDER = {"um": "futures_um", "cm": "futures_cm", "spot": "spot"}[MARKET]
QUOTE = "base" if MARKET == "cm" else "quote"
NAMES = {f"{QUOTE}_volume": "quote_asset_volume", "trades": "count", f"taker_buy_{QUOTE}_volume": "taker_buy_quote_volume"}
TIME, NUMBER = pa.timestamp("us", "UTC"), pa.float64()
COLUMNS = {
    "open_time": TIME, "open": NUMBER, "high": NUMBER, "low": NUMBER, "close": NUMBER, "volume": NUMBER,
    "close_time": TIME, "quote_asset_volume": NUMBER, "count": pa.int64(), "taker_buy_volume": NUMBER,
    "taker_buy_quote_volume": NUMBER,
}


def mapped(file):
    """The rows of a file, which stay in it."""
    before = pa.total_allocated_bytes()
    reader = pa.ipc.open_file(pa.memory_map(str(file)))
    table = reader.read_all()
    assert pa.total_allocated_bytes() == before, f"{file} was copied"
    assert {field.name: field.type for field in table.schema} == COLUMNS, table.schema
    assert table.column_names == list(COLUMNS) and all(column.null_count == 0 for column in table.columns)
    assert reader.num_record_batches == 1
    return table


database = sqlite3.connect(f"file:{EXPORT}/cache_index.db?mode=ro", uri=True)
assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
query = "SELECT path, market, symbol, interval, date, file_size, num_records FROM cache_entries"
entries = {row[0]: row[1:] for row in database.execute(query)}
lake, seen = Lake(OUTPUT, MARKET), set()
for interval in sorted(set(INTERVALS)):
    for folder in sorted((EXPORT / "BINANCE/KLINES" / FOLDER).glob(f"*/{interval}")):
        symbol, frames = folder.parent.name, []
        for file in sorted(folder.iterdir()):
            table = mapped(file)
            assert table.num_rows > 0, f"{file} is empty"
            days = table["open_time"].to_pandas().dt.strftime("%Y-%m-%d").unique()
            assert list(days) == [file.stem], (file, days)
            polars = pl.scan_ipc(file).collect()
            assert polars.equals(pl.from_arrow(table)) and polars.columns == list(COLUMNS)
            path = str(file.relative_to(EXPORT))
            key = (FOLDER, symbol, interval, file.stem, file.stat().st_size, table.num_rows)
            assert entries.get(path) == key, (path, entries.get(path), key)
            seen.add(path)
            frames.append(table.to_pandas())
        found = pd.concat(frames, ignore_index=True)
        wanted = lake.bars("klines", symbol, interval).rename(columns=NAMES)[list(COLUMNS)]
        wanted["count"] = wanted["count"].astype("int64")
        for name in "open_time", "close_time":
            wanted[name] = wanted[name].dt.as_unit("us")
        pd.testing.assert_frame_equal(found, wanted, check_exact=True)
        print(json.dumps({"symbol": symbol, "interval": interval, "rows": len(found), "files": len(frames)}))
others = {path for path in entries if f"/{FOLDER}/" in path and path.split("/")[4] in INTERVALS}
assert others == seen, others ^ seen

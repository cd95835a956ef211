"""What a collector stored and told, held against the truth: prints what was lost and how many holes were told, as JSON.

live_holes.py OUTPUT MARKET LOG.json    LOG.json: what became of each frame, as the stand-in tells it

* Each frame is stored at most once, in order.
* A frame that is not stored lies strictly between the bounds of a hole; none that is stored does, unless it was asked for later.
* The bounds of a hole are stored frames.
* Where ids make a chain, a hole is told only if something is missing in it.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq

DATASETS = {
    "depth": ("orderbook", "final_update_id"),
    "aggTrade": ("trades", "agg_id"),
    "trade": ("raw_trades", "trade_id"),
    "bookTicker": ("book_ticker", "update_id"),
    "markPrice": ("mark_price", "event_time"),
    "forceOrder": ("liquidations", "event_time"),
}
CHAINED = {"depth", "aggTrade", "trade"}


def rows(output: Path, market: str, dataset: str) -> list[dict]:
    folder = output / dataset if market == "um" else output / market / dataset
    files = []
    for path in folder.glob("date=*/*.parquet"):
        coverage = json.loads(pq.read_metadata(path).metadata[b"tapemill.live"])
        files.append((path.name.split("_")[-2], coverage["sequence"], path))
    found = []
    for path in sorted(folder.glob("date=*/*.jsonl")):
        found += [json.loads(line) for line in path.read_text().splitlines()]
    for _, _, path in sorted(files):
        found += pq.ParquetFile(path).read().to_pylist()
    return found


def main() -> None:
    output, market, log = Path(sys.argv[1]), sys.argv[2], json.loads(Path(sys.argv[3]).read_text())
    truth: dict[str, dict[int, int]] = defaultdict(dict)
    for entry in log:
        truth[entry["stream"]][entry["place"]] = entry["id"]
    ledger = rows(output, market, "ledger")
    cache: dict[str, list[dict]] = {}
    told = {"frames": 0, "lost": 0, "gaps": 0, "asked": 0, "snapshots": 0, "events": defaultdict(int)}
    for row in ledger:
        told["events"][row["event_type"]] += 1
    for stream, frames in sorted(truth.items()):
        symbol, kind = stream.split("@")[:2]
        kind = "kline" if kind.startswith("kline_") else kind
        dataset, key = DATASETS[kind]
        if dataset not in cache:
            cache[dataset] = rows(output, market, dataset)
        mine = [row for row in cache[dataset] if row["symbol"] == symbol.upper() and not row.get("is_snapshot")]
        told["snapshots"] += sum(row.get("is_snapshot") is True for row in cache[dataset] if row["symbol"] == symbol.upper())
        ids = [row[key] for row in mine if row.get("source") != "rest"]
        asked = {row[key] for row in mine if row.get("source") == "rest"}
        told["asked"] += len(asked)
        assert ids == sorted(ids), f"{stream}: not in order"
        every = [frames[place] for place in sorted(frames)]
        assert every == sorted(every), stream
        # Ids that are times may come twice; each frame is stored once all the same.
        twice = Counter(ids) - Counter(every)
        assert not twice, (stream, "stored twice", list(twice)[:3])
        stored = set(ids)
        assert stored <= set(every), (stream, sorted(stored - set(every))[:3])
        holes = [
            (row["after_id"], row["before_id"])
            for row in ledger
            if row["event_type"] == "gap" and row["stream"] == stream
        ]
        lost = [value for value in every if value not in stored and min(stored) < value < max(stored)]
        for after, before in holes:
            assert after in stored and before in stored, (stream, after, before)
            inside = [value for value in stored if after < value < before]
            assert not inside, (stream, after, before, inside[:3])
            missing = [value for value in lost if after < value < before]
            assert missing or kind not in CHAINED, (stream, after, before, "nothing is missing")
        for value in lost:
            assert any(after < value < before for after, before in holes), (stream, value, "is missing and not told")
        if kind == "aggTrade":
            assert asked == set(lost), (stream, len(asked), len(lost))
        told["frames"] += len(every)
        told["lost"] += len(lost)
        told["gaps"] += len(holes)
    print(json.dumps(told))


main()

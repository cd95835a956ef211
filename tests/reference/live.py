"""What a collector stored of a recording, frame by frame: prints how many frames were compared.

live.py FORMAT OUTPUT MARKET RECORDING    FORMAT: parquet or jsonl

The recording is read here by itself, line by line; every frame has to be a row, once, in the order of its stream, with every
field, and nothing else may be there.
"""

import gzip
import json
import sys
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

import pyarrow.parquet as pq

KNOWN_IGNORED = {"M"}


def frames(paths: list[Path]):
    """(stream, data) of each frame, in order."""
    if paths[0].suffix == ".gz":
        with gzip.open(paths[0], "rt") as lines:
            for line in lines:
                _, text = line.split(" ", 1)
                message = json.loads(text)
                if "stream" in message:
                    yield message["stream"], message["data"]
        return
    with open(paths[0]) as lines:
        for line in lines:
            if line.startswith("wss://") or not line.strip():
                continue
            message = json.loads(line.split(": ", 1)[1])
            if "stream" in message:
                yield message["stream"], message["data"]


def dataset_of(stream: str) -> str:
    kind = stream.split("@")[1]
    if kind.startswith("kline_"):
        return f"{kind.replace('kline_', 'klines_')}_live"
    return {
        "depth": "orderbook",
        "aggTrade": "trades",
        "trade": "raw_trades",
        "bookTicker": "book_ticker",
        "markPrice": "mark_price",
        "forceOrder": "liquidations",
    }[kind]


def levels(side):
    return [{"price": float(price), "qty": float(qty)} for price, qty in side]


def maybe(text):
    return None if text in ("", None) else float(text)


def expected(stream: str, data: dict) -> dict:
    """The columns that follow from a frame."""
    kind = stream.split("@")[1]
    used = {"e", "s"}

    def take(name, read=lambda value: value):
        used.add(name)
        return read(data[name]) if name in data else None

    row = {"symbol": data["o"]["s"] if kind == "forceOrder" else data["s"]}
    if kind == "depth":
        row |= {
            "event_type": "depthUpdate",
            "event_time": take("E"),
            "transaction_time": take("T"),
            "first_update_id": take("U"),
            "final_update_id": take("u"),
            "prev_final_update_id": take("pu") if "pu" in data else data["U"] - 1,
            "is_snapshot": False,
            "bids": take("b", levels),
            "asks": take("a", levels),
        }
    elif kind == "aggTrade":
        row |= {
            "event_type": "aggTrade",
            "event_time": take("E"),
            "trade_time": take("T"),
            "agg_id": take("a"),
            "price": take("p", float),
            "qty": take("q", float),
            "first_trade_id": take("f"),
            "last_trade_id": take("l"),
            "is_buyer_maker": take("m"),
            "source": "ws",
        }
        used |= KNOWN_IGNORED
    elif kind == "trade":
        row |= {
            "event_type": "trade",
            "event_time": take("E"),
            "trade_time": take("T"),
            "trade_id": take("t"),
            "price": take("p", float),
            "qty": take("q", float),
            "is_buyer_maker": take("m"),
            "order_type": take("X"),
        }
        used |= KNOWN_IGNORED
    elif kind == "bookTicker":
        row |= {
            "event_type": "bookTicker",
            "event_time": take("E"),
            "transaction_time": take("T"),
            "update_id": take("u"),
            "bid_price": take("b", float),
            "bid_qty": take("B", float),
            "ask_price": take("a", float),
            "ask_qty": take("A", float),
        }
    elif kind == "markPrice":
        row |= {
            "event_type": "markPriceUpdate",
            "event_time": take("E"),
            "mark_price": take("p", float),
            "index_price": take("i", maybe),
            "settle_price": take("P", maybe),
            "funding_rate": take("r", maybe),
            "next_funding_time": take("T"),
        }
    elif kind.startswith("kline_"):
        bar = take("k")
        take("E")
        row |= {
            "event_type": "kline",
            "event_time": data["E"],
            "open_time": bar["t"],
            "close_time": bar["T"],
            "first_trade_id": bar["f"],
            "last_trade_id": bar["L"],
            "open": float(bar["o"]),
            "high": float(bar["h"]),
            "low": float(bar["l"]),
            "close": float(bar["c"]),
            "volume": float(bar["v"]),
            "trades": bar["n"],
            "is_closed": bar["x"],
            "quote_volume": float(bar["q"]),
            "taker_buy_volume": float(bar["V"]),
            "taker_buy_quote_volume": float(bar["Q"]),
        }
    else:
        raise SystemExit(f"{stream}: what is it?")
    rest = {name: value for name, value in data.items() if name not in used}
    row["extra"] = rest or None
    return row


def stored(form: str, output: Path, market: str, dataset: str) -> list[dict]:
    folder = output / dataset if market == "um" else output / market / dataset
    if form == "jsonl":
        rows = []
        for path in sorted(folder.glob("date=*/*.jsonl")):
            rows += [json.loads(line) for line in path.read_text().splitlines()]
        return rows
    files = []
    for path in folder.glob("date=*/*.parquet"):
        metadata = pq.read_metadata(path).metadata
        coverage = json.loads(metadata[b"tapemill.live"])
        files.append((coverage["sequence"], path, coverage))
    rows = []
    for _, path, coverage in sorted(files, key=lambda file: file[0]):
        table = pq.ParquetFile(path).read()
        assert sum(span[4] for span in coverage["coverage"].values()) == table.num_rows or dataset == "ledger", path
        rows += table.to_pylist()
    return rows


def received_ms(row: dict) -> int:
    time = row["received_time"]
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return round(time.astimezone(timezone.utc).timestamp() * 1000)


def main() -> None:
    form, output, market, *recording = sys.argv[1:]
    output = Path(output)
    wanted: dict[tuple[str, str], list[dict]] = defaultdict(list)
    count = 0
    for stream, data in frames([Path(path) for path in recording]):
        row = expected(stream, data)
        wanted[dataset_of(stream), row["symbol"]].append(row)
        count += 1
    datasets = {dataset for dataset, _ in wanted}
    for dataset in sorted(datasets):
        found: dict[str, list[dict]] = defaultdict(list)
        last_ns = 0
        for row in stored(form, output, market, dataset):
            assert row["received_ns"] // 1_000_000 == received_ms(row), row
            if row.get("is_snapshot"):
                continue
            assert row["received_ns"] >= last_ns, "the rows are not in the order they came"
            last_ns = row["received_ns"]
            found[row["symbol"]].append(row)
        for symbol in {symbol for of, symbol in wanted if of == dataset} | set(found):
            want, have = wanted[dataset, symbol], found[symbol]
            assert len(want) == len(have), (dataset, symbol, len(want), len(have))
            for place, (a, b) in enumerate(zip(want, have)):
                extra = json.loads(b["extra"]) if b["extra"] else None
                assert extra == a.pop("extra"), (dataset, symbol, place, extra)
                for name, value in a.items():
                    assert b[name] == value, (dataset, symbol, place, name, b[name], value)
    print(count)


main()

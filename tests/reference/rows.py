"""Datasets whose rows are kept as they are: typed, sorted by time, repeated rows once, and the quality of the file."""

from archive import Corrupt, bounds_us, exact, flag, integer, rows, time_us


def time(cell):
    return time_us(cell)[0]


def number(cell):
    exact(cell)
    return float(cell)


def number_or_none(cell):
    return number(cell) if cell else None


# Columns in the order of the file: what each is called in the table, and how its cells are read.
TRADES = [("id", integer), ("price", number), ("qty", number), ("quote_qty", number), ("time", time)]
AGG_TRADES = [
    ("agg_trade_id", integer),
    ("price", number),
    ("quantity", number),
    ("first_trade_id", integer),
    ("last_trade_id", integer),
    ("transact_time", time),
    ("is_buyer_maker", flag),
]
LIQUIDATIONS = [
    ("time", time),
    ("side", str),
    ("order_type", str),
    ("time_in_force", str),
    ("original_quantity", number),
    ("price", number),
    ("average_price", number),
    ("order_status", str),
    ("last_fill_quantity", number),
    ("accumulated_fill_quantity", number),
]
RATIOS = [
    "sum_open_interest",
    "sum_open_interest_value",
    "count_toptrader_long_short_ratio",
    "sum_toptrader_long_short_ratio",
    "count_long_short_ratio",
    "sum_taker_long_short_vol_ratio",
]
MATCH = [("is_best_match", flag)]
MAKER = [("is_buyer_maker", flag)]
CM_TRADES = [("base_qty" if name == "quote_qty" else name, read) for name, read in TRADES]
BOOK = ["best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty"]

DATASETS = {
    "aggTrades": {"um": AGG_TRADES, "cm": AGG_TRADES, "spot": AGG_TRADES + MATCH},
    "trades": {"um": TRADES + MAKER, "cm": CM_TRADES + MAKER, "spot": TRADES + MAKER + MATCH},
    "fundingRate": [("funding_time", time), ("funding_interval_hours", integer), ("funding_rate", number)],
    "metrics": [("create_time", time), (None, str), *((name, number_or_none) for name in RATIOS)],
    "bookDepth": [("timestamp", time), ("percentage", number), ("depth", number), ("notional", number)],
    "bookTicker": [
        ("update_id", integer),
        *((name, number) for name in BOOK),
        ("transaction_time", time),
        ("event_time", time),
    ],
    "liquidationSnapshot": LIQUIDATIONS,
}
TABLES = {
    "aggTrades": "aggtrades",
    "trades": "trades",
    "fundingRate": "funding_rate",
    "metrics": "metrics",
    "bookDepth": "book_depth",
    "bookTicker": "book_ticker",
    "liquidationSnapshot": "liquidation_snapshot",
}
TIMES = ["time", "transact_time", "transaction_time", "funding_time", "create_time", "timestamp"]
IDS = ["id", "agg_trade_id", "update_id"]


def layout(kind, market):
    columns = DATASETS[kind]
    return columns[market] if isinstance(columns, dict) else columns


def aggregate(path, market, symbol, period, kind):
    """Lines and quality of an archive."""
    columns = layout(kind, market)
    names = [name for name, _ in columns if name]
    (when,) = [name for name in TIMES if name in names]
    ids = [name for name in IDS if name in names]
    order = [when, *ids, *(name for name in names if name not in [when, *ids])]
    start, end = bounds_us(period)
    quality = dict.fromkeys(
        ["rows", "duplicates", "contradictions", "zero_quantity", "out_of_period", "unordered"], 0
    )
    counts_on = kind in ("trades", "aggTrades")
    latest, first_of, kept = None, {}, {}
    for cells in rows(path):
        if len(cells) != len(columns):
            raise Corrupt(f"expected {len(columns)} cells, found {cells}")
        read = {}
        for (name, of), cell in zip(columns, cells):
            if name is None:
                if cell != symbol:
                    raise Corrupt(f"{cell!r} is not {symbol}")
            else:
                read[name] = of(cell)
        line = {"symbol": symbol, **{name: read[name] for name in order}}
        quality["rows"] += 1
        place = read[ids[0]] if counts_on else (read[when], *(read[name] for name in ids))
        quality["unordered"] += latest is not None and place < latest
        latest = place if latest is None else max(latest, place)
        if counts_on:
            first = first_of.setdefault(read[ids[0]], line)
            if first is not line:
                quality["duplicates" if first == line else "contradictions"] += 1
                continue
        if not start <= read[when] < end:
            quality["out_of_period"] += 1
            continue
        key = tuple(line.values()) if kind in ("bookDepth", "liquidationSnapshot") else place
        if key in kept and not counts_on:
            quality["duplicates" if kept[key] == line else "contradictions"] += 1
            if ids:
                continue
        kept[key] = line
    lines = sorted(kept.values(), key=lambda line: tuple(line[name] for name in sorting(kind, when, ids, order)))
    seen = sorted(first_of)
    skipped = [after - before - 1 for before, after in zip(seen, seen[1:]) if after - before > 1]
    quality["id_gaps"] = len(skipped) if counts_on else None
    quality["missing_ids"] = sum(skipped) if counts_on else None
    quality["first_id"] = seen[0] if seen else None
    quality["last_id"] = seen[-1] if seen else None
    quality["first_ts"] = lines[0][when] if lines else None
    quality["last_ts"] = lines[-1][when] if lines else None
    quality["missing_minutes"] = None
    return lines, quality


def sorting(kind, when, ids, order):
    return order if kind in ("bookDepth", "liquidationSnapshot") else [when, *ids]

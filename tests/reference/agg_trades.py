"""aggTrades: rows to minutes, minutes to hours, and the quality of the file."""

import math
from fractions import Fraction

from archive import HOUR_US, MINUTE_US, Corrupt, bounds_us, exact, flag, integer, rows, time_us

WHALE = 50_000
RETAIL = 1_000

SUMS = [
    "trade_count",
    "base_volume",
    "quote_volume",
    "taker_buy_qty",
    "taker_sell_qty",
    "taker_buy_quote",
    "taker_sell_quote",
    "taker_buy_quote_sq",
    "taker_sell_quote_sq",
    "taker_buy_trade_count",
    "taker_sell_trade_count",
    "whale_buy_quote",
    "whale_sell_quote",
    "retail_buy_quote",
    "retail_sell_quote",
]
COUNTS = {"trade_count", "taker_buy_trade_count", "taker_sell_trade_count"}
# Prices and quantities have at most 12 decimals: whole numbers of this are exact, and far faster than fractions.
UNIT = 10**12


def aggregate(path, market, symbol, period):
    """Minutes, hours and quality of an archive, as columns; sums are exact and rounded once."""
    start, end = bounds_us(period)
    seen = {}
    minutes = {}
    quality = dict.fromkeys(
        ["rows", "duplicates", "contradictions", "zero_quantity", "out_of_period", "unordered"], 0
    )
    highest = -1
    first_ts = last_ts = None
    for cells in rows(path):
        trade = parse(cells, market)
        trade_id, price, quantity, first, last, time, sold = trade
        quality["rows"] += 1
        quality["unordered"] += trade_id < highest
        highest = max(highest, trade_id)
        if trade_id in seen:
            quality["duplicates" if seen[trade_id] == trade else "contradictions"] += 1
            continue
        seen[trade_id] = trade
        if quantity == 0:
            quality["zero_quantity"] += 1
            continue
        if not start <= time < end:
            quality["out_of_period"] += 1
            continue
        first_ts = time if first_ts is None else min(first_ts, time)
        last_ts = time if last_ts is None else max(last_ts, time)
        minute = minutes.setdefault(time // MINUTE_US * MINUTE_US, Minute())
        base, quote = amounts(market, symbol, price, quantity)
        minute.add(trade_id, price, base, quote, last - first + 1, time, sold)

    ids = sorted(seen)
    skipped = [after - before - 1 for before, after in zip(ids, ids[1:]) if after - before > 1]
    quality["id_gaps"] = len(skipped)
    quality["missing_ids"] = sum(skipped)
    quality["first_id"] = ids[0] if ids else None
    quality["last_id"] = ids[-1] if ids else None
    quality["first_ts"] = first_ts
    quality["last_ts"] = last_ts
    quality["missing_minutes"] = (end - start) // MINUTE_US - len(minutes)
    lines = [{"symbol": symbol, "minute": at, **minutes[at].line()} for at in sorted(minutes)]
    return lines, hours(lines), quality


def parse(cells, market):
    columns = 8 if market == "spot" else 7
    if len(cells) != columns:
        raise Corrupt(f"expected {columns} cells, found {cells}")
    if market == "spot":
        flag(cells[7])
    price, quantity = scaled(cells[1]), scaled(cells[2])
    first, last = integer(cells[3]), integer(cells[4])
    if price <= 0 or quantity < 0 or last < first:
        raise Corrupt(f"not a trade: {cells}")
    return integer(cells[0]), price, quantity, first, last, time_us(cells[5])[0], flag(cells[6])


def scaled(cell):
    """The number of a cell in units of 10^-12."""
    value = exact(cell) * UNIT
    if value.denominator != 1:
        raise Corrupt(f"{cell!r} has more than 12 decimals")
    return value.numerator


def amounts(market, symbol, price, quantity):
    """Base in units of 10^-12 and quote in units of 10^-24."""
    if market != "cm":
        return quantity, price * quantity
    size = 100 if symbol.split("_")[0] == "BTCUSD" else 10
    # Fraction's round() is half to even.
    base = round(Fraction(quantity * size * 10**8, price)) * 10**4
    return base, quantity * size * UNIT


class Minute:
    """One minute under way; the sums are whole numbers of their unit."""

    def __init__(self):
        self.sums = dict.fromkeys(SUMS, 0)
        self.raw = 0
        self.first = self.last = None
        self.high = self.low = None

    def add(self, trade_id, price, base, quote, trades, time, sold):
        side = "sell" if sold else "buy"
        self.sums["trade_count"] += 1
        self.sums["base_volume"] += base
        self.sums["quote_volume"] += quote
        self.sums[f"taker_{side}_qty"] += base
        self.sums[f"taker_{side}_quote"] += quote
        self.sums[f"taker_{side}_quote_sq"] += quote * quote
        self.sums[f"taker_{side}_trade_count"] += 1
        if quote >= WHALE * UNIT * UNIT:
            self.sums[f"whale_{side}_quote"] += quote
        if quote <= RETAIL * UNIT * UNIT:
            self.sums[f"retail_{side}_quote"] += quote
        self.raw += trades
        moment = (time, trade_id, price)
        self.first = moment if self.first is None else min(self.first, moment)
        self.last = moment if self.last is None else max(self.last, moment)
        self.high = price if self.high is None else max(self.high, price)
        self.low = price if self.low is None else min(self.low, price)

    def line(self):
        return {
            **{name: rounded(name, total) for name, total in self.sums.items()},
            "first_ts": self.first[0],
            "price_first": self.first[2] / UNIT,
            "last_ts": self.last[0],
            "price_last": self.last[2] / UNIT,
            "price_high": self.high / UNIT,
            "price_low": self.low / UNIT,
            "raw_trade_count": self.raw,
        }


def rounded(name, total):
    """The nearest float64. Dividing whole numbers rounds once in Python, ties to even."""
    if name in COUNTS:
        return total
    if name.endswith("_sq"):
        return total / UNIT**4
    if name.endswith(("_qty", "base_volume")):
        return total / UNIT
    return total / UNIT**2


def hours(minutes):
    """Hourly factors: a function of the minutes alone."""
    grouped = {}
    for line in minutes:
        grouped.setdefault(line["minute"] // HOUR_US * HOUR_US, []).append(line)
    return [hour(start, lines) for start, lines in sorted(grouped.items())]


def hour(start, lines):
    out = {"symbol": lines[0]["symbol"], "minute": start}
    for name in SUMS:
        values = [line[name] for line in lines]
        out[name] = sum(values) if name in COUNTS else math.fsum(values)
    out["price_open"] = lines[0]["price_first"]
    out["price_close"] = lines[-1]["price_last"]
    out["price_high"] = max(line["price_high"] for line in lines)
    out["price_low"] = min(line["price_low"] for line in lines)
    buy, sell = out["taker_buy_quote"], out["taker_sell_quote"]
    out["cvd_qty"] = out["taker_buy_qty"] - out["taker_sell_qty"]
    out["cvd_quote"] = buy - sell
    out["vwap"] = ratio(out["quote_volume"], out["base_volume"])
    out["whale_cvd_quote"] = out["whale_buy_quote"] - out["whale_sell_quote"]
    out["retail_cvd_quote"] = out["retail_buy_quote"] - out["retail_sell_quote"]
    out["avg_trade_quote"] = ratio(out["quote_volume"], out["trade_count"])
    out["avg_trade_base"] = ratio(out["base_volume"], out["trade_count"])
    out["taker_buy_avg_trade_quote"] = ratio(buy, out["taker_buy_trade_count"])
    out["taker_sell_avg_trade_quote"] = ratio(sell, out["taker_sell_trade_count"])
    out["taker_buy_hhi_quote"] = ratio(out["taker_buy_quote_sq"], buy * buy)
    out["taker_sell_hhi_quote"] = ratio(out["taker_sell_quote_sq"], sell * sell)
    out["imbalance_ratio_quote"] = ratio(abs(out["cvd_quote"]), buy + sell)
    weighted = (
        ((line["minute"] - start) // MINUTE_US + 1) * (line["taker_buy_quote"] - line["taker_sell_quote"])
        for line in lines
    )
    out["tw_cvd_quote_norm"] = math.fsum(weighted) / 1830
    out["price_change"] = out["price_close"] - out["price_open"]
    out["cvd_per_abs_price_change"] = ratio(out["cvd_quote"], abs(out["price_change"]))
    return out


def ratio(numerator, denominator):
    return None if denominator == 0 else numerator / denominator

"""Klines: rows to bars, one-minute bars to hours, and the quality of the file."""

import math

from archive import DAY_US, DECIMAL, HOUR_US, MINUTE_US, Corrupt, bounds_us, first_of_month, integer, rows, time_us

LENGTHS = {"s": 1_000_000, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US, "w": 7 * DAY_US}
PRICES = ["open", "high", "low", "close"]


def aggregate(path, market, symbol, period, interval):
    """Bars, hours (of one-minute bars, else None) and quality of an archive."""
    start, end = bounds_us(period)
    quote, buy_quote = (
        ("base_volume", "taker_buy_base_volume")
        if market == "cm"
        else ("quote_volume", "taker_buy_quote_volume")
    )
    bars = {}
    ticks = {}
    quality = dict.fromkeys(
        ["rows", "duplicates", "contradictions", "zero_quantity", "out_of_period", "unordered"], 0
    )
    latest = None
    for cells in rows(path):
        if len(cells) != 12:
            raise Corrupt(f"expected 12 cells, found {cells}")
        for cell in cells[1:6] + cells[7:8] + cells[9:12]:
            if not DECIMAL.match(cell):
                raise Corrupt(f"{cell!r} is not a number")
        open_time, tick = time_us(cells[0])
        bar = {
            "symbol": symbol,
            "open_time": open_time,
            **{name: float(cells[1 + at]) for at, name in enumerate(PRICES)},
            "volume": float(cells[5]),
            "close_time": time_us(cells[6])[0],
            quote: float(cells[7]),
            "trades": integer(cells[8]),
            "taker_buy_volume": float(cells[9]),
            buy_quote: float(cells[10]),
        }
        quality["rows"] += 1
        quality["unordered"] += latest is not None and open_time < latest
        latest = open_time if latest is None else max(latest, open_time)
        if open_time in bars:
            quality["duplicates" if bars[open_time] == bar else "contradictions"] += 1
        elif not start <= open_time < end:
            quality["out_of_period"] += 1
            continue
        bars[open_time] = bar
        ticks[open_time] = tick
    times = sorted(bars)
    lines = [bars[time] for time in times]
    quality["id_gaps"] = quality["missing_ids"] = quality["first_id"] = quality["last_id"] = None
    quality["first_ts"] = times[0] if times else None
    quality["last_ts"] = times[-1] if times else None
    on_grid = sum(is_on_grid(time, interval) for time in times)
    quality["off_grid"] = len(times) - on_grid
    length = length_us(interval)
    if length and length <= DAY_US:
        quality["missing_bars"] = (end - start) // length - on_grid
    minutes = {time // MINUTE_US for time in times}
    quality["missing_minutes"] = (end - start) // MINUTE_US - len(minutes) if interval == "1m" else None
    folded = hours(lines, ticks, quote, buy_quote) if interval == "1m" else None
    return lines, folded, quality


def length_us(interval):
    """The length of a bar; None for the calendar month."""
    return None if interval in ("1mo", "1M") else int(interval[:-1]) * LENGTHS[interval[-1]]


def is_on_grid(time, interval):
    if interval in ("1mo", "1M"):
        return time == first_of_month(time)
    if interval == "3d":  # no origin holds over all symbols
        return time % DAY_US == 0
    origin = -3 * DAY_US if interval == "1w" else 0
    return (time - origin) % length_us(interval) == 0


def hours(lines, ticks, quote, buy_quote):
    grouped = {}
    for line in lines:
        grouped.setdefault(line["open_time"] // HOUR_US * HOUR_US, []).append(line)
    return [
        {
            "symbol": bars[0]["symbol"],
            "open_time": start,
            "open": bars[0]["open"],
            "high": max(bar["high"] for bar in bars),
            "low": min(bar["low"] for bar in bars),
            "close": bars[-1]["close"],
            "volume": math.fsum(bar["volume"] for bar in bars),
            "close_time": start + HOUR_US - ticks[bars[-1]["open_time"]],
            quote: math.fsum(bar[quote] for bar in bars),
            "trades": sum(bar["trades"] for bar in bars),
            "taker_buy_volume": math.fsum(bar["taker_buy_volume"] for bar in bars),
            buy_quote: math.fsum(bar[buy_quote] for bar in bars),
        }
        for start, bars in sorted(grouped.items())
    ]

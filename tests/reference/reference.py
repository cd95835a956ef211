"""An independent, slow reference of what tapemill makes of an archive. Python 3.11, standard library only.

    reference.py aggtrades ZIP --market um --symbol BTCUSDT --period 2024-01 --out OUT.json
    reference.py klines ZIP --market um --symbol BTCUSDT --period 2024-01 --interval 1m --out OUT.json

OUT.json holds `minutes` and `hours` (or `klines` and `hours`) as columns, and `quality`. Floats are `float.hex()`
strings, times microseconds, absent values null. A corrupt archive has only its quality, and the exit code is 1.
"""

import argparse
import json
import sys

import agg_trades
import archive
import klines


def columns(lines):
    """Lines to columns, floats as text that keeps every bit."""
    if not lines:
        return {}
    return {name: [cell(line[name]) for line in lines] for name in lines[0]}


def cell(value):
    return value.hex() if isinstance(value, float) else value


def work(args):
    source = (args.zip, args.market, args.symbol, args.period)
    if args.kind == "aggtrades":
        name = "minutes"
        lines, hours, quality = agg_trades.aggregate(*source)
    else:
        name = "klines"
        lines, hours, quality = klines.aggregate(*source, args.interval)
    out = {name: columns(lines), "quality": {**quality, "verdict": archive.verdict(args.zip)}}
    if hours is not None:
        out["hours"] = columns(hours)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["aggtrades", "klines"])
    parser.add_argument("zip")
    parser.add_argument("--market", choices=["um", "cm", "spot"], default="um")
    parser.add_argument("--symbol", required=True)
    parser.add_argument("--period", required=True, help="2024-01 or 2024-01-17")
    parser.add_argument("--interval", default="1m", help="of klines")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    try:
        out = work(args)
        code = 0
    except archive.Corrupt as error:
        print(f"{args.zip}: corrupt: {error}", file=sys.stderr)
        out = {"quality": {"verdict": "corrupt"}}
        code = 1
    with open(args.out, "w", encoding="ascii") as file:
        json.dump(out, file)
        file.write("\n")
    return code


if __name__ == "__main__":
    sys.exit(main())

"""Judges a whole output folder: every table against the slow reference, bit for bit.

    check.py ARCHIVES OUTPUT [--market um] [--skip NAME.zip]...

ARCHIVES holds ZIPs in the exchange's paths, or in any tree; then --market says whose they are. Where OUTPUT has trades as
they are, all of aggTrades archives have to be there.
Of each archive every table must be there, with the values, quality, sources and content that follow from it, and no
other table may be. Prints one JSON object per archive: key, quality, and the digest of each table. Tells differences
on stderr and exits 1 on any. Needs pyarrow.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

import agg_trades
import archive
import compare
import klines
import reference
import rows
from content import content, footer_of

KINDS = "|".join(rows.DATASETS)
NAME = re.compile(rf"(?P<symbol>[^-]+)-(?P<kind>{KINDS}|\d+(?:s|m|h|d|w|mo))-(?P<period>\d{{4}}-\d\d(-\d\d)?)\.zip")
BARS = {
    "klines": "klines",
    "markPriceKlines": "mark_price_klines",
    "indexPriceKlines": "index_price_klines",
    "premiumIndexKlines": "premium_index_klines",
}
FOLDERS = {"um": "data/futures/um", "cm": "data/futures/cm", "spot": "data/spot"}
FOOTER = {"codec", "settings", "sources", "quality", "content"}


class Archive:
    """One ZIP: what its name says."""

    def __init__(self, zip_path, name, market):
        self.zip = zip_path
        self.symbol, self.kind, self.period = name["symbol"], name["kind"], name["period"]
        named = [market for market, folder in FOLDERS.items() if f"/{folder}/" in zip_path.as_posix()]
        self.market = named[0] if named else market
        self.bars = next((part for part in zip_path.parts if part in BARS), "klines")

    def key(self):
        cadence = "daily" if len(self.period) == 10 else "monthly"
        inner = f"{self.kind}/{self.symbol}"
        if self.kind not in rows.DATASETS:
            inner = f"{self.bars}/{self.symbol}/{self.kind}"
        return f"{FOLDERS[self.market]}/{cadence}/{inner}/{self.zip.name}"

    def work(self, output):
        """Datasets by name with the part of the reference they are compared with, and the reference."""
        source = (self.zip, self.market, self.symbol, self.period)
        if self.kind == "aggTrades":
            lines, hours, quality = agg_trades.aggregate(*source)
            tables = {"aggtrades_1m": lines, "factors_1h": hours}
            if (output / "aggtrades").exists():
                tables["aggtrades"], _ = rows.aggregate(*source, self.kind)
        elif self.kind in rows.DATASETS:
            lines, quality = rows.aggregate(*source, self.kind)
            tables = {rows.TABLES[self.kind]: lines}
        else:
            lines, hours, quality = klines.aggregate(*source, self.kind)
            tables = {f"{BARS[self.bars]}_{self.kind}": lines}
            if hours is not None and self.bars == "klines":
                tables["klines_1h_from_1m"] = hours
        return tables, {**quality, "verdict": archive.verdict(self.zip)}


def place(output, dataset, wanted):
    """Where a table lies, in the one layout or the other."""
    plain = output / dataset / wanted.market / wanted.symbol / f"{wanted.period}.parquet"
    named = f"market={wanted.market}", f"symbol={wanted.symbol}", f"period={wanted.period}.parquet"
    hive = output.joinpath(dataset, *named)
    return hive if hive.exists() else plain


def check(wanted, output):
    """What was made of one archive, and how it differs from what should have been."""
    tables, quality = wanted.work(output)
    source = {
        "key": wanted.key(),
        "bytes": wanted.zip.stat().st_size,
        "sha256": hashlib.sha256(wanted.zip.read_bytes()).hexdigest(),
        "rows": quality["rows"],
    }
    told = {"key": wanted.key(), "quality": quality, "tables": {}}
    differences = []
    for dataset, lines in tables.items():
        path = place(output, dataset, wanted)
        if not path.exists():
            differences.append(f"{path}: it is not there")
            continue
        expected = {"table": reference.columns(lines), "quality": quality}
        found = list(compare.differences(str(path), expected, "table"))
        footer = footer_of(path)
        told["tables"][str(path.relative_to(output))] = footer.get("content")
        if footer.keys() != FOOTER:
            found.append(f"footer keys: {sorted(footer)}")
        elif json.loads(footer["sources"]) != [source]:
            found.append(f"sources: found {footer['sources']}, expected {[source]}")
        elif footer["content"] != content(path):
            found.append(f"content: the footer says {footer['content']}, the rows {content(path)}")
        differences += [f"{path}: {line}" for line in found]
    return told, differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--market", choices=list(FOLDERS), default="um")
    parser.add_argument("--skip", action="append", default=[])
    args = parser.parse_args()
    differences, known = [], set()
    for zip_path in sorted(args.archives.rglob("*.zip")):
        name = NAME.fullmatch(zip_path.name)
        if not name or zip_path.name in args.skip:
            continue
        told, found = check(Archive(zip_path, name, args.market), args.output)
        print(json.dumps(told))
        differences += found
        known |= told["tables"].keys()
    made = {str(path.relative_to(args.output)) for path in args.output.rglob("*.parquet")}
    # The catalogue tells of the others; it is not made from one archive.
    made = {path for path in made if not path.startswith("_")}
    differences += [f"{path}: no archive is behind it" for path in sorted(made - known)]
    for line in differences[:40]:
        print(line, file=sys.stderr)
    if differences:
        print(f"{len(differences)} differences", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

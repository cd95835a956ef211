"""Reads one archive: its single CSV, and what its cells mean.

Slow and plain on purpose, and apart from the Rust code: both must come to the same result on their own.
"""

import csv
import hashlib
import io
import re
import zipfile
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d{1,2})?\Z", re.ASCII)
INTEGER = re.compile(r"\d{1,19}\Z", re.ASCII)


class Corrupt(Exception):
    """The archive is not a readable ZIP, or a row does not parse."""


def rows(path):
    """Yields the data rows as lists of cells, without header and without the blank line some files end with."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1 or "/" in names[0] or "\\" in names[0]:
                raise Corrupt(f"expected one CSV without a path, found {names}")
            with archive.open(names[0]) as raw:
                lines = csv.reader(io.TextIOWrapper(raw, encoding="ascii", newline=""))
                for number, cells in enumerate(lines):
                    is_header = number == 0 and cells and not is_number_or_time(cells[0])
                    if cells and not is_header:
                        yield cells
    except (zipfile.BadZipFile, UnicodeDecodeError, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise Corrupt(str(error)) from error
    except Exception as error:  # zlib.error has no public base class
        if type(error).__name__ != "error":
            raise
        raise Corrupt(str(error)) from error


def is_number_or_time(cell):
    return bool(DECIMAL.match(cell)) or cell[:4].isdigit()


def exact(cell):
    """The decimal number of a cell, exactly."""
    if not DECIMAL.match(cell):
        raise Corrupt(f"{cell!r} is not a number")
    return Fraction(cell)


def integer(cell):
    if not INTEGER.match(cell):
        raise Corrupt(f"{cell!r} is not a whole number")
    return int(cell)


def flag(cell):
    try:
        return {"true": True, "false": False}[cell.lower()]
    except KeyError:
        raise Corrupt(f"{cell!r} is not a flag") from None


def time_us(cell):
    """The time of a cell in microseconds, and the length of its tick."""
    if INTEGER.match(cell):
        if len(cell) == 13:
            return int(cell) * 1000, 1000
        if len(cell) == 16:
            return int(cell), 1
        raise Corrupt(f"{cell!r} is neither milliseconds nor microseconds")
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise Corrupt(f"{cell!r} is not a time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - EPOCH) // timedelta(microseconds=1), 1000


def first_of_month(time):
    """The first microsecond of the month a time lies in."""
    moment = EPOCH + timedelta(microseconds=time)
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first - EPOCH) // timedelta(microseconds=1)


def bounds_us(period):
    """The first microsecond of a month or day, and the first after it."""
    parts = [int(part) for part in period.split("-")]
    if len(parts) == 3:
        first = datetime(*parts, tzinfo=timezone.utc)
        after = first + timedelta(days=1)
    else:
        year, month = parts
        first = datetime(year, month, 1, tzinfo=timezone.utc)
        after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=timezone.utc)
    microsecond = timedelta(microseconds=1)
    return (first - EPOCH) // microsecond, (after - EPOCH) // microsecond


def verdict(path):
    """`ok`, `no_sidecar` or `stale_sidecar`: what the .CHECKSUM beside the archive says of it."""
    sidecar = Path(f"{path}.CHECKSUM")
    if not sidecar.exists():
        return "no_sidecar"
    told = sidecar.read_text().split()[0].lower()
    found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return "ok" if told == found else "stale_sidecar"

#!/usr/bin/env python3
"""A mirror on loopback that costs next to no CPU: files by sendfile, the bucket's listing, a limited pace.

    mirror.py ROOT [--bytes-per-second N]
    mirror.py --symbols 500 --months 84         # a listing of archives that are not there: for planning

The first line on stdout is its URL. GET /_told answers what was asked since the last time, as JSON.
"""

import argparse
import bisect
import hashlib
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 1000
SLICE = 256 << 10
# How far a server that was kept from running may catch up: what the buffers of a network path would hold.
CATCH_UP_SECONDS = 0.05
INTERVALS = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d"]


class Pace:
    """Lets so many bytes a second pass, of all connections together."""

    def __init__(self, bytes_per_second):
        self.rate = bytes_per_second
        self.lock = threading.Lock()
        self.next = None

    def wait(self, size):
        if not self.rate:
            return
        with self.lock:
            now = time.monotonic()
            begin = now if self.next is None else max(self.next, now - CATCH_UP_SECONDS)
            self.next = begin + size / self.rate
            pause = self.next - now
        if pause > 0:
            time.sleep(pause)


class Told:
    """What was asked for, and from when to when archives were on their way."""

    def __init__(self):
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        self.counts = {"archives": 0, "sidecars": 0, "listings": 0, "others": 0, "connections": 0, "bytes": 0}
        self.first, self.last = None, None

    def count(self, what, amount=1):
        with self.lock:
            self.counts[what] += amount
            if what in ("archives", "bytes"):
                self.last = time.monotonic()
                self.first = self.first or self.last

    def take(self):
        with self.lock:
            seconds = self.last - self.first if self.first else 0.0
            told = {**self.counts, "seconds": seconds}
            self.clear()
            return told


class Served:
    """The keys below a root, or those of an archive that is only listed, in byte order."""

    def __init__(self, root=None, symbols=0, months=0):
        self.root = root
        if root:
            paths = [path for path in root.rglob("*") if path.is_file()]
            found = {str(path.relative_to(root)): path.stat().st_size for path in paths}
        else:
            found = dict(listed(symbols, months))
        self.keys = sorted(found)
        self.sizes = found

    def page(self, prefix, marker, delimiter):
        """One page of the listing, as the bucket words it."""
        at = bisect.bisect_right(self.keys, marker) if marker > prefix else bisect.bisect_left(self.keys, prefix)
        entries, last, count, more = [], "", 0, False
        while at < len(self.keys) and self.keys[at].startswith(prefix):
            if count == PAGE:
                more = True
                break
            key, count = self.keys[at], count + 1
            folder = key.find("/", len(prefix)) if delimiter else -1
            if folder >= 0:
                last = key[: folder + 1]
                entries.append(f"<CommonPrefixes><Prefix>{escape(last)}</Prefix></CommonPrefixes>")
                # Past everything in the folder: no name has a character above this one.
                at = bisect.bisect_left(self.keys, last + "\U0010ffff")
            else:
                last, at = key, at + 1
                entries.append(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
                    f"<ETag>&quot;{tag(key)}&quot;</ETag><Size>{self.sizes[key]}</Size></Contents>"
                )
        following = f"<NextMarker>{escape(last)}</NextMarker>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>mirror</Name><Prefix>{escape(prefix)}</Prefix><MaxKeys>{PAGE}</MaxKeys>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{following}{''.join(entries)}</ListBucketResult>"
        ).encode()


def listed(symbols, months):
    """Keys and sizes of ten datasets of so many symbols and months, the last of them 2026-10."""
    periods = [f"{number // 12}-{number % 12 + 1:02}" for number in range(2026 * 12 + 10 - months, 2026 * 12 + 10)]
    for number in range(symbols):
        symbol = f"COIN{number:04}USDT"
        for dataset, interval in [("aggTrades", ""), *(("klines", interval) for interval in INTERVALS)]:
            folder = f"data/futures/um/monthly/{dataset}/{symbol}/{interval}{'/' if interval else ''}"
            for period in periods:
                key = f"{folder}{symbol}-{interval or dataset}-{period}.zip"
                yield key, 1_000_000
                yield f"{key}.CHECKSUM", 100


def tag(key):
    return hashlib.md5(key.encode()).hexdigest()


def serve(connection, served, pace, told):
    """Answers what one connection asks, until it ends."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pending = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in pending:
                received = connection.recv(65536)
                if not received:
                    return
                pending += received
            head, _, pending = pending.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            pairs = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            answer(connection, method, urlsplit(target), headers, served, pace, told)


def answer(connection, method, target, headers, served, pace, told):
    key = unquote(target.path[1:])
    if key == "_told":
        return reply(connection, 200, json.dumps(told.take()).encode())
    if not key:
        told.count("listings")
        asked = {name: values[0] for name, values in parse_qs(target.query).items()}
        return reply(connection, 200, served.page(*(asked.get(name, "") for name in ("prefix", "marker", "delimiter"))))
    told.count("archives" if key.endswith(".zip") else "sidecars" if key.endswith(".CHECKSUM") else "others")
    if key not in served.sizes or not served.root:
        return reply(connection, 404, b"not there")
    size, begin = served.sizes[key], 0
    if headers.get("range", "").startswith("bytes="):
        begin = int(headers["range"][6:].split("-")[0])
    status = f"206 Partial Content\r\nContent-Range: bytes {begin}-{size - 1}/{size}" if begin else "200 OK"
    connection.sendall(
        f"HTTP/1.1 {status}\r\nContent-Length: {size - begin}\r\nETag: \"{tag(key)}\"\r\nAccept-Ranges: bytes\r\n"
        "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n".encode()
    )
    if method == "HEAD":
        return None
    with (served.root / key).open("rb") as file:
        while begin < size:
            length = min(SLICE, size - begin)
            pace.wait(length)
            end = begin + length
            while begin < end:
                begin += os.sendfile(connection.fileno(), file.fileno(), begin, end - begin)
            if key.endswith(".zip"):
                told.count("bytes", length)
    return None


def reply(connection, status, body):
    connection.sendall(f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def quietly(connection, *rest):
    """A client may leave at any time."""
    try:
        serve(connection, *rest)
    except (ConnectionError, OSError):
        pass


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("root", nargs="?", type=Path)
    arguments.add_argument("--bytes-per-second", type=int, default=0)
    arguments.add_argument("--symbols", type=int, default=0)
    arguments.add_argument("--months", type=int, default=0)
    options = arguments.parse_args()
    served = Served(options.root, options.symbols, options.months)
    pace, told = Pace(options.bytes_per_second), Told()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        connection, _ = listener.accept()
        told.count("connections")
        threading.Thread(target=quietly, args=(connection, served, pace, told), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())

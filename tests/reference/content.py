"""The digest of a table, worked out again from its rows: what a footer's `tapemill.content` must be.

    content.py PARQUET...

Follows the recipe in shared/lake/src/content.rs. Needs pyarrow and numpy. Exits 1 when a footer says otherwise.
"""

import hashlib
import struct
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

KINDS = {
    pa.float64(): "float64",
    pa.bool_(): "bool",
    pa.string(): "utf8",
    pa.timestamp("us", "UTC"): "timestamp_us_utc",
}


def content(path):
    table = pq.read_table(path, partitioning=None)
    columns = [digest(field, column) for field, column in zip(table.schema, table.columns)]
    return hashlib.sha256(b"".join(columns)).hexdigest()


def digest(field, column):
    kind = KINDS.get(getattr(field.type, "value_type", field.type), "int64")
    out = hashlib.sha256(text(field.name) + text(kind))
    if kind == "utf8":
        for value in column.to_pylist():
            out.update(bytes([value is not None]) + text(value or ""))
        return out.digest()
    is_number = kind == "float64"
    rows = np.zeros(len(column), [("valid", "u1"), ("value", "<f8" if is_number else "<i8")])
    rows["valid"] = column.is_valid().to_numpy()
    plain = column if is_number else column.cast(pa.int64())
    rows["value"] = plain.fill_null(0).to_numpy()
    out.update(rows.tobytes())
    return out.digest()


def text(value):
    encoded = value.encode()
    return struct.pack("<I", len(encoded)) + encoded


def footer_of(path):
    """What the footer says under our keys, without their prefix."""
    entries = pq.read_metadata(path).metadata or {}
    return {
        key.decode().removeprefix("tapemill."): value.decode()
        for key, value in entries.items()
        if key.startswith(b"tapemill.")
    }


def main():
    wrong = [path for path in sys.argv[1:] if content(path) != footer_of(path).get("content")]
    for path in wrong:
        print(f"{path}: the rows are not those the footer names")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The archives that are measured: made once, kept in a folder outside the tree, in the exchange's own paths."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from environment import BENCH, SHARED_PEERS, say

OWN_GENERATOR = BENCH / "generate.py"
# Raised when the generator's output changes: archives of another number are not used again.
EDITION = 1


@dataclass(frozen=True)
class Archive:
    """One ZIP below the root of a mirror."""

    root: Path
    path: Path
    symbol: str
    rows: int

    def size(self):
        return self.path.stat().st_size


class Archives:
    """Makes what is asked for, unless it is there; `python` has numpy and polars."""

    def __init__(self, python, folder=None):
        self.python = python
        self.folder = Path(folder or Path(tempfile.gettempdir()) / "tapemill-bench") / f"archives-{EDITION}"

    def trades(self, name, rows, seed, symbol="BTCUSDT", month="2023-12", flags=(), market="um"):
        """A month of aggTrades in the mirror `name`; by the shared generator where it is there and knows the flags."""
        own = not SHARED_PEERS.exists() or set(flags) - {"--no-header"}
        generator = OWN_GENERATOR if own else SHARED_PEERS / "generate_aggtrades.py"
        words = ["--rows", rows, "--seed", seed, "--symbol", symbol, "--month", month, *flags]
        return self.made(name, market, "aggTrades", "", symbol, month, rows, [generator, *words])

    def interleaved(self, name, sorted_archive):
        """The same rows as another archive, in two streams that take turns."""
        words = [OWN_GENERATOR, "--interleave", sorted_archive.path]
        month = sorted_archive.path.stem.split("aggTrades-")[1]
        return self.made(name, "um", "aggTrades", "", sorted_archive.symbol, month, sorted_archive.rows, words)

    def klines(self, name, symbol, month, seed, interval="1m"):
        """A month of klines."""
        words = [OWN_GENERATOR, "--klines", interval, "--seed", seed, "--symbol", symbol, "--month", month]
        return self.made(name, "um", "klines", interval, symbol, month, 0, words)

    def made(self, name, market, dataset, interval, symbol, month, rows, command):
        root = self.folder / name
        length = "daily" if month.count("-") == 2 else "monthly"
        kind = "spot" if market == "spot" else f"futures/{market}"
        place = root / "data" / kind / length / dataset / symbol / interval
        path = place / f"{symbol}-{interval or dataset}-{month}.zip"
        sidecar = path.with_name(f"{path.name}.CHECKSUM")
        if not sidecar.exists():
            say(f"making {path.relative_to(self.folder)}")
            place.mkdir(parents=True, exist_ok=True)
            words = [str(word) for word in [self.python, *command, "--out", place]]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            digest = hashlib.sha256()
            with path.open("rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    digest.update(block)
            part = sidecar.with_name(f"{sidecar.name}.part")
            part.write_text(f"{digest.hexdigest()}  {path.name}\n")
            part.rename(sidecar)
        return Archive(root, path, symbol, rows)

    def together(self, name, archives):
        """A mirror that holds several archives of others, as hard links."""
        root = self.folder / name
        shutil.rmtree(root, ignore_errors=True)
        for archive in archives:
            for path in [archive.path, archive.path.with_name(f"{archive.path.name}.CHECKSUM")]:
                place = root / path.relative_to(archive.root)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, place)
        return root

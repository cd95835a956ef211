"""The `tapemill` command."""

import sys

from . import _core


def main() -> int:
    return _core.main(["tapemill", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())

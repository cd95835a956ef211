"""Runs one command and tells what it cost: launch.py COSTS.json COMMAND…

A process of its own, since the kernel counts what the process that starts a command holds into the command's peak:
this one holds so little (9 MiB) that every peak above is the command's own.
"""

import json
import os
import sys
import time


def main():
    costs, *command = sys.argv[1:]
    began = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - began
    # macOS counts bytes, Linux KiB.
    peak = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    told = {"cpu": usage.ru_utime + usage.ru_stime, "user": usage.ru_utime, "wall": wall, "peak_mib": peak}
    with open(costs, "w") as file:
        json.dump(told, file)
    sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    main()

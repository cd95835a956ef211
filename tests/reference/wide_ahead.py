"""Compares two wide exports whose archives are the same until a moment.

    wide_ahead.py ONE OTHER MARKET MILLISECONDS

The moment lies on a whole minute. Rows that were usable by then have to be the same in every column; what a row knows of
funding, open interest and ratios the same in every row that begins before. Prints how many rows were compared, and how many
differ later, by column; an assertion tells what is wrong.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

ONE, OTHER, MARKET = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
MOMENT = pd.Timestamp(int(sys.argv[4]), unit="ms", tz="UTC")
KNOWN_AT_THE_START = """funding_time funding_interval_hours funding_rate funding_annualized metrics_time sum_open_interest
    sum_open_interest_value count_toptrader_long_short_ratio sum_toptrader_long_short_ratio count_long_short_ratio
    sum_taker_long_short_vol_ratio""".split()


def rows(folder, name):
    return pq.read_table(folder / "wide_1h" / MARKET / name).to_pandas().set_index("open_time", verify_integrity=True)


compared, later = 0, Counter()
for file in sorted((ONE / "wide_1h" / MARKET).glob("*.parquet")):
    one, other = rows(ONE, file.name), rows(OTHER, file.name)
    usable = [side[side["available_at"] <= MOMENT] for side in (one, other)]
    pd.testing.assert_frame_equal(*usable, check_exact=True)
    # A bar of the hour that was under way may lack in one of them.
    begun = [side[side.index < MOMENT][KNOWN_AT_THE_START] for side in (one, other)]
    both = begun[0].index.intersection(begun[1].index)
    pd.testing.assert_frame_equal(begun[0].loc[both], begun[1].loc[both], check_exact=True)
    compared += len(usable[0])
    both = one.index.intersection(other.index)
    for column in one.columns:
        before, after = one.loc[both, column], other.loc[both, column]
        later[column] += int((~((before == after) | (before.isna() & after.isna()))).sum())
print(json.dumps({"compared": compared, "later": later}))

"""What `DataSource` gives and refuses, of an archive and an exchange that stand in for the real ones.

    source.py FOLDER ARCHIVE REST

ARCHIVE has um BTCUSDT klines of 1h for 2024-01, without a hole, and funding and trades of that month; REST has every hour of
BTCUSDT since 2020. Runs with the package and polars alone.
"""

import asyncio
import datetime
import os
import sys
import warnings
from datetime import date, timedelta, timezone

import polars as pl
import tapemill
from tapemill import CacheError, DataSource, RequestError, ValidationError

folder, archive, rest = sys.argv[1:]
UTC = timezone.utc
HOUR = timedelta(hours=1)


def refused(kind, says, call):
    try:
        call()
    except kind as error:
        assert says in str(error), f"{error!r} does not say {says!r}"
    else:
        raise AssertionError(f"it was not refused: {says}")


source = DataSource(f"{folder}/out", archive=archive, rest=rest)

# What lacks comes from the archive, as a whole month, and is stored.
first = source.get_data("btc/usdt", "2024-01-05", "2024-01-06", interval="1h")
assert len(first) == 48 and first.coverage.is_complete and first.coverage.expected == 48, first.coverage
assert first.sources == {"archive": 744} and first.notes == (), first
df = first.df
assert isinstance(df, pl.DataFrame) and df.columns[:3] == ["open_time", "symbol", "open"], df.columns
assert df["open_time"][0] == datetime.datetime(2024, 1, 5, tzinfo=UTC)
assert df["open_time"][-1] == datetime.datetime(2024, 1, 6, 23, tzinfo=UTC)
stored = f"{folder}/out/klines_1h/um/BTCUSDT/2024-01.parquet"
assert os.path.exists(stored)
assert pl.DataFrame(first).equals(df)

# Both ends count; a start between bars moves up, an end down; any time zone.
moments = ("2024-01-05T00:00:00+00:00", "2024-01-05T01:00:00Z"), ("2024-01-04T23:10:00+00:00", "2024-01-05T02:59:00+01:00")
for start, end in moments:
    asked = source.get_data("BTCUSDT", start, end, interval="1h", source="cache")
    assert asked.df["open_time"].to_list() == df["open_time"][:2].to_list(), asked.df
query = source.query("BTCUSDT", date(2024, 1, 31), date(2024, 1, 31), interval="1h")
assert len(query.get()) == 24 and len(asyncio.run(query.get_async())) == 24
assert len(asyncio.run(source.get_data_async("BTCUSDT", "2024-01-31", "2024-01-31", interval="1h"))) == 24

# What the archive lacks comes from the exchange.
# Some minutes ago, so that no hour ends meanwhile.
today = (datetime.datetime.now(UTC) - timedelta(minutes=10)).replace(minute=0, second=0, microsecond=0)
recent = source.get_data("BTCUSDT", today - 30 * HOUR, today - 2 * HOUR, interval="1h")
assert len(recent) == 29 and recent.coverage.is_complete and "rest" in recent.sources and recent.notes == (), recent
# A bar that is not over yet is neither given nor missed.
until_now = source.get_data("BTCUSDT", today - 3 * HOUR, today + HOUR, interval="1h", source="rest")
assert until_now.df["open_time"][-1] >= today - HOUR and until_now.coverage.is_complete, until_now
assert until_now.notes == () and set(until_now.sources) == {"rest"}, until_now
alone = DataSource(f"{folder}/alone", archive="http://127.0.0.1:9", rest=rest)
assert len(alone.get_data("BTCUSDT", today - 9 * HOUR, today - 2 * HOUR, interval="1h", source="rest")) == 8

funding = source.get_data("BTCUSDT", "2024-01-01", "2024-01-31", dataset="funding_rate", source="archive")
assert funding.notes == () and funding.coverage.expected is None and funding.coverage.present == len(funding) > 60, funding
factors = source.get_data("BTCUSDT", "2024-01-01", "2024-01-01", dataset="factors", source="archive")
assert "tw_cvd_quote_norm" in factors.df.columns and len(factors) > 0

# Holes are told, or refused.
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    holed = source.get_data("BTCUSDT", "2023-12-31", "2024-01-01", interval="1h", source="cache")
assert len(holed) == 24 and holed.coverage.missing == 24 and holed.coverage.ratio == 0.5, holed.coverage
assert holed.coverage.gaps == ((datetime.datetime(2023, 12, 31, tzinfo=UTC), datetime.datetime(2023, 12, 31, 23, tzinfo=UTC)),)
assert [warning.category for warning in caught] == [tapemill.IncompleteWarning], caught
strict = DataSource(f"{folder}/out", strict=True)
refused(RequestError, "24 of 48 bars lack", lambda: strict.get_data("BTCUSDT", "2023-12-31", "2024-01-01", "1h", source="cache"))

refused(ValidationError, "has no time zone", lambda: source.get_data("BTCUSDT", datetime.datetime(2024, 1, 1), "2024-01-02"))
refused(ValidationError, "has no time zone", lambda: source.get_data("BTCUSDT", "2024-01-01T00:00:00", "2024-01-02"))
refused(ValidationError, "is no time", lambda: source.get_data("BTCUSDT", "yesterday", "2024-01-02"))
refused(ValidationError, "lies after end", lambda: source.get_data("BTCUSDT", "2024-01-02", "2024-01-01"))
refused(ValidationError, "interval '7m'", lambda: source.get_data("BTCUSDT", "2024-01-01", "2024-01-02", interval="7m"))
refused(ValidationError, "dataset 'candles'", lambda: source.get_data("BTCUSDT", "2024-01-01", "2024-01-02", dataset="candles"))
refused(ValidationError, "symbol", lambda: source.get_data("BTC USDT!", "2024-01-01", "2024-01-02", source="cache"))
refused(ValidationError, "there is no setting", lambda: DataSource("out", speed=3))
refused(ValidationError, "market", lambda: DataSource("out", "forex"))
refused(CacheError, "there is no klines 1h of NOPEUSDT", lambda: source.get_data("NOPEUSDT", "2024-01-01", "2024-01-02", "1h", source="cache"))
refused(RequestError, "NOPEUSDT", lambda: source.get_data("NOPEUSDT", "2024-01-01", "2024-01-02", "1h", source="archive"))
nobody = DataSource(f"{folder}/elsewhere", archive="http://127.0.0.1:9", rest="http://127.0.0.1:9")
refused(RequestError, "there is no klines", lambda: nobody.get_data("BTCUSDT", "2024-01-01", "2024-01-02", "1h", source="rest"))

# A stored file that was cut is an error that names it, and is fetched anew when told so.
whole = open(stored, "rb").read()
with open(stored, "wb") as file:
    file.write(whole[: len(whole) // 2])
refused(CacheError, "2024-01.parquet", lambda: source.get_data("BTCUSDT", "2024-01-05", "2024-01-06", "1h"))
again = source.get_data("BTCUSDT", "2024-01-05", "2024-01-06", "1h", source="archive", use_cache=False)
assert again.df.equals(df) and open(stored, "rb").read() == whole

# Defaults are set once, and the commands take them.
tapemill.configure_defaults(root=f"{folder}/out", archive=archive, rest=rest)
assert DataSource().get_data("BTCUSDT", "2024-01-05", "2024-01-06", "1h").df.equals(df)
status = tapemill.status()
assert status["totals"]["done"] >= 3 and status["totals"]["dead"] == 0, status
verdicts = {verdict["verdict"] for verdict in tapemill.verify()}
assert "defect" not in verdicts and "ok" in verdicts, verdicts
ran = tapemill.run(symbols=["BTCUSDT"], data="klines:1h", start="2024-01", end="2024-01", source=archive)
assert isinstance(ran, list)
written = tapemill.export("csv", f"{folder}/csv", symbols="BTCUSDT", data="klines:1h", start="2024-01-05", end="2024-01-06")
assert written[0]["rows"] == 48, written
refused(ValidationError, "--symbols", lambda: tapemill.run(source=archive))

for module in ("pandas", "pyarrow", "numpy"):
    assert module not in sys.modules, f"{module} is not needed"
refused(ImportError, "pip install pyarrow", first.to_arrow)
refused(ImportError, "pip install pyarrow", first.to_pandas)
print("ok")

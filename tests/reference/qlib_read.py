"""Reads a dump with Qlib itself and holds it against the tables it was made of, read with pyarrow.

    qlib_read.py DUMP OUTPUT MARKET PREFIX

Every bar of the exchange's own has to come back from D.features as it stands in the tables, in single precision; and what
D.features gives beside them has to be a bar of which the exchange has none.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet

FIELDS = ["open", "high", "low", "close", "volume", "amount", "vwap", "trades", "taker_buy_volume", "taker_buy_amount"]
TABLES = {"1min": "klines_1m", "60min": "klines_1h", "day": "klines_1d"}


def table(output: Path, name: str, market: str, symbol: str) -> pd.DataFrame:
    """The bars of a table as the dump should have them."""
    files = sorted((output / name / market / symbol).glob("*.parquet"))
    frame = pd.concat([parquet.ParquetFile(file).read().to_pandas() for file in files])
    time = frame["open_time"].dt.tz_convert(None)
    volume, amount = frame["volume"], frame["quote_volume"]
    values = {
        "open": frame["open"],
        "high": frame["high"],
        "low": frame["low"],
        "close": frame["close"],
        "volume": volume,
        "amount": amount,
        "vwap": (amount / volume).where(volume > 0),
        "trades": frame["trades"],
        "taker_buy_volume": frame["taker_buy_volume"],
        "taker_buy_amount": frame["taker_buy_quote_volume"],
    }
    bars = pd.DataFrame(values).astype("float32").set_index(pd.DatetimeIndex(time, name="datetime"))
    step = {"klines_1m": "1min", "klines_1h": "60min", "klines_1d": "1D"}[name]
    return bars[bars.index == bars.index.floor(step)]


def main() -> None:
    import qlib
    from qlib.data import D

    dump, output, market, prefix = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    qlib.init(provider_uri=str(dump), region="us", kernels=1, logging_level=40)
    told = {}
    for frequency, name in TABLES.items():
        listed = D.list_instruments(D.instruments("all"), freq=frequency, as_list=True)
        symbols = [code[len(prefix):].upper() for code in (code.lower() for code in listed)]
        assert sorted(symbols) == sorted(p.name for p in (output / name / market).iterdir()), (frequency, listed)
        got = D.features(D.instruments("all"), [f"${field}" for field in FIELDS], freq=frequency)
        got.columns = FIELDS
        for symbol in symbols:
            dumped = got.xs((prefix + symbol).upper(), level="instrument")
            own = table(output, name, market, symbol)
            assert own.index.isin(dumped.index).all(), (frequency, symbol, "a bar is missing")
            same = dumped.loc[own.index]
            for field in FIELDS:
                assert np.array_equal(same[field].to_numpy("float32"), own[field].to_numpy(), equal_nan=True), (frequency, symbol, field)
            calendar = pd.DatetimeIndex(D.calendar(freq=frequency))
            between = calendar[(calendar >= dumped.index[0]) & (calendar <= dumped.index[-1])]
            assert dumped.index.equals(pd.DatetimeIndex(between, name="datetime")), (frequency, symbol, "the calendar has holes")
            others = dumped.drop(own.index)
            told[f"{symbol} {frequency}"] = {"own": len(own), "made": int(others["close"].notna().sum()), "empty": int(others["close"].isna().sum())}
        one = D.features([prefix + symbols[0]], ["$close", "Ref($close, 1)", "Mean($volume, 3)"], freq=frequency)
        assert len(one) and one["$close"].notna().any(), "a name in lower case is found as well"
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()

"""Makes the wide tables of an output once more, with pandas, and compares every cell.

    wide.py OUTPUT EXPORT MARKET INTERVAL [FACTORS]

OUTPUT is the output folder, EXPORT what `tapemill export wide` wrote. FACTORS is what `tapemill export factors` wrote, for
intervals other than an hour. Prints the rows it compared, by symbol; an assertion tells what is wrong.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from bars import LENGTHS, OHLC, Lake


OUTPUT, EXPORT, MARKET, INTERVAL = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
FACTORS = Path(sys.argv[5]) if len(sys.argv) > 5 else None
LAKE = Lake(OUTPUT, MARKET)
LENGTH = pd.Timedelta(LENGTHS[INTERVAL])
RATIOS = """sum_open_interest sum_open_interest_value count_toptrader_long_short_ratio sum_toptrader_long_short_ratio
    count_long_short_ratio sum_taker_long_short_vol_ratio""".split()

FACTOR_NAMES = """trade_count base_volume quote_volume taker_buy_qty taker_sell_qty taker_buy_quote taker_sell_quote
    taker_buy_quote_sq taker_sell_quote_sq taker_buy_trade_count taker_sell_trade_count whale_buy_quote
    whale_sell_quote retail_buy_quote retail_sell_quote price_open price_close price_high price_low cvd_qty cvd_quote
    vwap whale_cvd_quote retail_cvd_quote avg_trade_quote avg_trade_base taker_buy_avg_trade_quote
    taker_sell_avg_trade_quote taker_buy_hhi_quote taker_sell_hhi_quote imbalance_ratio_quote tw_cvd_quote_norm
    price_change cvd_per_abs_price_change""".split()


def asof(wide, events, time, bound):
    """What was known at each bar's start, stamps cut to their minute."""
    events = events.assign(minute=events[time].dt.floor("min")).sort_values("minute", kind="stable")
    return pd.merge_asof(
        wide, events, left_on="open_time", right_on="minute", direction="backward", tolerance=pd.Timedelta(bound)
    ).drop(columns="minute")


def reference(symbol):
    wide = LAKE.bars("klines", symbol, INTERVAL).drop(columns="close_time")
    wide.insert(1, "available_at", wide["open_time"] + LENGTH)
    for prefix, name in ("mark", "mark_price"), ("index", "index_price"), ("premium", "premium_index"):
        prices = LAKE.bars(f"{name}_klines", symbol, INTERVAL)
        if prices is None and prefix == "index" and "_" in symbol:
            prices = LAKE.bars(f"{name}_klines", symbol.split("_")[0], INTERVAL)
        names = {column: f"{prefix}_{column}" for column in OHLC}
        if prices is None:
            wide = wide.assign(**{name: np.nan for name in names.values()})
        else:
            prices = prices[["open_time", *OHLC]].rename(columns=names)
            wide = wide.merge(prices, how="left", on="open_time", validate="one_to_one")
    wide["basis"] = (wide["close"] - wide["index_close"]) / wide["index_close"]
    funding = LAKE.table("funding_rate", symbol)
    if funding is None:
        wide = wide.assign(funding_time=pd.NaT, funding_interval_hours=np.nan, funding_rate=np.nan)
    else:
        wide = asof(wide, funding, "funding_time", "8h")
    wide["funding_annualized"] = wide["funding_rate"] * (8760.0 / wide["funding_interval_hours"])
    metrics = LAKE.table("metrics", symbol)
    if metrics is None:
        wide = wide.assign(metrics_time=pd.NaT, **{name: np.nan for name in RATIOS})
    else:
        wide = asof(wide, metrics.rename(columns={"create_time": "metrics_time"}), "metrics_time", "1h")
    before = wide.set_index("open_time")[RATIOS[:2]].reindex(wide["open_time"] - LENGTH)
    wide["open_interest_delta"] = wide[RATIOS[0]] - before[RATIOS[0]].to_numpy()
    wide["open_interest_value_delta"] = wide[RATIOS[1]] - before[RATIOS[1]].to_numpy()
    if INTERVAL == "1h":
        factors = LAKE.table("factors_1h", symbol)
    else:
        file = FACTORS / f"factors_{INTERVAL}" / MARKET / f"{symbol}.parquet"
        factors = pq.read_table(file).to_pandas().drop(columns="symbol") if file.exists() else None
    if factors is None:
        return wide.assign(**{f"at_{name}": np.nan for name in FACTOR_NAMES})
    factors = factors.rename(columns={name: f"at_{name}" for name in factors.columns})
    return wide.merge(factors, how="left", left_on="open_time", right_on="at_minute").drop(columns="at_minute")


def compare(found, wanted, what):
    assert list(found.columns) == list(wanted.columns), (what, list(found.columns), list(wanted.columns))
    assert len(found) == len(wanted), (what, len(found), len(wanted))
    for name in wanted.columns:
        one, other = found[name], wanted[name]
        if name.endswith("_time") or name == "available_at":
            one, other = (pd.to_datetime(side, utc=True).dt.as_unit("us") for side in (one, other))
        else:
            one, other = one.astype("float64"), other.astype("float64")
        same = (one == other) | (one.isna() & other.isna())
        assert same.all(), (what, name, found[~same.to_numpy()]["open_time"].head(), one[~same].head(), other[~same].head())


folder = EXPORT / f"wide_{INTERVAL}" / MARKET
whole = pq.read_table(EXPORT / f"wide_{INTERVAL}" / f"{MARKET}.parquet")
summary = list(csv.DictReader((folder / "dataset_summary.csv").open()))
symbols = sorted(file.stem for file in folder.glob("*.parquet"))
assert [row["symbol"] for row in summary] == symbols
assert whole["symbol"].to_pylist() == sorted(whole["symbol"].to_pylist())
total = 0
for symbol, row in zip(symbols, summary):
    own = pq.read_table(folder / f"{symbol}.parquet")
    assert own.schema.equals(whole.schema), symbol
    assert own["open_time"].type == pa.timestamp("us", "UTC")
    for name in own.column_names:
        if pa.types.is_floating(own[name].type):
            assert not pc.any(pc.is_nan(own[name])).as_py(), (symbol, name, "absent is null, never NaN")
    assert whole.filter(pc.equal(whole["symbol"], symbol)).drop_columns("symbol").equals(own.drop_columns("symbol"))
    assert set(own["symbol"].to_pylist()) == {symbol}
    found, wanted = own.drop_columns("symbol").to_pandas(), reference(symbol)
    compare(found, wanted, symbol)
    assert int(row["rows"]) == len(found)
    assert row["start_date"] == str(found["open_time"].iloc[0]) and row["end_date"] == str(found["open_time"].iloc[-1])
    features = [name for name in found.columns[2:] if found[name].notna().any()]
    assert int(row["features"]) == len(features), (symbol, row, len(features))
    sources = json.loads(pq.read_metadata(folder / f"{symbol}.parquet").metadata[b"tapemill.sources"])
    assert all(source["key"].startswith("data/") for source in sources) and sources, symbol
    total += len(found)
    print(json.dumps({"symbol": symbol, "rows": len(found), "features": features, "sources": [source["key"] for source in sources]}))
assert total == whole.num_rows

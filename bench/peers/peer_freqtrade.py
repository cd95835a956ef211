"""aggTrades ZIP to one-minute candles with freqtrade's own functions: its archive parser, its trades, its candles.

peer_freqtrade.py IN.zip OUT.parquet. Less than the others do: prices and volume of each minute, named as ours are.
"""

import sys
import zipfile

from freqtrade.data.converter import trades_list_to_df, trades_to_ohlcv
from freqtrade.exchange.binance_public_data import parse_trades_from_zip

NAMES = {"date": "minute", "open": "price_first", "high": "price_high", "low": "price_low", "close": "price_last",
         "volume": "base_volume"}


def main():
    source, target = sys.argv[1:]
    with zipfile.ZipFile(source) as archive, archive.open(archive.namelist()[0]) as entry:
        trades = trades_list_to_df(parse_trades_from_zip(entry))
    trades_to_ohlcv(trades, "1m").rename(columns=NAMES).to_parquet(target, index=False)


if __name__ == "__main__":
    main()

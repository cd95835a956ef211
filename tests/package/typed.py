import polars as pl
from tapemill import BacktestDataLoader, DataSource, configure_defaults

configure_defaults(root="data", market="um")
result = DataSource().get_data("BTCUSDT", "2024-01-01", "2024-01-31", interval="1h")
df: pl.DataFrame = result.df
missing: int = result.coverage.missing
frame: pl.DataFrame = BacktestDataLoader().load_aligned_data(["BTCUSDT"], "2024-01-01", "2024-02-01")

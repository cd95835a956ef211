"""Binance's public market data, exact and research-ready.

`DataSource` gets one symbol's data from what is stored, the archive and the exchange; `BacktestDataLoader` loads many symbols
as one table; `run`, `update`, `status`, `verify` and `export` are the commands of the binary.
"""

from ._backtest import BacktestDataLoader
from ._commands import DeadTasksError, command, export, run, status, update, verify
from ._core import ApiError, CacheError, RequestError, TapemillError, ValidationError, __version__
from ._settings import Settings, configure_defaults
from ._source import Coverage, DataSource, IncompleteWarning, Query, Result

__all__ = [
    "ApiError",
    "BacktestDataLoader",
    "CacheError",
    "Coverage",
    "DataSource",
    "DeadTasksError",
    "IncompleteWarning",
    "Query",
    "RequestError",
    "Result",
    "Settings",
    "TapemillError",
    "ValidationError",
    "__version__",
    "command",
    "configure_defaults",
    "export",
    "run",
    "status",
    "update",
    "verify",
]

"""The compiled part: tables as Arrow, commands as calls. Times are microseconds since 1970, UTC."""

from collections.abc import Sequence

__version__: str

class TapemillError(Exception): ...
class ValidationError(TapemillError): ...
class CacheError(TapemillError): ...
class RequestError(TapemillError): ...
class ApiError(RequestError): ...

class Table:
    """A table in memory: whatever takes `__arrow_c_stream__` takes it without a copy."""

    @property
    def num_rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

def main(args: Sequence[str]) -> int: ...
def call(args: Sequence[str]) -> tuple[int, str, str | None]: ...
def load(
    root: str,
    market_name: str,
    name: str,
    symbol_names: Sequence[str] | None,
    start_us: int | None,
    end_us: int | None,
    columns: Sequence[str] | None,
    own_time: bool,
    layout: str,
    threads: int,
) -> Table | None: ...
def load_aligned(
    root: str,
    market_name: str,
    name: str,
    joins: Sequence[tuple[str, Sequence[tuple[str, str]], bool]],
    symbol_names: Sequence[str] | None,
    start_us: int | None,
    end_us: int | None,
    layout: str,
    threads: int,
) -> Table | None: ...
def available(
    root: str, market_name: str, name: str, symbol_names: Sequence[str] | None, layout: str
) -> dict[str, list[str]]: ...
def sources(
    root: str, market_name: str, name: str, symbol: str, start_us: int | None, end_us: int | None, layout: str
) -> list[tuple[str, list[tuple[str, int]]]]: ...
def daily_volume(
    root: str,
    market_name: str,
    name: str,
    symbol_names: Sequence[str] | None,
    start_us: int | None,
    end_us: int | None,
    layout: str,
    threads: int,
) -> dict[str, float]: ...
def coverage(
    loaded: Table | None, interval: str, start_us: int, end_us: int, now_us: int
) -> tuple[int, int, list[tuple[int, int]]]: ...

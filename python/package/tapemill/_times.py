"""Times from outside: days, and moments that know their time zone."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

from ._core import ValidationError

Moment = datetime | date | str
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // _MICROSECOND


def moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def first_us(value: Moment, name: str) -> int:
    """The moment itself; of a day its first microsecond, UTC."""
    return _us(value, name, time.min)


def last_us(value: Moment, name: str) -> int:
    """The moment itself; of a day its last microsecond, UTC."""
    return _us(value, name, time.max)


def _us(value: Moment, name: str, of_day: time) -> int:
    read = _read(value, name)
    if not isinstance(read, datetime):
        return microseconds(datetime.combine(read, of_day, timezone.utc))
    if read.tzinfo is None:
        raise ValidationError(
            f"{name} {value} has no time zone: write {read.isoformat()}+00:00, or give a datetime with tzinfo=timezone.utc"
        )
    return microseconds(read.astimezone(timezone.utc))


def _read(value: Moment, name: str) -> datetime | date:
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise ValidationError(
            f"{name} {value!r} is no time: write a day as 2024-01-31, or a moment as 2024-01-31T12:00:00+00:00"
        ) from None

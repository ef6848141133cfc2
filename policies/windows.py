"""Windows of time: pure arithmetic over calendars, time zones and clocks that are put forward and back.

A window is an interval of instants, and the windows of a rule lie edge to edge: every instant is in exactly one.

- `day`, `week`, `month` begin with the first instant at which the clocks of the zone show their first date; where
  midnight comes twice the first one counts, where it is skipped the instant of the jump does. A date that a zone
  skipped as a whole has no window.
- `hour` begins whenever the clocks show a full hour, and at every change of the clocks in mid-hour: such an hour is
  shorter than others, never longer.
- `rolling` is cut into buckets of fixed length, counted from 1970 in UTC. What counts is the bucket under way and as
  many whole ones before it as the length has: never less than the length, and at most one bucket more. So no stretch
  of that length can hold more than the limit.
- `total` has neither end nor beginning.

Unix time has no leap seconds: 23:59:60 is the same number as the next 00:00:00, and belongs to the window that begins.
"""

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from policies.compiled import Window
from policies.conditions import Hours

NS = 10**9
HOUR_S = 3600
MINUTE_NS = 60 * NS
_MINUTES_PER_DAY = 1440
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_DAY = timedelta(days=1)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One window, or one bucket of a rolling one."""

    label: str
    """Start in UTC, `2026-11-01T00:00:00Z`; empty for `total`."""
    starts_ns: int
    turns_ns: int | None
    """When the next one begins; None: never."""
    ends_ns: int | None
    """When what was spent in it no longer counts; None: never."""
    also: tuple[str, ...] = ()
    """Labels of the older buckets that count, oldest first."""
    bucket_ns: int = 0


_TOTAL = Span(label="", starts_ns=0, turns_ns=None, ends_ns=None)


def span_at(window: Window, now_ns: int) -> Span:
    """The window that holds an instant (Unix time in nanoseconds)."""
    if window.shape == "total":
        return _TOTAL
    if window.shape == "rolling":
        return _bucket(window, now_ns)
    now_s = now_ns // NS
    start_s, end_s = _hour(window, now_s) if window.shape == "hour" else _dates(window, now_s)
    return Span(label=_label(start_s), starts_ns=start_s * NS, turns_ns=end_s * NS, ends_ns=end_s * NS)


def span_before(window: Window, span: Span) -> Span | None:
    """The calendar window before this one; None where a window has none before it (`total`, `rolling`)."""
    if window.shape in {"total", "rolling"}:
        return None
    return span_at(window, span.starts_ns - 1)


def open_at(hours: Hours, now_ns: int) -> bool:
    """Whether an instant lies in these times of the week (or, where they are negated, outside)."""
    local = _local(now_ns // NS, ZoneInfo(hours.zone))
    minute = local.hour * 60 + local.minute
    today, yesterday = local.weekday(), (local.weekday() - 1) % 7
    inside = any(
        (today in hours.weekdays and start <= minute < _until(start, end))
        or (yesterday in hours.weekdays and minute < _until(start, end) - _MINUTES_PER_DAY)
        for start, end in hours.spans
    )
    return inside is not hours.negated


def _until(start: int, end: int) -> int:
    """The end of a span of hours, counted from the midnight before its start."""
    return end if end > start else end + _MINUTES_PER_DAY


def _bucket(window: Window, now_ns: int) -> Span:
    bucket_ns = window.length_ns // window.buckets
    number = now_ns // bucket_ns
    return Span(
        label=_label_ns(number * bucket_ns),
        starts_ns=number * bucket_ns,
        turns_ns=(number + 1) * bucket_ns,
        ends_ns=(number + 1 + window.buckets) * bucket_ns,
        also=tuple(_label_ns(older * bucket_ns) for older in range(number - window.buckets, number)),
        bucket_ns=bucket_ns,
    )


def _hour(window: Window, now_s: int) -> tuple[int, int]:
    zone = ZoneInfo(window.zone)
    offset_s = _offset_s(now_s, zone)
    start_s = (now_s + offset_s) // HOUR_S * HOUR_S - offset_s
    end_s = start_s + HOUR_S
    if _offset_s(start_s, zone) != offset_s:
        start_s = _first(start_s, now_s, lambda at_s: _offset_s(at_s, zone) == offset_s)
    if _offset_s(end_s - 1, zone) != offset_s:
        end_s = _first(now_s, end_s, lambda at_s: _offset_s(at_s, zone) != offset_s)
    return start_s, end_s


def _dates(window: Window, now_s: int) -> tuple[int, int]:
    """Start and end of the day, week or month around an instant, in Unix seconds."""
    zone = ZoneInfo(window.zone)
    first = _first_date(window, _local(now_s, zone).date())
    following = _following(window, first)
    start_s, end_s = _start_s(first, zone), _start_s(following, zone)
    while end_s <= now_s:  # clocks that are put back over midnight show the day before once more
        first, following = following, _following(window, following)
        start_s, end_s = end_s, _start_s(following, zone)
    while start_s == end_s or start_s > now_s:  # a date that the zone skipped
        first = _first_date(window, first - _ONE_DAY)
        end_s, start_s = start_s, _start_s(first, zone)
    return start_s, end_s


def _first_date(window: Window, day: date) -> date:
    if window.shape == "month":
        return day.replace(day=1)
    if window.shape == "week":
        return day - timedelta(days=(day.weekday() - window.week_start) % 7)
    return day


def _following(window: Window, first: date) -> date:
    if window.shape == "month":
        return first + timedelta(days=calendar.monthrange(first.year, first.month)[1])
    return first + timedelta(days=7 if window.shape == "week" else 1)


def _start_s(day: date, zone: ZoneInfo) -> int:
    """The first instant at which the clocks of the zone show that date or a later one, in Unix seconds."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    early, late = _unix_s(midnight), _unix_s(midnight.replace(fold=1))
    if early <= late:  # once, or twice: then the first time counts
        return early
    return _first(late - 1, early, lambda at_s: _local(at_s, zone).date() >= day)


def _first(before_s: int, until_s: int, holds: Callable[[int], bool]) -> int:
    """The first second after `before_s` at which something holds that holds at `until_s` and did not before."""
    while until_s - before_s > 1:
        middle_s = (before_s + until_s) // 2
        if holds(middle_s):
            until_s = middle_s
        else:
            before_s = middle_s
    return until_s


def _local(at_s: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(seconds=at_s)).astimezone(zone)


def _unix_s(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def _offset_s(at_s: int, zone: ZoneInfo) -> int:
    return (_local(at_s, zone).utcoffset() or timedelta()) // timedelta(seconds=1)


@lru_cache(maxsize=4096)
def _label_ns(at_ns: int) -> str:
    fraction = f".{at_ns % NS:09d}".rstrip("0") if at_ns % NS else ""
    return _label(at_ns // NS).removesuffix("Z") + fraction + "Z"


def _label(at_s: int) -> str:
    return f"{_EPOCH + timedelta(seconds=at_s):%Y-%m-%dT%H:%M:%SZ}"

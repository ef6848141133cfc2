"""The period of a report: from words of a command line to two instants, in the time zone of the reader.

Days and weeks are days of the calendar in that zone (23 or 25 hours long where the clocks change); hours and minutes
are exact. A date stands for the first instant of its day. The end of a period does not belong to it.
"""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from exporters.reports.errors import BadQuestionError

EXAMPLES = "24h, 7d, 2w, today, 2026-11, 2026-11-01 or 2026-11-01T08:30"
_EXACT_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_CALENDAR_UNITS_DAYS = {"d": 1, "w": 7}
_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR = 2200
"""The store counts nanoseconds in 64 bits, which end in 2262."""


class Period(msgspec.Struct, frozen=True):
    """A half-open stretch of time, `since <= t < until`."""

    since: datetime
    """Aware, in the zone of the reader."""
    until: datetime
    tz: str
    """Name of the zone in the IANA database."""

    @property
    def since_ns(self) -> int:
        """The start as Unix time in nanoseconds."""
        return unix_ns(self.since)

    @property
    def until_ns(self) -> int:
        """The end as Unix time in nanoseconds."""
        return unix_ns(self.until)

    def local(self, at_ns: int) -> datetime:
        """An instant (Unix time in nanoseconds) on the reader's clock, to the microsecond."""
        return from_unix_ns(at_ns, ZoneInfo(self.tz))


def unix_ns(at: datetime) -> int:
    """Unix time in nanoseconds of an aware datetime; exact, unlike `timestamp()`."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def from_unix_ns(at_ns: int, zone: ZoneInfo) -> datetime:
    """The datetime of a Unix time in nanoseconds; what is below a microsecond is cut off."""
    return (_EPOCH + timedelta(microseconds=at_ns // 1000)).astimezone(zone)


def parse_zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises `BadQuestionError` for a name that is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # OSError: a name such as "Europe" is a folder of the database.
        raise BadQuestionError(
            f"There is no time zone {name!r}: give a name such as UTC, Europe/Berlin or Asia/Shanghai."
        ) from error


def parse_period(since: str, until: str | None, tz: str, now: datetime) -> Period:
    """The period from `since` to `until` (None: to `now`, an aware datetime).

    Raises `BadQuestionError` for what cannot be read and for an end that is not after the start.
    """
    zone = parse_zone(tz)
    start = _instant(since, zone, now)
    end = now.astimezone(zone) if until is None else _instant(until, zone, now)
    # Through UTC: datetimes of one zone compare by wall clock, which runs twice through an hour in autumn.
    if start.astimezone(UTC) >= end.astimezone(UTC):
        raise BadQuestionError(
            f"The period ends before it starts: from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}."
        )
    return Period(since=start, until=end, tz=tz)


def parse_month(text: str, tz: str, now: datetime) -> Period:
    """The whole month of `2026-11`, its end to come or not; the present one for an empty text.

    Raises `BadQuestionError` for what is no month.
    """
    words = text.strip() or f"{now.astimezone(parse_zone(tz)):%Y-%m}"
    if not _MONTH.fullmatch(words):
        raise BadQuestionError(f"{text!r} is no month: write 2026-11.")
    start = _instant(words, parse_zone(tz), now)
    following = (start.replace(day=28) + timedelta(days=4)).replace(day=1)
    return Period(since=start, until=following, tz=tz)


def elapsed_of(whole: Period, now: datetime) -> Period:
    """What of a period is over. Raises `BadQuestionError` where it has not begun."""
    local = now.astimezone(ZoneInfo(whole.tz))
    if unix_ns(local) <= whole.since_ns:
        raise BadQuestionError(f"The period has not begun: it starts at {whole.since:%Y-%m-%d %H:%M} ({whole.tz}).")
    return whole if whole.until_ns <= unix_ns(local) else msgspec.structs.replace(whole, until=local)


def _instant(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """One end of a period. Raises `BadQuestionError`."""
    local_now = now.astimezone(zone)
    today = local_now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    named = {"now": local_now, "today": today, "yesterday": today - timedelta(days=1)}
    words = text.strip()
    try:
        found = named.get(words) or _ago(words, local_now) or _absolute(words, zone)
    except (ValueError, OverflowError) as error:
        raise BadQuestionError(f"{text!r} is no point in time: write {EXAMPLES}.") from error
    if not _EPOCH.year <= found.year <= _LAST_YEAR:
        raise BadQuestionError(f"{text!r} is outside the years {_EPOCH.year} to {_LAST_YEAR}.")
    return found


def _ago(words: str, local_now: datetime) -> datetime | None:
    """The instant a span such as `7d` before now; None when the words are no span."""
    span = _SPAN.fullmatch(words)
    if span is None:
        return None
    count, unit = int(span[1]), span[2]
    if unit in _CALENDAR_UNITS_DAYS:
        return local_now - timedelta(days=count * _CALENDAR_UNITS_DAYS[unit])
    exact = local_now.astimezone(UTC) - timedelta(seconds=count * _EXACT_UNITS_S[unit])
    return exact.astimezone(local_now.tzinfo)


def _absolute(words: str, zone: ZoneInfo) -> datetime:
    """A month, a date or a date with a time, on the clock of the zone unless it has an offset. Raises ValueError."""
    moment = datetime.fromisoformat(f"{words}-01" if _MONTH.fullmatch(words) else words)
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)

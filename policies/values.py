"""The small languages inside a policy file: amounts, windows, shares, scopes, times of the week.

Every parser takes the raw YAML value and raises ValueError with a sentence that says what would be right.
"""

import re
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

import msgspec

from policies.compiled import Window
from policies.conditions import Hours
from policies.demand import COUNTED, MAX_AMOUNT, is_currency, scale_of
from proxy.config.values import duration_s
from proxy.prices.values import CURRENCIES, WEEKDAYS, instant_ns

NS = 10**9
ROLLING_BUCKETS = 24
"""A rolling window may count up to a twenty-fourth of its length longer than it says."""
MIN_ROLLING_S, MAX_ROLLING_S = 60, 30 * 86400
PLAIN_FIELDS = ("team", "project", "user", "key", "session", "provider", "model", "operation", "dialect")
UNITS = tuple(sorted(COUNTED))

_AMOUNT = re.compile(r"(\d[\d_]{0,18}(?:\.\d{1,18})?)\s*([kM]?)\s*([A-Za-z_][A-Za-z0-9_]{0,59})", re.ASCII)
_FACTORS = {"": 1, "k": 1000, "M": 1_000_000}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,2})?)\s*%", re.ASCII)
_CLOCK = re.compile(r"([01]\d|2[0-3]|24):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)", re.ASCII)
_DAYS = re.compile(rf"({'|'.join(WEEKDAYS)})(?:-({'|'.join(WEEKDAYS)}))?")
_SPELT_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_MAX_VALUE_CHARS = 256

_SAY_AMOUNT = 'must be an amount with its unit, such as "5 USD", "200k tokens", "1000 calls" or "30 images"'
_SAY_WINDOW = "must be hour, day, week, month, total, or rolling with a length, such as rolling 24h"


class Amount(msgspec.Struct, frozen=True):
    """So much of a unit, in whole numbers of the unit's scale."""

    whole: int
    unit: str


class OneOf(msgspec.Struct, frozen=True):
    """Values of a condition, globs among them."""

    values: tuple[str, ...]
    negated: bool = False


def name(raw: Any) -> str:
    """A name of a rule or key: it stands in counters, reasons and messages."""
    if not isinstance(raw, str) or not _NAME.fullmatch(raw):
        raise ValueError("must be a name of letters, digits and . _ - inside, at most 64 characters")
    return raw


def amount(raw: Any) -> Amount:
    """`5 USD`, `200k tokens`, `1000 calls`, `2.5 audio_seconds` -> Amount."""
    found = _AMOUNT.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise ValueError(_SAY_AMOUNT)
    unit = found[3]
    if unit.upper() in CURRENCIES and unit not in CURRENCIES:
        raise ValueError(f"a currency stands in capital letters: {unit.upper()}")
    if unit != unit.lower() and unit not in CURRENCIES:
        raise ValueError("must name its unit in small letters, or a currency in use by its ISO 4217 code, such as USD")
    unit = {"token": "tokens", "call": "calls"}.get(unit, unit)
    whole = Decimal(found[1].replace("_", "")) * _FACTORS[found[2]] * 10 ** scale_of(unit)
    if whole != whole.to_integral_value():
        raise ValueError(f"has more decimals than {unit} are counted in ({scale_of(unit)})")
    if whole > MAX_AMOUNT:
        raise ValueError("is larger than any counter can be")
    return Amount(int(whole), unit)


def percent(raw: Any) -> int:
    """`80%` -> 8000 ten-thousandths."""
    found = _PERCENT.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise ValueError('must be a share of the limit, such as "80%"')
    return int(Decimal(found[1]) * 100)


def threshold(raw: Any) -> int:
    """A share above 0."""
    share = percent(raw)
    if not share:
        raise ValueError('must be more than 0, such as "80%"')
    return share


def grace(raw: Any) -> int | Amount:
    """A share of the limit (ten-thousandths), or an amount."""
    if isinstance(raw, str) and "%" in raw:
        return percent(raw)
    return amount(raw)


def window(raw: Any) -> Window:
    """`month`, `rolling 24h` ... -> Window, on the clocks of nowhere yet."""
    if raw in ("hour", "day", "week", "month", "total"):  # no set: a list cannot be looked up in one
        return Window(shape=raw)
    word, _, length = raw.strip().partition(" ") if isinstance(raw, str) else ("", "", "")
    if word != "rolling" or not length:
        raise ValueError(_SAY_WINDOW)
    seconds = duration_s(length.strip())
    if not MIN_ROLLING_S <= seconds <= MAX_ROLLING_S or seconds != int(seconds):
        raise ValueError("a rolling window is from 1m to 30d long, in whole seconds")
    return Window(shape="rolling", length_ns=int(seconds) * NS, buckets=ROLLING_BUCKETS)


def every_ns(raw: Any) -> int:
    """The time in which a limit refills: `minute`, `10s`, `1h` -> nanoseconds."""
    seconds = _SPELT_S[raw] if isinstance(raw, str) and raw in _SPELT_S else duration_s(raw)
    return int(Decimal(str(seconds)) * NS)


def zone(raw: Any) -> str:
    """An IANA time zone."""
    if isinstance(raw, str) and raw in available_timezones() and not raw.startswith(("right/", "posix/", "local")):
        return raw
    raise ValueError("must be a time zone such as Europe/Berlin, Asia/Shanghai or UTC")


def weekday(raw: Any) -> int:
    """`mon` or `monday` -> 0."""
    short = raw[:3].lower() if isinstance(raw, str) and raw.isalpha() else ""
    if short not in WEEKDAYS:
        raise ValueError(f"must be a day of the week: {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(short)


def weekdays(raw: Any) -> tuple[int, ...]:
    """`mon-fri`, or a list of such and of single days -> days, Monday is 0."""
    days: set[int] = set()
    for item in raw if isinstance(raw, list) else [raw]:
        found = _DAYS.fullmatch(item) if isinstance(item, str) else None
        if found is None:
            raise ValueError("must be days such as mon-fri, or a list of them such as [mon, wed, fri]")
        first = WEEKDAYS.index(found[1])
        last = WEEKDAYS.index(found[2]) if found[2] else first
        days |= {day % 7 for day in range(first, last + 1 if last >= first else last + 8)}
    if not days:
        raise ValueError("must name a day, such as mon-fri")
    return tuple(sorted(days))


def hours(raw: Any) -> tuple[tuple[int, int], ...]:
    """`09:00-18:00`, or a list of such -> minutes after midnight; one that ends before it begins goes over midnight."""
    spans: list[tuple[int, int]] = []
    for item in raw if isinstance(raw, list) else [raw]:
        found = _CLOCK.fullmatch(item) if isinstance(item, str) else None
        start, end = (int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])) if found else (0, 0)
        if start == end or not (0 <= start < 1440 and 0 <= end <= 1440):
            raise ValueError('must be hours such as "09:00-18:00", in quotes, or a list of them')
        spans.append((start, end))
    if not spans:
        raise ValueError('must be hours such as "09:00-18:00"')
    return tuple(spans)


def one_of(raw: Any) -> OneOf:
    """A value, a list of values, or `{not: value or list}`; `*` and `?` are wildcards."""
    if isinstance(raw, dict):
        if set(raw) != {"not"}:
            raise ValueError("must be a value, a list of values, or {not: ...}")
        return OneOf(_texts(raw["not"]), negated=True)
    return OneOf(_texts(raw))


def flag_or_not(raw: Any) -> OneOf:
    """True or false, as a condition on `streaming`."""
    if not isinstance(raw, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - what people write wrong is a value
    return OneOf(("true" if raw else "false",))


def _texts(raw: Any) -> tuple[str, ...]:
    items = raw if isinstance(raw, list) else [raw]
    if not items or not all(isinstance(item, str) and len(item) <= _MAX_VALUE_CHARS for item in items):
        raise ValueError("must be text, or a list of texts; put numbers in quotes")
    return tuple(items)


def fields(raw: Any) -> tuple[str, ...]:
    """`user`, or a list such as `[team, tag:env]`: each value of these has a counter of its own."""
    items = raw if isinstance(raw, list) else [raw]
    known = f"{', '.join(PLAIN_FIELDS)} or tag:NAME"
    if not items or not all(isinstance(item, str) for item in items) or len(set(items)) < len(items):
        raise ValueError(f"must be a field, or a list of different ones: {known}")
    for item in items:
        if item not in PLAIN_FIELDS and not (item.startswith("tag:") and len(item) > len("tag:")):
            raise ValueError(f"must be of {known}")
    return tuple(items)


def stands_in(raw: Any) -> Amount | str:
    """`deny`, `allow`, or an amount that is held."""
    if raw in ("deny", "allow"):
        return str(raw)
    try:
        return amount(raw)
    except ValueError:
        raise ValueError('must be deny, allow, or an amount to hold such as "0.50 USD"') from None


def exchange_rate(raw: Any) -> Decimal:
    """What one unit of another currency is in the budget's: a positive decimal, in quotes."""
    if not isinstance(raw, str) or not re.fullmatch(r"\d{1,8}(\.\d{1,12})?", raw, re.ASCII) or not Decimal(raw):
        raise ValueError('must be a positive number in quotes, such as "0.14"')
    return Decimal(raw)


def day_ns(raw: Any) -> int:
    """A date or an instant -> Unix time in nanoseconds."""
    return instant_ns(raw)


def hours_of(spans: tuple[tuple[int, int], ...], days: tuple[int, ...], where: str, *, negated: bool) -> Hours:
    """Times of the week in their compiled form; nothing said means all of it."""
    return Hours(
        zone=where,
        weekdays=days or tuple(range(7)),
        spans=spans or ((0, 1440),),
        negated=negated,
    )


def is_money(unit: str) -> bool:
    """Whether a unit is a currency in use."""
    return is_currency(unit) and unit in CURRENCIES

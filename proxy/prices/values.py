"""The small languages inside a price file: amounts, dates, currencies, hours of the week.

Every parser takes the raw YAML value and raises ValueError with a sentence that says what would be right.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

# fmt: off
CURRENCIES = frozenset((
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF", "BMD",
    "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CUP",
    "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP",
    "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD",
    "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD",
    "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN",
    "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB",
    "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL",
    "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VES", "VND",
    "VUV", "WST", "XAF", "XCD", "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG",
))
# fmt: on
"""ISO 4217 codes in circulation."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_RATE = re.compile(r"\d{1,8}(\.\d{1,14})?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)
_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_NAME = re.compile(r"[^\s/@][^/@\n]{0,79}")
_UNIT = re.compile(r"[a-z][a-z0-9_]{0,59}")
_GLOB = re.compile(r"[^\s]{1,200}")
_NS = 10**9


def rate(raw: Any) -> Decimal:
    """`"0.30"` -> Decimal. Numbers without quotes are refused: YAML makes floats of them."""
    if isinstance(raw, int | float):
        raise ValueError('must stand in quotes, such as "0.30": without them YAML makes a float of it')  # noqa: TRY004
    if not isinstance(raw, str) or not _RATE.fullmatch(raw):
        raise ValueError('must be an amount such as "0.30": digits, and up to 14 decimals behind a point')
    return Decimal(raw)


def count(raw: Any) -> int:
    """A whole number from 1 on."""
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= 10**12:
        raise ValueError("must be a whole number from 1 on, without quotes")
    return raw


def token_count(raw: Any) -> int:
    """What token rates are for: a power of ten, so that no amount ever has to be rounded."""
    if isinstance(raw, bool) or not isinstance(raw, int) or raw not in {1, 1000, 1_000_000}:
        raise ValueError("must be 1, 1000 or 1000000, without quotes")
    return raw


def flag(raw: Any) -> bool:
    """True or false."""
    if not isinstance(raw, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - what people write wrong is a value
    return raw


def text(raw: Any) -> str:
    """Free text of one line or more."""
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("must be text; put it in quotes")
    return " ".join(raw.split())


def name(raw: Any) -> str:
    """A piece of a price id."""
    if not isinstance(raw, str) or not _NAME.fullmatch(raw):
        raise ValueError("must be a name of at most 80 characters without / and @")
    return raw


def version(raw: Any) -> str:
    """`2026-11-23`, or another short text that names the state of the list."""
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw.isoformat()
    if not isinstance(raw, str) or not _VERSION.fullmatch(raw):
        raise ValueError("must be the date of the list, such as 2026-11-23, or another short name of its state")
    return raw


def instant_ns(raw: Any) -> int:
    """`2026-10-18` (midnight UTC) or `2026-10-18T00:00:00+08:00` -> Unix time in nanoseconds."""
    if isinstance(raw, str):
        try:
            raw = date.fromisoformat(raw)
        except ValueError:
            raise ValueError("must be a date such as 2026-10-18") from None
    if isinstance(raw, datetime):
        if raw.tzinfo is None:
            raise ValueError("a time of day needs its zone, such as 2026-10-18T00:00:00+08:00")
        return int(raw.timestamp()) * _NS
    if not isinstance(raw, date):
        raise ValueError("must be a date such as 2026-10-18")  # noqa: TRY004 - what people write wrong is a value
    return int(datetime(raw.year, raw.month, raw.day, tzinfo=UTC).timestamp()) * _NS


def day(at_ns: int) -> str:
    """The UTC day of a Unix time in nanoseconds, as it stands in price ids."""
    return datetime.fromtimestamp(at_ns // _NS, UTC).date().isoformat()


def currency(raw: Any) -> str:
    """An ISO 4217 code."""
    if not isinstance(raw, str) or raw not in CURRENCIES:
        raise ValueError("must be the ISO 4217 code of a currency in use, such as USD or CNY")
    return raw


def globs(raw: Any) -> tuple[str, ...]:
    """One name or glob, or a list of them, as written."""
    found = [raw] if isinstance(raw, str) else raw
    if not isinstance(found, list) or not found or not all(isinstance(item, str) for item in found):
        raise ValueError('must be a name or a list of names, each with * and ? as wildcards, such as ["speech-*-hd"]')
    if not all(_GLOB.fullmatch(item) for item in found):
        raise ValueError("names have no spaces and at most 200 characters")
    return tuple(found)


def unit_name(raw: Any) -> str:
    """The name of something counted: `characters`, `images`."""
    if not isinstance(raw, str) or not _UNIT.fullmatch(raw):
        raise ValueError("must be the name of a unit in small letters, such as characters or audio_seconds")
    return raw


def unit_names(raw: Any) -> tuple[str, ...]:
    """A list of unit names."""
    if not isinstance(raw, list):
        raise ValueError("must be a list of units, such as [audio_seconds]")  # noqa: TRY004 - see above
    return tuple(unit_name(item) for item in raw)


def weekdays(raw: Any) -> tuple[int, ...]:
    """`[mon, tue]` -> (0, 1)."""
    if not isinstance(raw, list) or not raw or not _among(raw, WEEKDAYS):
        raise ValueError(f"must be a list of days: {', '.join(WEEKDAYS)}")
    return tuple(sorted({WEEKDAYS.index(day) for day in raw}))


def hours(raw: Any) -> tuple[tuple[int, int], ...]:
    """`["09:00-12:00"]` -> ((540, 720),): minutes after midnight; 24:00 is the end of the day."""
    found = [_HOURS.fullmatch(item) if isinstance(item, str) else None for item in raw] if isinstance(raw, list) else []
    spans = [(int(h) * 60 + int(m), int(hh) * 60 + int(mm)) for h, m, hh, mm in (f.groups() for f in found if f)]
    if not spans or len(spans) != len(found) or not all(0 <= start < end <= 24 * 60 for start, end in spans):
        raise ValueError('must be a list of hours of one day, such as ["09:00-12:00"]')
    return tuple(spans)


def utc_offset_min(raw: Any) -> int:
    """`"+08:00"` -> 480."""
    found = _OFFSET.fullmatch(raw) if isinstance(raw, str) else None
    if found is None or int(found[2]) > 14 or int(found[3]) > 59:
        raise ValueError('must be the distance from UTC, in quotes, such as "+08:00"')
    minutes = int(found[2]) * 60 + int(found[3])
    return -minutes if found[1] == "-" else minutes


def _among(raw: list[Any], known: Iterable[str]) -> bool:
    return all(isinstance(item, str) and item in set(known) for item in raw)

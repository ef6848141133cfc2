"""How values are written: the words for a type, and a default as it would stand in a file. PURE.

A parser of `proxy.config.values` or `policies.values*` that is not here is a KeyError: whoever adds one says its words.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

import policies.values as policy_values
import policies.values_routes as route_values
from proxy.config import values
from proxy.prices.values import WEEKDAYS
from proxy.settings import Listen


class Form(msgspec.Struct, frozen=True):
    """How one kind of value is written."""

    words: str
    """For a table: `duration`, `whole number` ..."""
    shown: Callable[[Any], str] = str
    """A parsed value -> how it is written."""


def duration(seconds: float) -> str:
    """`600` -> `10m`; the largest unit, hours at most, that leaves a whole number."""
    milliseconds = Decimal(str(seconds)) * 1000
    for unit, length in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds.normalize():f}ms" if milliseconds else "0"


def size(size_bytes: int) -> str:
    """`65536` -> `64KiB`."""
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size_bytes % length == 0:
            return f"{size_bytes // length}{unit}"
    return str(size_bytes)


def _address(listen: Listen) -> str:
    return listen.url.removeprefix("http://")


def _share(ten_thousandths: int) -> str:
    return f"{Decimal(ten_thousandths) / 100:f}%"


_REFERENCE = "`env:NAME` or `file:PATH`"
_CONDITION = "text, list of texts, or `{not: ...}`"

FORMS: dict[Callable[[Any], Any], Form] = {
    values.duration_s: Form("duration", duration),
    values.duration_or_never: Form("duration, or `never`", duration),
    values.retention_s: Form("duration, or 0", duration),
    values.retention_days: Form("days such as `400d`, or `never`"),
    values.hour_of_day: Form("hour from 0 to 23 in UTC, or `never`"),
    values.size_bytes: Form("size", size),
    values.listen: Form("`host:port`", _address),
    values.base_url: Form("URL"),
    values.redis_url: Form("URL"),
    values.web_url: Form(f"URL, {_REFERENCE}"),
    values.secret_ref: Form(_REFERENCE),
    values.header_name: Form("name of a header"),
    values.header_value: Form(f"text, {_REFERENCE}"),
    values.worker_count: Form("whole number from 1 to 256, or `auto`"),
    values.currency: Form("currency code such as `USD`"),
    values.identifier: Form("name of letters, digits and `_`"),
    values.key_name: Form("name of letters, digits, `.`, `_` and `-`"),
    values.host_name: Form("host name or address"),
    policy_values.amount: Form("amount with its unit"),
    policy_values.threshold: Form("share such as `80%`", _share),
    policy_values.grace: Form("share, or amount"),
    policy_values.window: Form("window"),
    policy_values.every_ns: Form("`second`, `minute`, `hour`, `day`, or duration"),
    policy_values.zone: Form("time zone"),
    policy_values.weekday: Form("day of the week", WEEKDAYS.__getitem__),
    policy_values.weekdays: Form("`mon-fri`, or a list"),
    policy_values.hours: Form('`"09:00-18:00"`, or a list'),
    policy_values.one_of: Form(_CONDITION),
    policy_values.flag_or_not: Form("`true` or `false`"),
    policy_values.fields: Form("field, or list of fields"),
    policy_values.stands_in: Form("`deny`, `allow`, or an amount"),
    policy_values.exchange_rate: Form("decimal in quotes"),
    policy_values.day_ns: Form("date or instant"),
    route_values.duration_ms: Form("duration", lambda ms: duration(ms / 1000)),
    route_values.duration_or_none_ms: Form("duration, or 0", lambda ms: duration(ms / 1000)),
    route_values.share: Form("share such as `20%`", _share),
    route_values.tier: Form("target `provider/model#key`, list of them, or `{weights: {TARGET: SHARE}}`"),
    route_values.hold_head: Form("`off`, or `{time: 30s, bytes: 64KiB}`"),
    route_values.statuses: Form("status, `500-599`, or a list"),
    route_values.text_match: Form("text, list, `{not: ...}`, `{contains: ...}` or `{there: true}`"),
    route_values.headers: Form("mapping of names to texts as in `body`"),
    route_values.json_matches: Form("mapping of paths to texts as in `body`"),
    route_values.answer: Form("`yes`, `no` or `policy`"),
    route_values.outcome_class: Form("`ok`, or a class of errors"),
}
"""Parser -> form."""

"""One call as a whole: who, what was decided, every try with its times, and the arithmetic of its price.

What: the row of the call, its attempts, and for each the lines of the price (quantity x rate / per = amount, with the
id of the price entry). Amounts are exact decimals.

Config: none.

Example: `GET /api/calls/019ac2f0c1d87bd0a3f4c1e05b7d9f12`

Source: tables `calls` and `attempts` of exporters/schema.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from exporters.reports.answers import RowReader
from exporters.reports.formats import exact_text
from exporters.reports.period import from_unix_ns, parse_zone
from exporters.reports.question import Query
from proxy.core.pricing import REASONS, Line

_AT = "toUnixTimestamp64Nano(`started_at`)"
_SHARED = (
    "call_id", "attempt", "duration_ms", "trace_id", "span_id", "provider", "kind", "host", "dialect", "operation",
    "model_requested", "model", "service_tier", "streaming", "status", "outcome", "error_class", "error_type",
    "provider_code", "fault", "finish_class", "finish_reason", "stream_end", "connect_ms", "ttfb_ms", "ttft_ms",
    "request_bytes", "response_bytes", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "units", "usage_source", "usage_origin", "usage_complete", "cost", "currency", "cost_source",
    "cost_estimated", "cost_lower_bound", "cost_reasons", "price_id", "list_cost", "list_cost_currency",
    "provider_cost", "provider_cost_currency", "billing", "response_id", "provider_request_id", "changes", "unread",
)  # fmt: skip
CALL = (
    *_SHARED, "key_id", "team", "project", "user", "session", "tags", "method", "route", "path", "max_output_tokens",
    "overhead_ms", "costs", "reasons", "client_gone",
)  # fmt: skip
ATTEMPT = (*_SHARED, "retry_same", "fallback", "target", "rule", "price_lines")
_LINE = ("part", "quantity", "free", "rate", "per", "amount", "price_id")
MAX_ATTEMPTS = 100


class WholeCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call and its attempts as plain values for JSON: decimals as texts, times as ISO 8601."""

    call: dict[str, Any]
    attempts: list[dict[str, Any]]
    """In order; each has `offset_ms`, its start after that of the call, and `price_lines` with a `formula` each."""
    reasons: dict[str, str]
    """Each of the `cost_reasons`, in words."""


def call_query(call_id: str) -> Query:
    """The row of a call."""
    return Query(f"SELECT {_AT}, {_listed(CALL)} FROM calls WHERE `call_id` = {{id:String}} LIMIT 1", {"id": call_id})


def attempts_query(call_id: str, at_ns: int) -> Query:
    """The rows of its attempts; none of them began before it, or more than a day after."""
    return Query(
        f"SELECT {_AT}, {_listed(ATTEMPT)} FROM attempts WHERE `call_id` = {{id:String}} "
        "AND `started_at` >= fromUnixTimestamp64Nano({from_ns:Int64}) "
        "AND `started_at` < fromUnixTimestamp64Nano({to_ns:Int64}) "
        f"ORDER BY `attempt` LIMIT {MAX_ATTEMPTS}",
        {"id": call_id, "from_ns": at_ns - 10**9, "to_ns": at_ns + 86_400 * 10**9},
    )


def whole_call(reader: RowReader, call_id: str, tz: str = "UTC") -> WholeCall | None:
    """The call of that id; None where the store has none.

    Raises:
        ReportError: the zone is none, or the store cannot answer.
    """
    zone = parse_zone(tz)
    rows = reader.rows(call_query(call_id))
    if not rows:
        return None
    at_ns, *cells = rows[0]
    call = dict(zip(CALL, cells, strict=True))
    attempts = []
    for started_ns, *values in reader.rows(attempts_query(call_id, at_ns)):
        attempt = dict(zip(ATTEMPT, values, strict=True))
        attempt["price_lines"] = [_line(attempt, line) for line in attempt["price_lines"]]
        attempt["started_at"] = from_unix_ns(started_ns, zone)
        attempt["offset_ms"] = round((started_ns - at_ns) / 1e6, 3)
        attempts.append(attempt)
    call["started_at"] = from_unix_ns(at_ns, zone)
    flags = {reason for row in (call, *attempts) for reason in row["cost_reasons"]}
    return WholeCall(
        call=plain(call),
        attempts=[plain(attempt) for attempt in attempts],
        reasons={flag: REASONS.get(flag.partition(":")[0], flag) for flag in sorted(flags)},
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _line(attempt: Mapping[str, Any], line: Any) -> dict[str, Any]:
    """A line of the arithmetic with the formula that it is."""
    found = dict(line) if isinstance(line, Mapping) else dict(zip(_LINE, line, strict=True))
    formula = Line(
        part=found["part"],
        quantity=_short(found["quantity"]),
        free=_short(found["free"]),
        rate=_short(found["rate"]),
        per=found["per"],
        amount=_short(found["amount"]),
        price_id=found["price_id"],
    ).formula
    return found | {"formula": f"{formula} {attempt['list_cost_currency']}".rstrip()}


def _short(amount: Decimal) -> Decimal:
    return Decimal(exact_text(amount))


def plain(value: Any) -> Any:
    """A value of a row for JSON."""
    match value:
        case Decimal():
            return exact_text(value)
        case datetime():
            return value.astimezone(value.tzinfo or UTC).isoformat()
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value

"""What a webhook says of a call. PURE.

The shape is a promise: within one `version` a field is only ever added. Names and meanings are those of the columns of
`calls`; amounts are decimal text, instants ISO 8601 in UTC, and what is not known is left out. No prompt, no answer, no
header, no key, no message of a provider's is in it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from exporters.clickhouse.build import call_row
from exporters.recorder.ports import PricedCall

VERSION = 1
EVENT = "taximeter.calls"
FIELDS = (
    *("call_id", "trace_id", "span_id", "duration_ms", "overhead_ms", "ttft_ms"),
    *("key_id", "team", "project", "user", "session", "tags"),
    *("provider", "host", "dialect", "operation", "method", "route", "model_requested", "model", "streaming"),
    *("status", "outcome", "error_class", "error_type", "provider_code", "fault", "finish_class", "finish_reason"),
    *("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"),
    *("units", "usage_source", "usage_complete", "cost", "currency", "costs", "cost_source", "cost_estimated"),
    *("price_id", "billing", "provider_request_id", "reasons", "client_gone"),
)
"""The columns that are told, in this order; `attempts` and `started_at` stand beside them."""

_LAST_NS = 253_402_300_799 * 10**9
_ENCODER = msgspec.json.Encoder()


def event(priced: PricedCall) -> dict[str, Any]:
    """One call, less what is empty or not known."""
    row = call_row(priced)
    told = {name: value for name in FIELDS if _is_known(value := getattr(row, name))}
    return {"started_at": instant(priced.call.started_at_ns), **told, "attempts": row.attempt}


def _is_known(value: Any) -> bool:
    """Whether it says something; a count of 0 does."""
    return value is not None and value is not False and value not in ("", [], {})


def message(calls: Sequence[dict[str, Any]]) -> bytes:
    """The body of one POST. The same calls make the same bytes, whenever they are sent."""
    at = calls[-1]["started_at"]
    return _ENCODER.encode({"type": EVENT, "version": VERSION, "timestamp": at, "data": {"calls": calls}})


def instant(at_ns: int) -> str:
    """Unix time in nanoseconds as `2026-11-24T09:30:00.123456789Z`."""
    seconds, nanoseconds = divmod(max(0, min(at_ns, _LAST_NS)), 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"

"""Finished calls as small events, for whoever looks at the console just now.

What: a sink with a cursor of its own, so that a store that is down does not stop the live tail. It takes every batch at
once and keeps nothing. A call that ended longer ago than a minute is no live call, and where nobody looks no event is
made at all.

Config: none.

Example: `LiveSink(live)`

Source: the console page, proxy/admin/live.py.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from exporters.recorder.ports import Batch, PricedCall
from exporters.reports.formats import exact_text
from exporters.reports.report import exact_sum
from proxy.core.record import CallRecord

if TYPE_CHECKING:
    from decimal import Decimal

LATE_S = 60.0
MAX_EVENTS = 500
"""Of one batch, the newest: a page shows no more of them, and a backlog is no live call."""
_MAX_TEXT = 120
_DECIMALS_MS = 3


class Watchers(Protocol):
    """Whoever looks at calls as they happen; asked from any thread."""

    @property
    def watched(self) -> bool:
        """Whether anybody does."""

    def publish(self, events: list[bytes]) -> None:
        """Take events, each one JSON object; must not block."""


class LiveSink:
    """The live tail. Fed in the sink's thread.

    Args:
        watchers: Those who look.
        now_ns: The wall clock, Unix time in nanoseconds.
    """

    name = "console"

    def __init__(self, watchers: Watchers, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._watchers = watchers
        self._now_ns = now_ns
        self._last_token = ""

    def check(self) -> None:
        """It can always take batches."""

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Tell of the calls of a batch, unless it is the last one again."""
        if batch.token == self._last_token:
            return {}
        self._last_token = batch.token
        if not self._watchers.watched:
            return {}
        earliest_ns = self._now_ns() - int(LATE_S * 1e9)
        fresh = [one for one in batch.calls if one.call.started_at_ns + one.call.duration_ns >= earliest_ns]
        events = [msgspec.json.encode(event_of(one)) for one in fresh[-MAX_EVENTS:]]
        if events:
            self._watchers.publish(events)
        return {"calls": len(events)}

    def close(self) -> None:
        """Nothing is held."""


def event_of(priced: PricedCall) -> dict[str, object]:
    """A call in the words of `taximeter report calls --format json`, as far as a line of a page shows them."""
    call = priced.call
    last = call.attempts[-1] if call.attempts else None
    caller = call.caller
    spent: dict[str, list[Decimal | None]] = {}
    for price in priced.prices:
        if price.amount is not None:
            spent.setdefault(price.currency, []).append(price.amount)
    # As in the store: the cost of a call is in the currency of its last try that has one.
    currency = next((price.currency for price in reversed(priced.prices) if price.amount is not None), "")
    cost = exact_sum(spent.get(currency, []))
    usages = [attempt.usage for attempt in call.attempts]
    model = (last.model if last else "") or call.model_requested
    return {
        "time_ms": call.started_at_ns // 10**6,
        "call_id": call.call_id,
        "team": _cut(caller.team),
        "project": _cut(caller.project),
        "user": _cut(caller.user),
        "key_id": caller.key_id,
        "provider": last.provider if last else call.provider,
        "model": _cut(model),
        "status": call.status or None,
        "outcome": call.outcome,
        "error_class": call.error_class or "",
        "attempts": len(call.attempts),
        "streaming": call.streaming,
        "input_tokens": _total([usage.input_tokens for usage in usages]),
        "output_tokens": _total([usage.output_tokens for usage in usages]),
        "cost": None if cost is None else exact_text(cost),
        "currency": currency,
        "estimated": any(price.estimated for price in priced.prices),
        "duration": round(call.duration_ns / 1e6, _DECIMALS_MS),
        "ttft": _ttft_ms(call),
        "reasons": list(call.reasons[:5]),
    }


def _ttft_ms(call: CallRecord) -> float | None:
    """From the start of the call, as its row has it: the tries before the last one were waited for too."""
    last = call.attempts[-1] if call.attempts else None
    if last is None or last.ttft_ns is None:
        return None
    return round((last.started_at_ns - call.started_at_ns + last.ttft_ns) / 1e6, _DECIMALS_MS)


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}\N{HORIZONTAL ELLIPSIS}"

"""Closes the calls of a process that died: money a crash has spent is still on the books. PURE.

A call that was admitted and never ended becomes a call with the outcome `interrupted`. Whether its answer came, and how
much of it, nobody knows any more: its usage is an estimate that says so (`proxy.core.presumed`); the reserved cost
stands where the usage cannot be priced.
"""

import hashlib

from msgspec.structs import replace

from proxy.core.presumed import estimated_usage, held_usage
from proxy.core.record import RECORD_VERSION, AttemptRecord, CallRecord, OpenRecord
from proxy.core.usage import Usage

OUTCOME = "interrupted"


def close_interrupted(opened: OpenRecord, *, last_sign_ns: int) -> CallRecord:
    """The end of a call whose process died.

    Args:
        opened: What was noted when it was admitted.
        last_sign_ns: When the process last gave a sign of life, Unix time in nanoseconds.
    """
    duration_ns = max(0, last_sign_ns - opened.started_at_ns)
    attempts = [_closed(one, opened, last_sign_ns) for one in (*opened.beside, opened.running or _only_attempt(opened))]
    return CallRecord(
        v=RECORD_VERSION,
        call_id=opened.call_id,
        started_at_ns=opened.started_at_ns,
        duration_ns=duration_ns,
        trace=opened.trace,
        caller=opened.caller,
        provider=opened.provider,
        dialect=opened.dialect,
        operation=opened.operation,
        method=opened.method,
        path=opened.path,
        model_requested=opened.model_requested,
        max_output_tokens=opened.max_output_tokens,
        streaming=opened.streaming,
        billable=opened.billable,
        outcome=OUTCOME,
        request_bytes=opened.request_bytes,
        attempts=(*opened.ended, *attempts),
        draws=opened.draws,
    )


def _only_attempt(opened: OpenRecord) -> AttemptRecord:
    """The attempt of a call without a route: it was sent where the app said."""
    return AttemptRecord(
        attempt=1,
        span_id=_span_id(opened.call_id),
        started_at_ns=opened.started_at_ns,
        duration_ns=0,
        provider=opened.provider,
        kind=opened.kind,
        host=opened.host,
        dialect=opened.dialect,
        model=opened.model_requested,
    )


def _closed(attempt: AttemptRecord, opened: OpenRecord, last_sign_ns: int) -> AttemptRecord:
    """An attempt that was under way; each of those that ran against each other may have cost all that one may."""
    hold = opened.hold
    return replace(
        attempt,
        duration_ns=max(0, last_sign_ns - attempt.started_at_ns),
        outcome=OUTCOME,
        request_bytes=opened.request_bytes,
        usage=held_usage(hold, "hold") if hold is not None else _estimate(opened),
        held_cost=hold.cost if hold is not None else None,
    )


def _estimate(opened: OpenRecord) -> Usage:
    return estimated_usage(
        model=opened.model_requested,
        dialect=opened.dialect,
        request_bytes=opened.request_bytes,
        max_output_tokens=opened.max_output_tokens,
        origin="open_record",
    )


def _span_id(call_id: str) -> str:
    """The same for the same call, and as good as never that of another."""
    return hashlib.sha256(f"interrupted {call_id}".encode()).hexdigest()[:16]

"""Closes the calls of a process that died: money a crash has spent is still on the books. PURE.

A call that was admitted and never ended becomes a call with the outcome `interrupted`. Whether its answer came, and how
much of it, nobody knows any more: its usage is an estimate that says so. Where something was reserved for the call,
that is the estimate, and the reserved cost stands where the usage cannot be priced. Else it comes from the size of the
request (four bytes to a token, the common rule of thumb for English) and the output limit the app asked for. Where the
app set no limit, and where the body is too large to be text alone (images count by other rules), a figure would be made
up: it stays unknown.
"""

import hashlib

from msgspec.structs import replace

from proxy.core.record import RECORD_VERSION, AttemptRecord, CallRecord, Hold, OpenRecord
from proxy.core.usage import NO_USAGE, Usage

OUTCOME = "interrupted"
BYTES_PER_TOKEN = 4
MAX_TEXT_BYTES = 1024 * 1024
"""A larger request is taken to hold more than text."""


def close_interrupted(opened: OpenRecord, *, last_sign_ns: int) -> CallRecord:
    """The end of a call whose process died.

    Args:
        opened: What was noted when it was admitted.
        last_sign_ns: When the process last gave a sign of life, Unix time in nanoseconds.
    """
    duration_ns = max(0, last_sign_ns - opened.started_at_ns)
    attempt = replace(
        opened.running or _only_attempt(opened),
        duration_ns=max(0, last_sign_ns - _begun_ns(opened)),
        outcome=OUTCOME,
        request_bytes=opened.request_bytes,
        usage=_held(opened.hold) if opened.hold is not None else _estimate(opened),
        held_cost=opened.hold.cost if opened.hold is not None else None,
    )
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
        attempts=(*opened.ended, attempt),
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


def _begun_ns(opened: OpenRecord) -> int:
    return opened.running.started_at_ns if opened.running is not None else opened.started_at_ns


def _held(hold: Hold) -> Usage:
    if hold.input_tokens is None and hold.output_tokens is None and not hold.units:
        return NO_USAGE
    return Usage(
        input_tokens=hold.input_tokens,
        output_tokens=hold.output_tokens,
        units=hold.units,
        source="estimated",
        origin="hold",
    )


def _estimate(opened: OpenRecord) -> Usage:
    is_text = 0 < opened.request_bytes <= MAX_TEXT_BYTES
    if not opened.model_requested or not opened.dialect or not is_text:
        return NO_USAGE
    return Usage(
        input_tokens=-(-opened.request_bytes // BYTES_PER_TOKEN),
        output_tokens=opened.max_output_tokens,
        source="estimated",
        origin="open_record",
    )


def _span_id(call_id: str) -> str:
    """The same for the same call, and as good as never that of another."""
    return hashlib.sha256(f"interrupted {call_id}".encode()).hexdigest()[:16]

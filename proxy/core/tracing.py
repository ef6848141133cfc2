"""W3C Trace Context: the app's `traceparent` read strictly, ours written.

Pure: new ids are passed in. Source: https://www.w3.org/TR/trace-context/ (level 1), sections 3.2 and 3.3.
"""

import re
from collections.abc import Sequence

import msgspec

from proxy.core.record import TraceIds

MAX_STATE_CHARS = 512
"""Longest `tracestate` that is kept on the record; what is passed on has no limit of ours (section 3.3.1.5)."""

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_NO_TRACE = b"0" * 32
_NO_SPAN = b"0" * 16
_SAMPLED = 0x01


class TraceParent(msgspec.Struct, frozen=True):
    """A valid `traceparent`: lower-case hex ids and the sampled flag."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(value: bytes) -> TraceParent | None:
    """Read a `traceparent`; None unless it is valid to the letter.

    Version ff and ids of zeros are invalid; version 00 has nothing after the flags; a later version may have more after
    a dash, of which the known part is used (section 4.3).
    """
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == b"ff" or trace_id == _NO_TRACE or span_id == _NO_SPAN or (version == b"00" and more is not None):
        return None
    return TraceParent(trace_id.decode("ascii"), span_id.decode("ascii"), bool(int(flags, 16) & _SAMPLED))


def format_traceparent(trace_id: str, span_id: str, *, sampled: bool) -> bytes:
    """A `traceparent` of version 00. Flags that are not defined there are sent as zero (section 3.2.2.5.2)."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}".encode("ascii")


def trace_of(parents: Sequence[bytes], states: Sequence[bytes], *, trace_id: str, span_id: str) -> TraceIds:
    """Ids of a call: a child of the app's span when there is one valid `traceparent`, else a trace of its own.

    Args:
        parents: every `traceparent` field of the request; two of them are as invalid as none.
        states: every `tracestate` field, in order; without a valid parent they mean nothing (section 3.3.1).
        trace_id: a fresh trace id (32 hex digits) for the case that there is no valid parent.
        span_id: the fresh id (16 hex digits) of the call's own span.

    """
    parent = parse_traceparent(parents[0]) if len(parents) == 1 else None
    if parent is None:
        return TraceIds(trace_id=trace_id, span_id=span_id)
    state = b",".join(states).decode("latin-1")
    return TraceIds(
        trace_id=parent.trace_id,
        span_id=span_id,
        parent_span_id=parent.span_id,
        sampled=parent.sampled,
        state=state if len(state) <= MAX_STATE_CHARS else "",
    )


def trace_changes(ids: TraceIds, attempt_span_id: str) -> dict[bytes, bytes | None]:
    """Header changes for one attempt: our `traceparent`, and no `tracestate` where its parent was invalid."""
    changes: dict[bytes, bytes | None] = {
        b"traceparent": format_traceparent(ids.trace_id, attempt_span_id, sampled=ids.sampled)
    }
    if not ids.parent_span_id:
        changes[b"tracestate"] = None
    return changes

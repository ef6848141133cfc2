"""Records with little to say, and records with anything in them."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from proxy.core.errors import REMEDIES, ErrorFacts
from proxy.core.money import Money
from proxy.core.record import RECORD_VERSION, AttemptRecord, Caller, CallRecord, LossRecord, OpenRecord, TraceIds
from proxy.core.usage import Usage, UsagePart

STARTED_NS = 1_795_000_000_123_456_789
TRACE = TraceIds(
    trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331", parent_span_id="00f067aa0ba902b7"
)
CALLER = Caller(key_id="k-1", team="search", project="ranking", user="ada", session="s-1", tags={"env": "prod"})


def call_id(number: int) -> str:
    """A call id that counts."""
    return f"{number:032x}"


def attempt(number: int = 1, **more: Any) -> AttemptRecord:
    """A good attempt; `more` are fields of `AttemptRecord`."""
    fields: dict[str, Any] = {
        "attempt": number,
        "span_id": f"{number:016x}",
        "started_at_ns": STARTED_NS + 1_000_000,
        "duration_ns": 800_000_000,
        "provider": "openai",
        "kind": "openai",
        "host": "api.openai.com",
        "dialect": "openai.chat",
        "model": "gpt-4.1-mini",
        "status": 200,
        "outcome": "ok",
        "finish_reason": "stop",
        "finish_class": "stop",
        "ttfb_ns": 50_000_000,
        "usage": Usage(input_tokens=1000, output_tokens=200, source="provider", origin="response.usage", complete=True),
    }
    return AttemptRecord(**fields | more)


def call(number: int = 1, *attempts: AttemptRecord, **more: Any) -> CallRecord:
    """A good call with one attempt; `more` are fields of `CallRecord`."""
    fields: dict[str, Any] = {
        "v": RECORD_VERSION,
        "call_id": call_id(number),
        "started_at_ns": STARTED_NS,
        "duration_ns": 900_000_000,
        "trace": TRACE,
        "caller": CALLER,
        "provider": "openai",
        "dialect": "openai.chat",
        "operation": "chat",
        "method": "POST",
        "path": "/v1/chat/completions",
        "model_requested": "gpt-4.1-mini",
        "status": 200,
        "outcome": "ok",
        "attempts": attempts or (attempt(),),
    }
    return CallRecord(**fields | more)


def opened(number: int = 1, **more: Any) -> OpenRecord:
    """The opening of `call(number)`; `more` are fields of `OpenRecord`."""
    fields: dict[str, Any] = {
        "v": RECORD_VERSION,
        "call_id": call_id(number),
        "started_at_ns": STARTED_NS,
        "trace": TRACE,
        "caller": CALLER,
        "provider": "openai",
        "kind": "openai",
        "host": "api.openai.com",
        "dialect": "openai.chat",
        "operation": "chat",
        "method": "POST",
        "path": "/v1/chat/completions",
        "model_requested": "gpt-4.1-mini",
        "request_bytes": 4001,
    }
    return OpenRecord(**fields | more)


def loss(**counts: int) -> LossRecord:
    """Losses by reason."""
    return LossRecord(v=RECORD_VERSION, at_ns=STARTED_NS, counts=counts)


_TEXT = st.text(max_size=12)
_COUNT = st.none() | st.integers(-5, 10**6) | st.sampled_from([2**63, 2**64 - 1, -(2**63)])
_NS = st.integers(-(10**9), 10**10) | st.sampled_from([2**63 - 1, STARTED_NS])
_NUMBER = st.decimals(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [Decimal("1E-30"), Decimal("1E+40"), Decimal(0)]
)
_MONEY = st.builds(Money, _NUMBER, st.sampled_from(["USD", "CNY"]))


def _usages(**more: Any) -> st.SearchStrategy[Usage]:
    figures = {name: _COUNT for name in Usage.__struct_fields__ if name.endswith("_tokens")}
    return st.builds(
        Usage,
        **figures,
        units=st.dictionaries(_TEXT, _NUMBER, max_size=3),
        source=st.sampled_from(["provider", "computed", "estimated", "none"]),
        origin=_TEXT,
        complete=st.booleans(),
        **more,
    )


_USAGE = _usages(
    parts=st.lists(st.builds(UsagePart, kind=_TEXT, model=st.none() | _TEXT, usage=_usages()), max_size=2).map(tuple)
)
_ERROR = st.builds(
    ErrorFacts, error_class=st.sampled_from(list(REMEDIES)), code=st.none() | _TEXT, type=st.none() | _TEXT
)
_ATTEMPT = st.builds(
    AttemptRecord,
    attempt=st.integers(-1, 300),
    span_id=_TEXT,
    started_at_ns=_NS,
    duration_ns=_NS,
    provider=_TEXT,
    kind=_TEXT,
    host=_TEXT,
    model=_TEXT,
    status=st.integers(-1, 70000),
    outcome=_TEXT,
    error=st.none() | _ERROR,
    finish_reason=_TEXT,
    finish_class=st.none() | st.sampled_from(["stop", "tool"]),
    stream_end=st.none() | st.sampled_from(["eof", "done_marker"]),
    connect_ns=st.none() | _NS,
    ttfb_ns=st.none() | _NS,
    ttft_ns=st.none() | _NS,
    request_bytes=st.integers(-1, 2**63 - 1),
    response_bytes=st.integers(-1, 2**63 - 1),
    usage=_USAGE,
    provider_cost=st.none() | _MONEY,
    response_id=_TEXT,
    changes=st.lists(_TEXT, max_size=2).map(tuple),
    unread=_TEXT,
)
any_call = st.builds(
    CallRecord,
    v=st.just(RECORD_VERSION),
    call_id=_TEXT,
    started_at_ns=_NS,
    duration_ns=_NS,
    trace=st.builds(TraceIds, trace_id=_TEXT, span_id=_TEXT, parent_span_id=_TEXT, sampled=st.booleans(), state=_TEXT),
    caller=st.builds(Caller, team=_TEXT, user=_TEXT, tags=st.dictionaries(_TEXT, _TEXT, max_size=2)),
    provider=_TEXT,
    operation=_TEXT,
    method=_TEXT,
    path=_TEXT,
    model_requested=_TEXT,
    max_output_tokens=_COUNT,
    streaming=st.booleans(),
    status=st.integers(-1, 70000),
    outcome=_TEXT,
    error_class=st.none() | st.sampled_from(list(REMEDIES)),
    overhead_ns=_NS,
    request_bytes=st.integers(-1, 2**63 - 1),
    client_gone=st.booleans(),
    reasons=st.lists(_TEXT, max_size=2).map(tuple),
    attempts=st.lists(_ATTEMPT, max_size=3).map(tuple),
)
"""Calls with figures and words that no sane provider sends."""

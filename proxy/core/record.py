"""The record of a call: one per call, refused ones too, with every attempt in it. It is what the journal holds.

Versioned: readers accept every older `v`; a field is only ever added, with a default. `v` goes up when that is not
enough: a reader leaves a line of a later `v` alone as a whole, since half of it may mean something else.
"""

from decimal import Decimal
from typing import Annotated

import msgspec

from proxy.core.errors import ErrorClass, ErrorFacts
from proxy.core.facts import FinishClass, StreamEnd
from proxy.core.money import Money
from proxy.core.usage import NO_USAGE, Usage

RECORD_VERSION = 1
Version = Annotated[int, msgspec.Meta(ge=1, le=RECORD_VERSION)]
"""What this version can read."""


class Caller(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who called: a fingerprint of the key (never the key) and what the app attributes the call to."""

    key_id: str = ""
    team: str = ""
    project: str = ""
    user: str = ""
    session: str = ""
    tags: dict[str, str] = {}


class TraceIds(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Lower-case hex, as W3C Trace Context writes them: 32 characters of trace, 16 of span."""

    trace_id: str
    span_id: str
    parent_span_id: str = ""
    sampled: bool = True
    state: str = ""


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try at one target."""

    attempt: int
    """Counts from 1 within the call."""
    span_id: str
    started_at_ns: int
    """Unix time in nanoseconds."""
    duration_ns: int
    provider: str
    kind: str
    """The built-in provider this one behaves like (`openai`, `minimax` ...)."""
    host: str
    dialect: str = ""
    model: str = ""
    """The answering model if the answer names one, else the requested one."""
    service_tier: str = ""
    status: int = 0
    """HTTP status of the provider; 0 when it never answered."""
    outcome: str = ""
    error: ErrorFacts | None = None
    finish_reason: str = ""
    finish_class: FinishClass | None = None
    stream_end: StreamEnd | None = None
    connect_ns: int | None = None
    """Time to get a connection; None when a kept one was used."""
    ttfb_ns: int | None = None
    """From the start of the attempt to the first byte of the answer's head."""
    ttft_ns: int | None = None
    """From the start of the attempt to the first content."""
    request_bytes: int = 0
    response_bytes: int = 0
    usage: Usage = NO_USAGE
    provider_cost: Money | None = None
    held_cost: Money | None = None
    """What was reserved for it, where nobody knows any more what it cost: of interrupted calls alone."""
    billing: str = ""
    """`subscription` where the key that was used says so; empty where nobody knows."""
    response_id: str = ""
    provider_request_id: str = ""
    changes: tuple[str, ...] = ()
    """What was changed on the way, by name: `usage_requested`, `model_replaced` ..."""
    unread: str = ""
    rule: str = ""
    """The outcome rule that gave it its outcome; empty for calls without a route."""
    target: str = ""
    """Id of the route's target; likewise."""
    in_doubt: bool = False
    """Whether the provider had the request, and the connection ended before its answer did: broken off by the provider
    before it began, or by us because another target was faster. What it bills for it, nobody knows."""


class Draw(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call draws on one counter of the ledger. Amounts are whole numbers (`policies.demand`)."""

    counter: str
    unit: str
    """A currency, `calls`, a kind of tokens, or a unit of usage."""
    held: int
    """Reserved before the call went on its way."""
    set_aside: int | None = None
    """What the worker reckons that the call used; None while it is under way, and where nothing told: it is `held`."""
    bill: str = ""
    """Currency of the call's bill where it is not `unit`."""
    exchange: Decimal | None = None
    """What one `bill` is in `unit`."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="line", tag="call"):
    """One finished call. The journal line of it is this, as JSON."""

    v: Version
    call_id: str
    started_at_ns: int
    duration_ns: int
    trace: TraceIds
    caller: Caller
    provider: str
    dialect: str = ""
    operation: str = ""
    method: str = ""
    path: str = ""
    """The path as sent to the provider, without the query: a query can hold a key."""
    model_requested: str = ""
    max_output_tokens: int | None = None
    streaming: bool = False
    billable: bool = True
    """False for calls that cost nothing by the provider's own word: lists, counts, polling."""
    status: int = 0
    """HTTP status the app saw; 0 when it left before there was one."""
    outcome: str = ""
    """`ok`, `error`, `refused`, `cancelled`, `broken`, `interrupted`."""
    error_class: ErrorClass | None = None
    overhead_ns: int = 0
    """Time spent in the proxy itself: the call less its attempts."""
    request_bytes: int = 0
    response_bytes: int = 0
    client_gone: bool = False
    reasons: tuple[str, ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()
    draws: tuple[Draw, ...] = ()


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was reserved for a call when it was admitted: the most that it may use. None means "not known"."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    units: dict[str, Decimal] = {}
    """Everything that is not a token, by the names of `Usage.units`."""
    cost: Money | None = None


class OpenRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="line", tag="open"):
    """A call that was admitted. Without a later `CallRecord` of the same id it is closed as `interrupted`."""

    v: Version
    call_id: str
    started_at_ns: int
    trace: TraceIds
    caller: Caller
    provider: str
    kind: str = ""
    host: str = ""
    dialect: str = ""
    operation: str = ""
    method: str = ""
    path: str = ""
    model_requested: str = ""
    max_output_tokens: int | None = None
    streaming: bool = False
    billable: bool = True
    request_bytes: int = 0
    hold: Hold | None = None
    """What was reserved for it; None where nothing had to be."""
    draws: tuple[Draw, ...] = ()
    ended: tuple[AttemptRecord, ...] = ()
    """Attempts that are over: a call that goes on to another target is opened once more, and the last line counts."""
    running: AttemptRecord | None = None
    """The attempt that begins with this line; None for calls without a route, where nothing of it could differ."""
    beside: tuple[AttemptRecord, ...] = ()
    """Attempts that run against it (hedging)."""


class LossRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="line", tag="loss"):
    """Something that was not recorded or not understood, counted by reason since the last such line."""

    v: Version
    at_ns: int
    counts: dict[str, int]


JournalLine = CallRecord | OpenRecord | LossRecord
"""Everything that can stand on a line of the journal."""

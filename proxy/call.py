"""The progress of one call, from the first byte to its record."""

import time
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from policies.demand import Demand
from policies.downgrade import Downgrade
from policies.outcome_facts import Outcome
from policies.steps import Growth
from proxy.blanks import NO_TRACE
from proxy.core.errors import ErrorClass, ErrorFacts, ErrorSeen, judge
from proxy.core.facts import RequestFacts, ResponseFacts
from proxy.core.query import REDACTED
from proxy.core.record import AttemptRecord, CallRecord, Draw, Hold, OpenRecord
from proxy.downstream.server import ClientRequest
from proxy.exchange import Exchange
from proxy.place import Place
from proxy.upstream.errors import UpstreamError

if TYPE_CHECKING:
    import asyncio

    from proxy.extending import Extension
    from proxy.replies import Reply
    from proxy.upstream.keys import UpstreamKey

_NO_FACTS = RequestFacts()
_LONGEST_TEXT_CHARS = 512
"""Of a name or an id in a record: both sides can send megabytes of one."""
_SHORTEST_KEY_CHARS = 8
"""A shorter one is no secret, but a word (`none`, `EMPTY`) that may stand in any message."""
_END_MARKERS = frozenset({"done_marker", "message_stop"})
_ENDED_BY_US = frozenset({"shutdown", "budget"})


class Permit(msgspec.Struct, frozen=True, kw_only=True):
    """What a call was admitted with."""

    demands: tuple[Demand, ...] = ()
    draws: tuple[Draw, ...] = ()
    """One for each demand."""
    recorded: tuple[Draw, ...] = ()
    """Those that the ledger keeps books of; the others are over when the call is."""
    uncounted: tuple[str, ...] = ()
    """Counters that could not be asked, and whose policy lets calls pass then."""
    hold: Hold | None = None
    growth: Growth | None = None
    """How the holds grow while the call is under way; None where all of them are bounds."""
    head_lines: bytes = b""
    """Header lines for the app, beside the provider's own."""
    body: bytes | None = None
    """The request's body in place of the app's own; None leaves that."""
    changes: tuple[str, ...] = ()
    """What was changed in it, by name."""
    places: tuple[tuple[str, str | None], ...] | None = None
    """Provider and model of the targets that it was admitted for; None where that is its whole plan."""
    downgrade: Downgrade | None = None
    """What it was admitted to in place of what it asks for; None for nearly all calls."""


class Call:
    """One call on its way through the walk. It hears its client connection and passes that on to the exchange."""

    __slots__ = (
        "attempts",
        "beside",
        "billing",
        "body_complete_ns",
        "call_id",
        "caller",
        "client_gone",
        "cut",
        "dialect_name",
        "exchange",
        "extension",
        "facts",
        "identity",
        "interrupted",
        "key",
        "method",
        "model_requested",
        "operation",
        "path",
        "permit",
        "place",
        "provider_key",
        "reasons",
        "refusal_class",
        "refused",
        "request",
        "request_bytes",
        "route",
        "running",
        "running_beside",
        "started_at_ns",
        "started_ns",
        "status",
        "streaming",
        "trace",
        "upstream",
        "waits",
    )

    def __init__(self, request: ClientRequest, call_id: str, place: Place) -> None:
        self.started_at_ns = time.time_ns()
        self.started_ns = time.monotonic_ns()
        self.request = request
        self.call_id = call_id
        self.place = place
        self.upstream = place.upstream
        self.route = place.route
        self.method = request.head.method
        self.path = place.path
        self.operation = place.route.operation
        self.dialect_name = place.dialect_name
        self.trace = NO_TRACE
        self.identity = place.shared.identity
        self.caller = self.identity.caller
        self.provider_key: UpstreamKey | None = None
        """The operator's key that goes to the provider; None lets the app's own pass."""
        self.billing = ""
        self.key = ""
        """Name of the virtual key; empty for a key of the app's own."""
        self.facts: RequestFacts = _NO_FACTS
        self.model_requested = ""
        """The model that the app asked for, in its body or its path."""
        self.streaming = False
        """Whether a stream was asked for, in the body or by the path."""
        self.learn(_NO_FACTS)
        self.exchange: Exchange | None = None
        self.beside: tuple[Exchange, ...] = ()
        """Exchanges that run against it (`proxy.hedging`), those that are over among them."""
        self.waits: asyncio.Future[None] | None = None
        """Set while it waits for its turn (`proxy.queueing`): to be told that the app left."""
        self.client_gone = False
        self.interrupted = False
        """Whether the worker ended before the call did."""
        self.request_bytes = 0
        self.body_complete_ns = self.started_ns
        self.status = 0
        self.permit: Permit | None = None
        self.refused = ""
        self.refusal_class: ErrorClass | None = None
        self.reasons = list(self.identity.reasons)
        self.attempts: list[AttemptRecord] = []
        self.running: AttemptRecord | None = None
        """The attempt of a routed call that is under way."""
        self.running_beside: tuple[AttemptRecord, ...] = ()
        """Those that run against it."""
        self.extension: Extension | None = None
        """What is held of an answer under way, where that is no bound (`proxy.extending`)."""
        self.cut: Reply | None = None
        """What the app was told where a budget ended its answer."""

    @property
    def head_lines(self) -> bytes:
        """What the answer's head says beside the provider's own headers."""
        lines = b"x-taximeter-call-id: %b\r\n" % self.call_id.encode("ascii")
        return lines if self.permit is None else lines + self.permit.head_lines

    @property
    def query_text(self) -> str:
        """The query without its question mark, as it came."""
        return str(self.place.query[1:], "latin-1")

    def learn(self, facts: RequestFacts) -> None:
        """Take what the request body says."""
        self.facts = facts
        self.model_requested = (facts.model or self.route.model or "")[:_LONGEST_TEXT_CHARS]
        self.streaming = facts.streaming or self.route.streaming

    # the client connection

    def on_client_gone(self) -> None:
        """The app left."""
        self.client_gone = True
        if self.waits is not None and not self.waits.done():
            self.waits.set_result(None)
        if self.exchange is not None:
            self.exchange.on_client_gone()
        for exchange in self.beside:
            exchange.on_client_gone()

    def on_client_writable(self) -> None:
        """The app takes bytes again."""
        if self.exchange is not None:
            self.exchange.on_client_writable()

    def on_client_data(self, data: bytes) -> None:
        """Bytes of a tunnel."""
        if self.exchange is not None:
            self.exchange.on_client_data(data)

    # the record

    def opened(self) -> OpenRecord:
        """What the journal keeps while the call is under way."""
        return replace(
            self.place.blanks.opened,
            call_id=self.call_id,
            started_at_ns=self.started_at_ns,
            trace=self.trace,
            caller=self.caller,
            model_requested=self.model_requested,
            max_output_tokens=self.facts.max_output_tokens,
            streaming=self.streaming,
            request_bytes=self.request_bytes,
            hold=self.permit.hold if self.permit is not None else None,
            draws=self.permit.recorded if self.permit is not None else (),
            ended=tuple(self.attempts),
            running=self.running,
            beside=self.running_beside,
        )

    def closed(self) -> CallRecord:
        """The finished call."""
        last = self.attempts[-1] if self.attempts else None
        duration_ns = time.monotonic_ns() - self.started_ns
        elsewhere_ns = self.body_complete_ns - self.started_ns
        for attempt in self.attempts:
            elsewhere_ns += attempt.duration_ns
        outcome, error_class = self._outcome(last)
        return replace(
            self.place.blanks.closed,
            call_id=self.call_id,
            started_at_ns=self.started_at_ns,
            duration_ns=duration_ns,
            trace=self.trace,
            caller=self.caller,
            model_requested=self.model_requested,
            max_output_tokens=self.facts.max_output_tokens,
            streaming=self.streaming,
            status=self.status,
            outcome=outcome,
            error_class=error_class,
            overhead_ns=max(0, duration_ns - elsewhere_ns),
            request_bytes=self.request_bytes,
            response_bytes=last.response_bytes if last is not None else 0,
            client_gone=self.client_gone,
            reasons=tuple(self.reasons),
            attempts=tuple(self.attempts),
        )

    def _outcome(self, last: AttemptRecord | None) -> tuple[str, ErrorClass | None]:
        if self.refused:
            return "refused", self.refusal_class
        if self.interrupted:
            return "interrupted", "unknown"
        if last is None:
            return ("cancelled", "cancelled_by_client") if self.client_gone else ("error", "unknown")
        return last.outcome, last.error.error_class if last.error is not None else None


def attempt_record(  # noqa: PLR0913 - it is the row of an attempt, filled in one place
    call: Call,
    exchange: Exchange | None,
    facts: ResponseFacts,
    error: UpstreamError | None,
    *,
    span_id: str,
    started_at_ns: int,
    started_ns: int,
    connect_ns: int | None,
    changes: tuple[str, ...],
    request_bytes: int,
    begun: AttemptRecord | None = None,
    judged: Outcome | None = None,
) -> AttemptRecord:
    """The row of one attempt, from what was seen of it.

    Routed attempts bring `begun`, with what their target says, and `judged`, by the outcome rules.
    """
    head = exchange.head if exchange is not None else None
    if judged is None:
        left_early = call.client_gone and not _had_answer(exchange, facts)
        outcome, stated = _judge(call, head.status if head is not None else 0, facts, error, left_early=left_early)
        rule = ""
    else:
        outcome, stated, rule = judged.word, judged.error, judged.rule
    first_byte_ns = exchange.first_byte_ns if exchange is not None else 0
    first_content_ns = exchange.first_content_ns if exchange is not None else 0
    return replace(
        call.upstream.blank_attempt if begun is None else begun,
        attempt=len(call.attempts) + 1 if begun is None else begun.attempt,
        span_id=span_id,
        started_at_ns=started_at_ns,
        duration_ns=time.monotonic_ns() - started_ns,
        dialect=call.dialect_name,
        model=(facts.model or (call.model_requested if begun is None else begun.model))[:_LONGEST_TEXT_CHARS],
        service_tier=(facts.service_tier or "")[:_LONGEST_TEXT_CHARS],
        status=head.status if head is not None else 0,
        outcome=outcome,
        error=_without_keys(stated, call) if stated is not None and stated.message else stated,
        finish_reason=(facts.finish_reason or "")[:_LONGEST_TEXT_CHARS],
        finish_class=facts.finish_class,
        stream_end=facts.stream_end,
        connect_ns=connect_ns,
        ttfb_ns=first_byte_ns - started_ns if first_byte_ns else None,
        ttft_ns=first_content_ns - started_ns if first_content_ns and call.streaming else None,
        request_bytes=request_bytes,
        response_bytes=exchange.response_bytes if exchange is not None else 0,
        usage=facts.usage,
        provider_cost=facts.provider_cost,
        billing=call.billing if begun is None else begun.billing,
        response_id=(facts.response_id or "")[:_LONGEST_TEXT_CHARS],
        provider_request_id=head.request_id[:_LONGEST_TEXT_CHARS] if head is not None else "",
        changes=changes,
        unread=facts.unread or "",
        rule=rule,
        in_doubt=_is_in_doubt(exchange, error),
    )


def _is_in_doubt(exchange: Exchange | None, error: UpstreamError | None) -> bool:
    """An app that breaks off its own request is not meant: then the provider never had all of it."""
    return exchange is not None and error is not None and error.phase == "first_byte" and exchange.broken_off


def _without_keys(error: ErrorFacts, call: Call) -> ErrorFacts:
    """The error without the keys that were used: some providers repeat the one they refuse."""
    message = said = error.message or ""
    own = (key.decode("utf-8", "replace") for key in call.identity.credentials)
    for key in (*own, *(key.secret for key in call.upstream.keys.all)):
        if len(key) >= _SHORTEST_KEY_CHARS:
            message = message.replace(key, REDACTED)
    return error if message == said else replace(error, message=message)


def _had_answer(exchange: Exchange | None, facts: ResponseFacts) -> bool:
    """Whether there was nothing more to come for an app that has left.

    SDKs close a stream at its end marker, and do not wait for the end of its framing; a tunnel ends when either side
    leaves it.
    """
    if exchange is None or exchange.head is None:
        return False
    return exchange.complete or exchange.in_tunnel or facts.stream_end in _END_MARKERS


def _judge(
    call: Call, status: int, facts: ResponseFacts, error: UpstreamError | None, *, left_early: bool
) -> tuple[str, ErrorFacts | None]:
    """Outcome and judged error of an attempt: what the provider said first, then what happened to the connection."""
    seen = facts.error
    if seen is not None:
        return "error", call.upstream.kind.judge(seen)
    if error is not None:
        outcome = "interrupted" if error.phase in _ENDED_BY_US else "broken" if status else "error"
        return outcome, judge(ErrorSeen(status=status, message=str(error), in_stream=status > 0), _way_class(error))
    if left_early:
        gone = ErrorSeen(status=status, message="the app closed the connection", in_stream=status > 0)
        return "cancelled", judge(gone, "cancelled_by_client")
    if status >= 400:
        bare = ErrorSeen(status=status)
        return "error", call.upstream.kind.judge(bare)
    if facts.stream_end == "truncated":
        cut = ErrorSeen(status=status, message="the stream ended without its end marker", in_stream=True)
        return "broken", judge(cut, "stream_truncated")
    if facts.unread == "not_json" and status < 300:
        return "error", judge(ErrorSeen(status=status, message="the answer is not JSON"), "bad_upstream_body")
    return "ok", None


def _way_class(error: UpstreamError) -> ErrorClass:
    if error.phase == "connect":
        return "connect_error"
    if error.phase == "request":
        return "invalid_request"
    if error.phase in _ENDED_BY_US:
        return "unknown"
    if error.phase == "head":
        return "bad_upstream_body"
    if error.timed_out:
        return "timeout"
    return "stream_truncated" if error.phase in {"answer", "idle"} else "connect_error"

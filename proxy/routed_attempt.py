"""One try of a routed call at one target: sent, held back, judged by everything that came, and written down.

The walk over the targets is `proxy.routed`; an attempt knows nothing of those after it.
"""

import asyncio
import time
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from policies.answer_text import answer_text, asks_for_json
from policies.outcome_facts import Outcome, Seen, Trouble
from policies.outcomes import Classifier, plainly_good
from policies.retrying import Limits
from policies.routes_compiled import Route
from proxy.aiming import Aim, body_with_usage, start_at
from proxy.call import Call, attempt_record
from proxy.core.coding import can_code
from proxy.core.facts import ResponseFacts
from proxy.core.record import AttemptRecord
from proxy.editing import Editor, UsageEditor
from proxy.forward import Losses
from proxy.held_exchange import Bounds, HeldExchange, Untouched
from proxy.ids import new_span_id
from proxy.measuring import observe
from proxy.observer import Observer
from proxy.replies import Reply, error_event
from proxy.request_head import RequestHead
from proxy.routed_row import decoded, had_answer, header_values, last_event, without_keys
from proxy.upstream.errors import UpstreamError
from proxy.upstream.framing import ResponseHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.upstream.connection import Connection

UNLIMITED = Limits(connect_ms=None, first_byte_ms=None, first_content_ms=None, idle_ms=None, attempt_ms=None)
"""Of most routes: nothing is looked at where it is this one."""
WHOLE_BYTES = 1024 * 1024
"""A whole answer that is larger goes out before its end is seen; nearly all are a hundredth of that."""
_ROUTES_KEPT = 64
_STALE_LIMIT_S = 1.0
_RESENT = "resent_on_fresh_connection"
_EVENTS = "text/event-stream"
_USAGE_REFUSALS = frozenset({400, 422})
_USAGE_WORDS = ("stream_options", "include_usage")
_RETRY_HEADERS = frozenset({"retry-after", "retry-after-ms"})


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt."""

    outcome: Outcome
    record: AttemptRecord
    error: UpstreamError | None
    committed: bool
    """Whether the app has got any of its answer."""
    headers: dict[str, str]
    """Those of the answer that somebody may look at, by names in lower case."""


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """What all attempts of a worker share."""

    loop: asyncio.AbstractEventLoop
    losses: Losses
    classifier: Classifier
    max_captured_bytes: int
    captures_bytes: int
    """How much of an answer rules want to look at."""


class RoutedAttempt:
    """One try at one target."""

    def __init__(
        self,
        sender: Sender,
        call: Call,
        head: RequestHead,
        aim: Aim,
        route: Route,
        limits: Limits,
        *,
        head_lines: bytes,
        asks_usage: bool = True,
    ) -> None:
        self.number = 1
        """Counts from 1 within the call."""
        self.exchange: HeldExchange | None = None
        self.on_exchange: Callable[[HeldExchange], None] | None = None
        """Told of each of its exchanges before that begins."""
        self._begun: AttemptRecord | None = None
        self._connect_ns: int | None = None
        self._error: UpstreamError | None = None
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        self._sender = sender
        self._call = call
        self._aim = aim
        self._route = route
        self._limits = limits
        self._head_lines = head_lines
        self._started_at_ns = time.time_ns()
        self._started_ns = time.monotonic_ns()
        self.span_id = new_span_id()
        self.changes = list(aim.changes) if call.permit is None else [*call.permit.changes, *aim.changes]
        if aim.upstream.keys.several and aim.key is not None:
            self.changes.append(f"provider_key={aim.key.name}")
        asked = body_with_usage(call, aim) if asks_usage else None
        self._asked_usage = asked is not None
        if asked is not None:
            self.changes.append("usage_requested")
        self._data = self._request(head, aim.body if asked is None else asked)

    @property
    def refused_usage(self) -> bool:
        """Whether the provider refused the usage option that only we asked for; then it is to be sent without."""
        exchange = self.exchange
        if not self._asked_usage or exchange is None or exchange.head is None or not exchange.holding:
            return False
        if exchange.head.status not in _USAGE_REFUSALS or exchange.observer is None or self._call.client_gone:
            return False
        error = exchange.observer.finish(clean=exchange.complete).error
        return error is not None and any(word in (error.message or "") for word in _USAGE_WORDS)

    def begun(self) -> AttemptRecord:
        """The row as far as it is known before anything is sent."""
        aim = self._aim
        self._begun = msgspec.structs.replace(
            aim.upstream.blank_attempt,
            attempt=self.number,
            span_id=self.span_id,
            started_at_ns=self._started_at_ns,
            dialect=self._call.dialect_name,
            model=aim.model,
            billing=self._call.billing if aim.key is None else aim.key.billing,
            changes=tuple(self.changes),
            target=aim.target.id,
        )
        return self._begun

    async def run(self) -> Ended:
        """Send, and wait until the answer is over or its limits are."""
        pool = self._aim.upstream.pool
        connection = pool.take_idle()
        try:
            while True:
                try:
                    if connection is None:
                        connection = await self._connect()
                except UpstreamError as error:
                    self._error = error
                    break
                if self._call.client_gone:
                    pool.give_back(connection)
                    break
                exchange = self._begin_over(connection)
                await exchange.done
                exchange.release(pool.give_back)
                if not self._was_stale(exchange, connection):
                    self._error = exchange.error if isinstance(exchange.error, UpstreamError) else None
                    break
                self.changes.append(_RESENT)
                connection = None
        finally:
            for timer in self._timers:
                timer.cancel()
        return self._end()

    def give_up(self, error: UpstreamError | None) -> Ended:
        """What became of it where its `run` was ended; `error` says why, unless its answer had come by then."""
        exchange = self.exchange
        if exchange is not None:
            exchange.release(self._aim.upstream.pool.give_back)
        if exchange is None or not exchange.complete:
            self._error = error
        return self._end()

    async def _connect(self) -> "Connection":
        began_ns = time.monotonic_ns()
        pool, limit_ms = self._aim.upstream.pool, self._limits.connect_ms
        try:
            async with asyncio.timeout(None if limit_ms is None else limit_ms / 1000):
                connection = await pool.acquire(fresh=_RESENT in self.changes)
        except TimeoutError as error:
            message = f"no connection to {pool.origin.host} within {limit_ms} ms"
            raise UpstreamError(message, phase="connect", timed_out=True) from error
        self._connect_ns = time.monotonic_ns() - began_ns
        return connection

    def _begin_over(self, connection: "Connection") -> HeldExchange:
        call, request, settings = self._call, self._call.request, self._aim.upstream.settings
        exchange = HeldExchange(
            request.client,
            self._sender.loop,
            http10=request.head.http10,
            keep_client=request.head.keeps,
            extra_head=self._head_lines,
            watch=self._watch,
            relays_continue=False,
            upgrades=False,
            holds=self._holds,
        )
        route = self._route
        bounds = _bounds(route.hold_head_bytes, route.hold_head_ms)
        exchange.hold_within(bounds, self._error_event, captures_bytes=self._sender.captures_bytes)
        self.exchange = call.exchange = exchange
        if self.on_exchange is not None:
            self.on_exchange(exchange)
        limits, first_byte_s, idle_s = self._limits, settings.first_byte_timeout_s, settings.idle_timeout_s
        if limits is not UNLIMITED:
            first_byte_s, idle_s = _least(first_byte_s, limits.first_byte_ms), _least(idle_s, limits.idle_ms)
            in_all_ms = limits.attempt_ms  # `policies.retrying.limits` states none that is longer
            self._limit(in_all_ms, exchange, "attempt")
            if limits.first_byte_ms != in_all_ms:
                self._limit(limits.first_byte_ms, exchange, "first_byte")
            if limits.first_content_ms != in_all_ms:
                self._limit(limits.first_content_ms, exchange, "first_content")
        exchange.start(connection, call.method, self._data, first_byte_s, idle_s)
        return exchange

    def _limit(self, limit_ms: int | None, exchange: HeldExchange, what: str) -> None:
        """End the exchange when one of the route's limits, counted from the attempt's start, has run out."""
        if limit_ms is None:
            return
        left_s = limit_ms / 1000 - (time.monotonic_ns() - self._started_ns) / 1e9

        def over() -> None:
            if exchange.ended or (what == "first_byte" and exchange.head is not None):
                return
            if what == "first_content" and (exchange.first_content_ns or exchange.is_committed):
                return
            phase = "first_byte" if exchange.head is None else "idle" if what == "first_content" else "answer"
            words = what.replace("_", " ")
            message = f"the {words} limit of {limit_ms} ms ran out"
            exchange.abandon(UpstreamError(message, phase=phase, timed_out=True))  # type: ignore[arg-type]

        self._timers += (self._sender.loop.call_later(max(0.0, left_s), over),)

    def _was_stale(self, exchange: HeldExchange, connection: "Connection") -> bool:
        """Whether a kept connection had been closed before the request came: then it was never worked on."""
        return (
            exchange.broken_off
            and exchange.head is None
            and connection.served > 0
            and not connection.got_bytes
            and not self._call.client_gone
            and self._sender.loop.time() - exchange.started_s < _STALE_LIMIT_S
        )

    def _holds(self, head: ResponseHead) -> bool:
        return self._route.hold_head or not 200 <= head.status < 300

    def _watch(self, head: ResponseHead) -> tuple[Observer, Editor | None]:
        sender = self._sender
        observer = observe(self._call, head.answer, sender.max_captured_bytes, sender.losses.lose)
        return observer, self._editor(head)

    def _editor(self, head: ResponseHead) -> Editor | None:
        if head.content_type != _EVENTS or head.framing == "none":
            return None
        if not self._asked_usage or head.status >= 300:
            return Untouched()
        if not can_code(head.content_encoding):
            self.changes.append("usage_left_in")
            return Untouched()
        return UsageEditor(head.content_encoding, keeps_null_usage=self._aim.upstream.kind.keeps_null_usage)

    def _error_event(self, message: str) -> bytes:
        call = self._call
        reply = call.cut or Reply(status=502, code="stream_broken", message=message)
        return error_event(reply, call.route.error_dialect, call.call_id)

    def _request(self, head: RequestHead, body: bytes) -> bytes:
        call, aim = self._call, self._aim
        span_id = self.span_id if aim.upstream.settings.traceparent else None
        return b"".join(
            (
                start_at(call, aim),
                head.trace_lines(call.trace, span_id),
                b"Content-Length: %d\r\n\r\n" % len(body) if body or head.declared_length is not None else b"\r\n",
                body,
            )
        )

    def _end(self) -> Ended:
        call, exchange = self._call, self.exchange
        facts = self._facts(exchange)
        committed = exchange is not None and exchange.is_committed
        head = exchange.head if exchange is not None else None
        headers: dict[str, str] = {}
        if head is not None and (head.status >= 300 or self._sender.classifier.headers):
            headers = header_values(head.raw, self._sender.classifier.headers | _RETRY_HEADERS)
        outcome = self._outcome(exchange, facts, headers, committed=committed)
        row = attempt_record(
            call,
            exchange,
            facts,
            self._error,
            span_id=self.span_id,
            started_at_ns=self._started_at_ns,
            started_ns=self._started_ns,
            connect_ns=self._connect_ns,
            changes=tuple(self.changes),
            request_bytes=call.request_bytes,
            begun=self._begun or self.begun(),
            judged=outcome,
        )
        return Ended(outcome=outcome, record=row, error=self._error, committed=committed, headers=headers)

    def _outcome(
        self, exchange: HeldExchange | None, facts: ResponseFacts, headers: dict[str, str], *, committed: bool
    ) -> Outcome:
        """What it came to; its error without the keys that were used."""
        classifier = self._sender.classifier
        if exchange is not None and exchange.complete and self._error is None and classifier.built_in_alone:
            head, observer = exchange.head, exchange.observer
            if head is not None and observer is not None:
                outcome = plainly_good(head.status, facts, saw_content=observer.saw_content)
                if outcome is not None:
                    return outcome
        upstream = self._aim.upstream
        kind = upstream.kind
        seen = self._seen(exchange, facts, headers, committed=committed)
        outcome = classifier.classify(seen, kind.kind, kind.judge)
        error = outcome.error
        if error is None or not error.message:
            return outcome
        return msgspec.structs.replace(outcome, error=without_keys(error, self._call, upstream))

    def _facts(self, exchange: HeldExchange | None) -> ResponseFacts:
        if exchange is None or exchange.observer is None:
            return ResponseFacts()
        amend = self._aim.upstream.kind.amend
        return exchange.observer.amended(self._call.facts, amend, clean=exchange.complete)

    def _seen(
        self, exchange: HeldExchange | None, facts: ResponseFacts, headers: dict[str, str], *, committed: bool
    ) -> Seen:
        call, error, classifier = self._call, self._error, self._sender.classifier
        now_ns = time.monotonic_ns()
        captured = b"" if exchange is None else decoded(exchange, self._sender.max_captured_bytes)
        streamed = exchange is not None and exchange.head is not None and exchange.head.content_type == _EVENTS
        text = answer_text(captured, call.dialect_name) if classifier.reads_answer_text else None
        head = exchange.head if exchange is not None else None
        trouble = None
        if error is not None:
            trouble = Trouble(phase=error.phase, timed_out=error.timed_out, message=str(error))
        return Seen(
            provider=self._aim.upstream.settings.name,
            model=self._aim.model,
            dialect=call.dialect_name,
            status=head.status if head is not None else 0,
            headers=headers,
            facts=facts,
            body=last_event(captured) if streamed else captured,
            answer_text=text,
            saw_content=exchange.observer.saw_content if exchange is not None and exchange.observer else None,
            content_sent=committed,
            trouble=trouble,
            client_left=call.client_gone and not had_answer(exchange, facts),
            stream_asked=call.streaming,
            schema_asked=classifier.reads_answer_text and asks_for_json(self._aim.body),
            first_byte_ns=_since(self._started_ns, exchange.first_byte_ns if exchange is not None else 0),
            first_content_ns=_since(self._started_ns, exchange.first_content_ns if exchange is not None else 0),
            duration_ns=now_ns - self._started_ns,
        )


@lru_cache(_ROUTES_KEPT)
def _bounds(stream_bytes: int, stream_ms: int) -> Bounds:
    return Bounds(stream_bytes=stream_bytes, stream_s=stream_ms / 1000, whole_bytes=WHOLE_BYTES)


def _least(one_s: float, other_ms: int | None) -> float:
    return one_s if other_ms is None else min(one_s, other_ms / 1000)


def _since(started_ns: int, at_ns: int) -> int | None:
    return at_ns - started_ns if at_ns else None

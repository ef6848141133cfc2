"""Forwarding: one attempt after another until the app has its answer.

Rules of this file:
- After the first byte of an answer went to the app there is no second attempt.
- A request is sent twice only where the provider cannot have worked on it: a kept connection that turns out to be
  closed, or a refusal of the usage option that we added.
"""

import asyncio
import time
from typing import Protocol

from proxy.call import Call, attempt_record
from proxy.core.coding import can_code
from proxy.core.facts import AnswerHead, ResponseFacts
from proxy.core.usage_request import ask_for_usage
from proxy.downstream.server import PayloadBroken, without_frames
from proxy.editing import Editor, UsageEditor
from proxy.exchange import Exchange
from proxy.ids import new_span_id
from proxy.measuring import observe, own_framing
from proxy.observer import Observer
from proxy.replies import Reply, encode
from proxy.request_head import RequestHead
from proxy.upstream.connection import Connection
from proxy.upstream.errors import UpstreamError
from proxy.upstream.framing import LAST_CHUNK, ResponseHead, chunk
from proxy.upstream.keys import retry_after_s

_STALE_LIMIT_S = 1.0
"""A kept connection that closes without a byte within this time was closed already when the request was sent; later it
may have been the provider that failed in mid-work, and sending again could bill twice."""
_RESENT = "resent_on_fresh_connection"
_USAGE_REFUSALS = frozenset({400, 422})
_USAGE_WORDS = ("stream_options", "include_usage")


class Losses(Protocol):
    """Counts what was not recorded or not understood."""

    def lose(self, reason: str) -> None:
        """One more loss for this reason."""


class Forwarder:
    """Sends calls to providers."""

    def __init__(self, losses: Losses, max_captured_bytes: int) -> None:
        self.loop = asyncio.get_running_loop()
        self._losses = losses
        self._max_captured_bytes = max_captured_bytes

    async def forward(self, call: Call, head: RequestHead, body: bytes | None) -> bool:
        """Make the attempts of a call; returns whether the app's connection can carry another call."""
        asked = self._with_usage(call, head, body)
        if asked is not None:
            attempt = _Attempt(self, call, head, asked, asked_usage=True)
            if await attempt.run():
                return attempt.finish()
        attempt = _Attempt(self, call, head, body, asked_usage=False)
        await attempt.run()
        keep = attempt.finish()
        if asked is not None and 200 <= call.status < 300:
            # A body that is refused without the option, too, says nothing of the option.
            call.upstream.learn_refusal(call.path, call.model_requested)
            self._losses.lose("usage_option_refused")
        return keep

    def _with_usage(self, call: Call, head: RequestHead, body: bytes | None) -> bytes | None:
        facts = call.facts
        if body is None or not facts.streaming or facts.include_usage or head.shared.content_encoding:
            return None
        if not call.upstream.asks_usage(call.path, call.query_text, call.model_requested):
            return None
        return ask_for_usage(body, facts)

    def observer(self, call: Call, head: AnswerHead) -> Observer:
        """A watcher for one answer."""
        return observe(call, head, self._max_captured_bytes, self._losses.lose)

    def lose(self, reason: str) -> None:
        """Count a loss."""
        self._losses.lose(reason)


class _Attempt:
    """One try at the target, with its request bytes, its exchange and its row."""

    __slots__ = (
        "_asked_usage",
        "_body",
        "_call",
        "_changes",
        "_connect_ns",
        "_error",
        "_exchange",
        "_own_chunks",
        "_owner",
        "_request_head",
        "_sent",
        "_span_id",
        "_started_at_ns",
        "_started_ns",
    )

    def __init__(
        self, owner: Forwarder, call: Call, head: RequestHead, body: bytes | None, *, asked_usage: bool
    ) -> None:
        self._owner = owner
        self._call = call
        self._body = body
        self._asked_usage = asked_usage
        self._span_id = new_span_id()
        self._started_at_ns = time.time_ns()
        self._started_ns = time.monotonic_ns()
        self._connect_ns: int | None = None
        self._changes: list[str] = ["usage_requested"] if asked_usage else []
        if call.permit is not None:
            self._changes += call.permit.changes
        if call.upstream.keys.several and call.provider_key is not None:
            self._changes.append(f"provider_key={call.provider_key.name}")
        self._exchange: Exchange | None = None
        self._error: UpstreamError | None = None
        self._own_chunks = body is None and head.declared_length is None
        self._sent = body is not None
        """Whether the provider was given the whole request."""
        self._request_head = self._build_head(head)

    async def run(self) -> bool:
        """Send and relay. False when the provider refused the usage option and nothing has reached the app yet."""
        pool = self._call.upstream.pool
        connection = pool.take_idle() if self._body is not None else None
        while True:
            try:
                if connection is None:
                    connection = await self._connect()
            except UpstreamError as error:
                if not self._call.client_gone:
                    self._error = error
                return True
            if self._call.client_gone:
                pool.give_back(connection)
                return True
            exchange = await self._exchange_over(connection)
            if not self._was_stale(exchange, connection):
                break
            self._changes.append(_RESENT)
            connection = None
        if isinstance(exchange.error, UpstreamError):
            self._error = exchange.error
        return not (self._asked_usage and self._refused_usage(exchange))

    def finish(self) -> bool:
        """Record the attempt and settle what the app sees; returns whether its connection can go on."""
        call, exchange = self._call, self._exchange
        keep = self._answer(exchange)
        if exchange is not None:
            call.request_bytes += exchange.tunnelled_bytes
        self._record(self._facts(exchange))
        if call.upstream.keys.several:
            self._learn_of_key()
        # The exchange calls back into this attempt: without the cut every call would wait for the garbage collector.
        self._exchange = call.exchange = None
        return keep

    def _learn_of_key(self) -> None:
        """Let the provider's word on the key count for the calls that follow."""
        call, exchange = self._call, self._exchange
        error = call.attempts[-1].error
        if call.provider_key is not None and error is not None and exchange is not None and exchange.head is not None:
            wait_s = retry_after_s(exchange.head.raw)
            call.upstream.keys.learn(call.provider_key, error.error_class, self._owner.loop.time(), wait_s)

    def _facts(self, exchange: Exchange | None) -> ResponseFacts:
        """What the answer said of itself, in the provider's own sense of it."""
        if exchange is None or exchange.observer is None:
            return ResponseFacts()
        amend = self._call.upstream.kind.amend
        return exchange.observer.amended(self._call.facts, amend, clean=exchange.complete)

    def _answer(self, exchange: Exchange | None) -> bool:
        """What the app gets where the provider's bytes did not do: an answer of our own, or a break."""
        call = self._call
        client = call.request.client
        if exchange is not None and exchange.head is not None:
            call.status = exchange.head.status
            exchange.let_go()
            if self._error is not None:
                client.break_off(reset=exchange.ends_with_connection)
                return False
            return exchange.keeps_client and not exchange.in_tunnel
        if self._error is None or call.client_gone:
            return False
        reply = _reply(self._error, call.upstream.settings.name)
        call.status = reply.status
        keep = call.request.body.is_eof() and call.request.head.keeps
        client.send(
            encode(reply, call.route.error_dialect, call.call_id, close=not keep, body_wanted=call.method != "HEAD")
        )
        return keep

    def _record(self, facts: ResponseFacts) -> None:
        self._call.attempts.append(
            attempt_record(
                self._call,
                self._exchange,
                facts,
                self._error,
                span_id=self._span_id,
                started_at_ns=self._started_at_ns,
                started_ns=self._started_ns,
                connect_ns=self._connect_ns,
                changes=tuple(self._changes),
                request_bytes=self._call.request_bytes,
            )
        )

    async def _connect(self) -> Connection:
        began_ns = time.monotonic_ns()
        connection = await self._call.upstream.pool.acquire(fresh=self._body is None or _RESENT in self._changes)
        self._connect_ns = time.monotonic_ns() - began_ns
        return connection

    async def _exchange_over(self, connection: Connection) -> Exchange:
        call, request = self._call, self._call.request
        settings = call.upstream.settings
        exchange = Exchange(
            request.client,
            self._owner.loop,
            http10=request.head.http10,
            keep_client=request.head.keeps,
            extra_head=call.head_lines,
            watch=self._watch,
            relays_continue=self._body is None,
            upgrades=request.upgrade,
            holds=_is_usage_refusal if self._asked_usage else None,
        )
        self._exchange = call.exchange = exchange
        data = self._request_head if self._body is None else self._request_head + self._body
        exchange.start(connection, call.method, data, settings.first_byte_timeout_s, settings.idle_timeout_s)
        if self._body is None:
            await self._upload(exchange)
        await exchange.done
        exchange.release(call.upstream.pool.give_back)
        return exchange

    async def _upload(self, exchange: Exchange) -> None:
        """Stream the request body until it is over or the answer is."""
        exchange.awaits_app = True
        pump = asyncio.ensure_future(self._pump(exchange))
        await asyncio.wait({pump, exchange.done}, return_when=asyncio.FIRST_COMPLETED)
        if not pump.done():
            pump.cancel()
            await asyncio.wait({pump})
        if not self._sent:
            # The answer was over before the request: what goes over this connection next would be taken for its body.
            exchange.drop_connection()

    async def _pump(self, exchange: Exchange) -> None:
        call = self._call
        body = call.request.body
        try:
            while not exchange.ended and (piece := await body.readany()):
                call.request_bytes += len(piece)
                exchange.send_request(chunk(piece) if self._own_chunks else piece)
                await exchange.writable()
        except asyncio.CancelledError:
            raise
        except PayloadBroken as error:
            without_frames(error)
            exchange.abandon(UpstreamError("the framing of the request body is malformed", phase="request"))
            return
        except Exception as error:  # noqa: BLE001 - whatever aiohttp says of a body that broke: the request cannot go on
            without_frames(error)
            exchange.abandon(UpstreamError(f"the request body broke off ({type(error).__name__})", phase="first_byte"))
            return
        call.body_complete_ns = time.monotonic_ns()
        exchange.awaits_app = False
        if self._own_chunks and not exchange.ended:
            exchange.send_request(LAST_CHUNK)
        self._sent = not exchange.ended

    def _was_stale(self, exchange: Exchange, connection: Connection) -> bool:
        return (
            exchange.broken_off
            and exchange.head is None
            and connection.served > 0
            and not connection.got_bytes
            and self._body is not None
            and not self._call.client_gone
            and self._owner.loop.time() - exchange.started_s < _STALE_LIMIT_S
        )

    def _refused_usage(self, exchange: Exchange) -> bool:
        if not exchange.holding or exchange.observer is None or self._call.client_gone:
            return False
        facts = exchange.observer.finish(clean=exchange.complete)
        message = facts.error.message if facts.error is not None else None
        if not message or not any(word in message for word in _USAGE_WORDS):
            return False
        self._record(facts)
        return True

    def _watch(self, head: ResponseHead) -> tuple[Observer, Editor | None]:
        editor = self._editor(head) if self._asked_usage else own_framing(self._call, head)
        return self._owner.observer(self._call, head.answer), editor

    def _editor(self, head: ResponseHead) -> Editor | None:
        if head.status >= 300 or head.content_type != "text/event-stream":
            return None
        if head.framing == "none":
            return None  # the end of a compressed nothing would be a body where none may be
        if not can_code(head.content_encoding):
            self._changes.append("usage_left_in")
            return None
        return UsageEditor(head.content_encoding, keeps_null_usage=self._call.upstream.kind.keeps_null_usage)

    def _build_head(self, head: RequestHead) -> bytes:
        call, body = self._call, self._body
        upstream, request = call.upstream, call.request
        lines = [
            call.place.start(call.provider_key),
            head.trace_lines(call.trace, self._span_id if upstream.settings.traceparent else None),
        ]
        if self._own_chunks:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        elif body is None:
            lines.append(b"Content-Length: %b\r\n" % (head.declared_length or b"0"))
        elif body or head.declared_length is not None:
            lines.append(b"Content-Length: %d\r\n" % len(body))
        if body is None and head.expects_continue:
            lines.append(b"Expect: 100-continue\r\n")
        if request.upgrade:
            lines.append(
                b"Connection: Upgrade\r\nUpgrade: %b\r\n" % head.shared.head.values.get(b"upgrade", b"websocket")
            )
        lines.append(b"\r\n")
        return b"".join(lines)


def _is_usage_refusal(head: ResponseHead) -> bool:
    return head.status in _USAGE_REFUSALS


def _reply(error: UpstreamError, provider: str) -> Reply:
    """What the app is told of a try that brought no answer."""
    if error.phase == "request":
        if error.timed_out:
            return Reply(status=408, code="request_timeout", message=str(error))
        return Reply(status=400, code="malformed_request", message=str(error))
    if error.phase == "shutdown":
        return Reply(status=503, code="shutting_down", message="shut down before the provider had answered")
    code = "upstream_malformed" if error.phase == "head" else "upstream_unreachable"
    return Reply(
        status=504 if error.timed_out else 502,
        code="upstream_timeout" if error.timed_out else code,
        message=f"provider {provider}: {error}",
    )

"""The side that faces the app: aiohttp's low-level server, opened where a transparent proxy needs raw bytes.

aiohttp parses and bounds the request; the answer is written to the transport as bytes, so that nothing is re-made. This
module is the only one that knows aiohttp's `RequestHandler` from the inside.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, Self, TypeVar, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from proxy.core.headers import Headers
from proxy.downstream.arriving_body import ArrivingBody, Body
from proxy.downstream.known_heads import KnownHead, KnownHeads, varying_of
from proxy.outbox import Outbox

MAX_LINE_BYTES = 64 * 1024
"""Longest request line; keys and prompts in a query are longer than aiohttp's 8 KiB."""
MAX_FIELD_BYTES = 64 * 1024
"""Longest header; `baggage` and cookies of real apps exceed aiohttp's 8 KiB."""
MAX_HEADERS = 256
KEEP_ALIVE_S = 3600.0
"""Apps and load balancers close first; a proxy that closes first makes them fail on a stale connection."""
_LINGER_S = 5.0
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends a reset."""
_MAX_QUEUED = 8
"""Requests of one connection that may wait; beyond it aiohttp's own queue stops the app from sending more."""


PayloadBroken = web.RequestPayloadError
"""What reading a request body raises when its framing is malformed."""


_Error = TypeVar("_Error", bound=BaseException)


def without_frames(error: _Error) -> _Error:
    """An error that reading a body raised, cut off from the frames it went through; to be used wherever it is caught.

    The body keeps the error, and the frames hold the body: a hundred megabytes of a request that was broken off would
    wait for the garbage collector, which a worker seldom runs.
    """
    return error.with_traceback(None)


class Flow(Protocol):
    """What a call wants to hear from its client connection."""

    def on_client_gone(self) -> None:
        """The app closed the connection."""

    def on_client_writable(self) -> None:
        """The app takes bytes again."""

    def on_client_data(self, data: bytes) -> None:
        """Bytes of a tunnel (WebSocket)."""


class Malformed(Protocol):
    """Words the answer to a request that never became a call."""

    def __call__(self, status: int, message: str) -> bytes:
        """The bytes of the whole answer; the connection closes after it."""


class ClientRequest:
    """One request as it came: its head, its body as a stream, and the connection to answer on."""

    __slots__ = ("_whole", "body", "client", "head", "upgrade", "varying")

    def __init__(
        self, head: KnownHead, varying: Headers, body: Body, client: "ClientConnection", whole: bytes | None = None
    ) -> None:
        self.head = head
        self.varying = varying
        """The header fields that differ from call to call, names in lower case."""
        self.body = body
        self.client = client
        self.upgrade = False
        """Whether it asks for another protocol on this connection (WebSocket)."""
        self._whole = whole
        """The body where it came with the head; `body` is empty then."""

    @classmethod
    def parsed(cls, message: RawRequestMessage, body: StreamReader, client: "ClientConnection") -> Self:
        """A request that aiohttp has parsed."""
        request = cls(KnownHead(message), varying_of(message), body, client)
        # Whoever got an HTTP/2 connection through here could make calls on it that nobody meters.
        request.upgrade = message.upgrade and message.headers.get("Upgrade", "").lower() == "websocket"
        return request

    def whole_body(self) -> bytes:
        """The body, which has to be there completely (`body.is_eof()`)."""
        if self._whole is not None:
            return self._whole
        return self.body.read_nowait(-1)

    def _cancel(self, error: BaseException) -> None:
        """Called by aiohttp when the connection is lost: whoever waits for the body hears of it."""
        self.body.set_exception(error)


class ClientConnection(RequestHandler):
    """aiohttp's connection with an ear for the flow that is on it, and a leaner loop over its requests."""

    __slots__ = ("_arriving", "_body", "_heads", "_malformed", "_outbox", "_owed_bytes", "_tunnel", "flow")

    def __init__(
        self, manager: web.Server, *, malformed: Malformed, heads: KnownHeads, outbox: Outbox, **options: Any
    ) -> None:
        super().__init__(manager, **options)
        self.flow: Flow | None = None
        self._tunnel = False
        self._malformed = malformed
        self._heads = heads
        self._outbox = outbox
        self._body: Body = EMPTY_PAYLOAD
        """Of the request that was taken last."""
        self._arriving: ArrivingBody | None = None
        """The body that the app is sending, of a request that was recognised."""
        self._owed_bytes = 0
        """What the parser has yet to get of a body: 0 between two requests, where the next may be recognised; -1 when
        nobody knows, and then for good."""

    @property
    def writing_stopped(self) -> bool:
        """Whether the app reads more slowly than we write."""
        return self._paused

    def send(self, data: bytes) -> None:
        """Write bytes of an answer; they are dropped when the app is gone."""
        if self.transport is not None:
            self._outbox.put(self.transport, data)

    def begin_tunnel(self) -> None:
        """From now on the app's bytes go to the flow as they are."""
        self._tunnel = True
        tail, self._message_tail = self._message_tail, b""
        if self._buffer_paused:
            self._resume_reading_for_buffer()
        if tail and self.flow is not None:
            self.flow.on_client_data(tail)

    def pause_app(self) -> None:
        """Stop taking bytes from the app (tunnels)."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_app(self) -> None:
        """Take bytes from the app again (tunnels)."""
        if self.transport is not None:
            self.transport.resume_reading()

    @property
    def unsent_bytes(self) -> int:
        """How much of what was written the app has not taken yet."""
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def drop(self) -> None:
        """Close at once, with a TCP reset; what the app has not taken is lost. The flow hears that the app is gone."""
        if self.transport is not None:
            self._reset_at_close(self.transport)
            self.transport.abort()

    def break_off(self, *, reset: bool = False) -> None:
        """End the connection in mid-answer: what was written still goes out, then it closes without a proper end.

        Args:
            reset: end it with a TCP reset, where a plain end would look like the end of the answer.
        """
        self.flow = None
        self._outbox.flush()
        if reset and self.transport is not None:
            self._reset_at_close(self.transport)
        self.force_close()

    @staticmethod
    def _reset_at_close(transport: asyncio.Transport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def force_close(self) -> None:
        """Close now; what was written before still goes out."""
        self._outbox.flush()
        super().force_close()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._tunnel:
            if self.flow is not None:
                self.flow.on_client_data(data)
            return
        if self._arriving is not None:
            data = self._feed(self._arriving, data)
            if not data:
                return
        if self._owed_bytes or not data:
            # No data is how aiohttp's reader wakes the parser after a pause.
            if self._owed_bytes > 0:
                self._owed_bytes = max(-1, self._owed_bytes - len(data))
            self._parse(data)
            return
        if len(self._messages) < _MAX_QUEUED and not self._close:
            known = self._heads.find(data)
            if known is not None:
                self._queue(*known)
                return
        before = len(self._messages)
        self._parse(data)
        self._owed_bytes = self._learn(data, self._messages[-1][0]) if len(self._messages) == before + 1 else -1

    def _parse(self, data: bytes) -> None:
        """Give bytes to aiohttp's parser; while the worker drains, too, for they may be of the call under way."""
        closes, self._close = self._close, False
        super().data_received(data)
        self._close = closes
        messages = self._messages
        if messages and not isinstance(messages[-1][0], RawRequestMessage | ClientRequest):
            self._break_body()

    def _queue(self, head: KnownHead, varying: Headers, body: bytes, missing_bytes: int) -> None:
        """A request that was recognised takes its turn."""
        if missing_bytes:
            self._arriving = ArrivingBody(body, missing_bytes, self._loop)
            request = ClientRequest(head, varying, self._arriving, self)
        else:
            request = ClientRequest(head, varying, EMPTY_PAYLOAD, self, body)
        messages: Any = self._messages
        messages.append((request, request.body))
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _feed(self, body: ArrivingBody, data: bytes) -> bytes:
        """Give the body what belongs to it; what is over is of the next request."""
        missing_bytes = body.missing_bytes
        mine = data if len(data) <= missing_bytes else data[:missing_bytes]
        body.feed(mine)
        if body.is_eof():
            self._arriving = None
        return data[len(mine) :]

    def _break_body(self) -> None:
        """Tell whoever reads a body that it is malformed: aiohttp has queued that as a message behind the request."""
        messages = self._messages
        without_frames(cast("Any", messages[-1][0]).exc)
        body = messages[-2][1] if len(messages) > 1 else self._body
        if not body.is_eof():
            body.set_exception(PayloadBroken("the framing of the body is malformed"))

    def _learn(self, data: bytes, message: object) -> int:
        return self._heads.learn(data, message) if isinstance(message, RawRequestMessage) else -1

    def resume_writing(self) -> None:
        """Called by the loop."""
        super().resume_writing()
        if self.flow is not None:
            self.flow.on_client_writable()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the loop."""
        flow, self.flow = self.flow, None
        super().connection_lost(exc)
        if not self._body.is_eof():
            self._body.set_exception(exc or ConnectionResetError("the app left"))
        # Both lead back here: without the cut all that they hold would wait for the garbage collector.
        self._messages.clear()
        self._body = EMPTY_PAYLOAD
        if flow is not None:
            flow.on_client_gone()

    async def start(self) -> None:
        """The loop over the requests of a connection.

        aiohttp's own makes a task, a writer and a response object for each request, which a call that writes its own
        bytes has no use for: 14 of 105 us a call.
        """
        messages = self._messages
        handle = cast("_Handle", self._request_handler)
        while not self._force_close:
            if not messages:
                if not await self._next_request():
                    break
                continue  # it may have been the last thing that this connection brought
            message, body = messages.popleft()
            if isinstance(message, ClientRequest):
                request = message
            else:
                self._taken_from_parser()
                if not isinstance(message, RawRequestMessage):
                    self._turn_down(message.exc)
                    break
                request = ClientRequest.parsed(message, body, self)
            self._body = body
            keep = await self._serve(handle, request)
            if not body.is_eof() and not self._force_close:
                await self._drain_body(body)
                keep = keep and body.is_eof()
            if not keep or self._close:
                break
            self._next_keepalive_close_time = self._loop.time() + KEEP_ALIVE_S
        if not self._force_close and self.transport is not None:
            self._task_handler = None
            self._outbox.flush()
            self.transport.close()

    def _taken_from_parser(self) -> None:
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    async def _next_request(self) -> bool:
        """Wait for a request; False when there will be none: the worker lets its idle connections go."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            if not self._close:
                raise
            return False
        finally:
            self._waiter = None
        return True

    async def _serve(self, handle: "_Handle", request: ClientRequest) -> bool:
        self._request_in_progress = True
        self._current_request = request  # type: ignore[assignment]  # only asked for `_cancel`
        try:
            return await handle(request) and not request.upgrade
        except Exception as error:  # noqa: BLE001 - a bug in one call must not take the others of the worker with it
            self.log_exception("the handler of a call failed", exc_info=error)
            self.send(self._malformed(500, "Taximeter failed while it handled this call"))
            return False
        finally:
            self._current_request = None
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)

    def _turn_down(self, error: BaseException) -> None:
        """Answer what is not HTTP. aiohttp's wording is not used: it quotes bytes, which may hold a key."""
        if isinstance(error, LineTooLong):
            self.send(self._malformed(431, f"the request line or a header is longer than {MAX_FIELD_BYTES} bytes"))
        else:
            self.send(self._malformed(400, "the request is not valid HTTP/1.1"))

    async def _drain_body(self, body: Body) -> None:
        """Take what is left of a request that was answered early, so that the app reads the answer, not a reset."""
        try:
            async with asyncio.timeout(_LINGER_S):
                while not body.is_eof():
                    await body.readany()
        except (OSError, RuntimeError, PayloadBroken) as error:
            # RuntimeError: what aiohttp's reader says of a connection that is gone.
            without_frames(error)


class ClientServer(web.Server):
    """The listening side: makes a `ClientConnection` for each accepted socket."""

    def __init__(self, handle: "_Handle", malformed: Malformed, outbox: Outbox) -> None:
        super().__init__(cast("Any", handle))
        self._malformed = malformed
        self._heads = KnownHeads()
        self._outbox = outbox

    def __call__(self) -> RequestHandler:
        """A protocol for the loop."""
        return ClientConnection(
            self,
            malformed=self._malformed,
            heads=self._heads,
            outbox=self._outbox,
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE_S,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_HEADERS,
        )


_Handle = Callable[[ClientRequest], Awaitable[bool]]
"""Serves one request; gives whether the app's connection can carry another."""

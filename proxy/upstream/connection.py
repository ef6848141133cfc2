"""One connection to a provider: writes a request, pushes the answer to a sink, is kept for the next call.

No queue, no future and no task stands between the socket and the sink: `data_received` frames the bytes and hands them
on in the same step. Rules of this file: a connection serves one exchange at a time; when anything about its state is in
doubt it is closed, never reused.
"""

import asyncio
from typing import Protocol, cast

from proxy.outbox import Outbox
from proxy.upstream.framing import MAX_HEAD_BYTES, ChunkedBody, FramingError, ResponseHead, split_head
from proxy.upstream.head_shapes import HeadReader

_FINISH_LIMIT_S = 30.0
"""A provider that has not taken by then what an app sent last gets no more of it."""


class Sink(Protocol):
    """Takes one answer, in the order of these methods; exactly one of `on_end` and `on_broken` comes last."""

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx answer before the final one (not 101)."""

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        """The head of the final answer; `more` says that bytes of the body follow in the same step."""

    def on_data(self, raw: bytes, pieces: list[bytes] | None) -> None:
        """Bytes of the body as they stand on the wire; `pieces` are those of the payload when it is chunked."""

    def on_end(self) -> None:
        """The answer is complete."""

    def on_broken(self, error: Exception) -> None:
        """The answer will not be completed: the connection broke, or its bytes are not HTTP."""

    def on_writable(self) -> None:
        """The connection can take more request bytes again."""


class Connection(asyncio.Protocol):
    """A connection and the framing state of the answer that is on it."""

    __slots__ = (
        "_body",
        "_buffer",
        "_head",
        "_heads_bytes",
        "_left",
        "_method",
        "_outbox",
        "_read_head",
        "_reading_paused",
        "_sink",
        "_transport",
        "_was_ended",
        "closed",
        "got_bytes",
        "idle_since_s",
        "served",
        "write_paused",
    )

    def __init__(self, outbox: Outbox, heads: HeadReader) -> None:
        self._outbox = outbox
        self._read_head = heads.read
        self._transport: asyncio.Transport | None = None
        self._sink: Sink | None = None
        self._buffer = b""
        self._head: ResponseHead | None = None
        self._heads_bytes = 0
        self._body: ChunkedBody | None = None
        self._left = 0
        self._method = "GET"
        self._reading_paused = False
        self._was_ended = False
        """Whether the provider said that it sends no more."""
        self.closed = False
        self.got_bytes = False
        """Whether a byte of the present answer has come."""
        self.idle_since_s = 0.0
        self.served = 0
        """Calls served before the present one; more than 0 means that it is a kept connection."""
        self.write_paused = False

    def __repr__(self) -> str:
        state = "closed" if self.closed else "busy" if self._sink else "idle"
        return f"<Connection {state} served={self.served}>"

    def begin(self, sink: Sink, method: str, data: bytes) -> None:
        """Start an exchange: send the request's head (and body, when it is known) and push the answer to `sink`."""
        self._sink = sink
        self._method = method
        self._head = None
        self._heads_bytes = 0
        self.got_bytes = False
        self.write(data)

    def write(self, data: bytes) -> None:
        """Send further bytes of the request."""
        if self._transport is not None and not self.closed:
            self._outbox.put(self._transport, data)

    def pause_reading(self) -> None:
        """Stop taking bytes from the provider until `resume_reading`."""
        if not self._reading_paused and self._transport is not None and not self.closed:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if self._reading_paused and self._transport is not None and not self.closed:
            self._reading_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection at once; the sink hears nothing more."""
        self._sink = None
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """Close it once the provider has taken what was written; the sink hears nothing more."""
        self._sink = None
        self.closed = True
        self._outbox.flush()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
            asyncio.get_running_loop().call_later(_FINISH_LIMIT_S, transport.abort)

    @property
    def unsent_bytes(self) -> int:
        """How much of the request the provider has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def reusable(self) -> bool:
        """Whether another call may go over this connection now."""
        # With bytes of the last request still to be sent the next one would have to wait for them, perhaps for ever.
        return not (self.closed or self._was_ended or self._sink is not None or self._buffer or self.write_paused)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """Called by the loop."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Called by the loop."""
        self.write_paused = False
        if self._sink is not None:
            self._sink.on_writable()

    def eof_received(self) -> bool:
        """Called by the loop; the connection closes itself."""
        self._was_ended = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: the end of a close-delimited body, or a break."""
        self.closed = True
        self._transport = None
        sink, self._sink = self._sink, None
        if sink is None:
            return
        framing = self._head.framing if self._head is not None else ""
        # TLS that is cut without its closing alert says no end, as uvloop tells: it may be half of it (RFC 9112, 9.8).
        if exc is None and (framing == "tunnel" or (framing == "close" and self._was_ended)):
            sink.on_end()
        else:
            sink.on_broken(exc or ConnectionResetError("closed before the answer was complete"))

    def data_received(self, data: bytes) -> None:
        """Called by the loop: the whole read side."""
        sink = self._sink
        if sink is None:
            # Bytes that nobody asked for: the next answer would be out of step.
            self.abort()
            return
        self.got_bytes = True
        try:
            if self._head is None:
                self._take_heads(sink, data)
            else:
                self._take_body(sink, self._head, data)
        except FramingError as error:
            self.abort()
            sink.on_broken(error)

    def _take_heads(self, sink: Sink, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        while True:
            end = split_head(data)
            if not end:
                self._buffer = data
                return
            head = self._read_head(data[:end], method=self._method)
            data = data[end:]
            if head.status >= 200 or head.status == 101:
                break
            self._heads_bytes += end
            if self._heads_bytes > MAX_HEAD_BYTES:
                raise FramingError(f"the interim answers are longer than {MAX_HEAD_BYTES} bytes together")
            sink.on_interim(head)
        self._buffer = b""
        self._head = head
        self._left = head.length
        self._body = ChunkedBody() if head.framing == "chunked" else None
        no_body = head.framing == "none" or (head.framing == "length" and not head.length)
        sink.on_head(head, more=bool(data) and not no_body)
        if no_body:
            self._complete(sink, head, surplus=bool(data))
        elif data:
            self._take_body(sink, head, data)

    def _take_body(self, sink: Sink, head: ResponseHead, data: bytes) -> None:
        if self._body is not None:
            pieces, used = self._body.feed(data)
            sink.on_data(data if used == len(data) else data[:used], pieces)
            if self._body.error:
                raise FramingError(self._body.error)
            if self._body.done:
                self._complete(sink, head, surplus=used < len(data))
        elif head.framing == "length":
            surplus = len(data) > self._left
            mine = data[: self._left] if surplus else data
            self._left -= len(mine)
            sink.on_data(mine, None)
            if not self._left:
                self._complete(sink, head, surplus=surplus)
        else:
            sink.on_data(data, None)

    def _complete(self, sink: Sink, head: ResponseHead, *, surplus: bool) -> None:
        if self._sink is not sink:
            return  # the sink aborted the connection while it took the last bytes
        self._sink = None
        self.served += 1
        if self._reading_paused:
            self.resume_reading()
        if surplus or not head.keep_alive:
            self.abort()
        sink.on_end()

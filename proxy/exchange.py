"""One attempt while its bytes flow: the answer of the provider pushed to the app, watched on the side.

An `Exchange` is the sink of an upstream connection. The app's bytes are written first and unchanged; then the observer
gets its copy. It ends exactly once: complete, broken off by the provider, timed out, or left by the app.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Literal, Protocol

from proxy.downstream.server import ClientConnection
from proxy.editing import Editor
from proxy.observer import Observer
from proxy.upstream.connection import Connection
from proxy.upstream.errors import Phase, UpstreamError
from proxy.upstream.framing import LAST_CHUNK, FramingError, ResponseHead, chunk

Relay = Literal["as_is", "own_chunks", "until_close", "nothing", "tunnel"]
"""How the body goes out: its own bytes; chunks that we frame; bare until the connection closes; no body; a tunnel."""


HELD_LIMIT_BYTES = 64 * 1024
"""An answer that is held back goes on its way when it is larger: error bodies are small."""


class Holds(Protocol):
    """Says of an answer's head that the answer has to wait: the caller wants to read it before the app does."""

    def __call__(self, head: ResponseHead) -> bool:
        """Whether to hold it back."""


class Watcher(Protocol):
    """Knows what to make of an answer once its head is there."""

    def __call__(self, head: ResponseHead) -> tuple[Observer, Editor | None]:
        """The observer of this answer, and the editor when its payload has to be changed."""


class Exchange:
    """The sink of one answer."""

    __slots__ = (
        "_client",
        "_connection",
        "_editor",
        "_extra",
        "_first_byte_limit_s",
        "_held",
        "_held_bytes",
        "_holds",
        "_http10",
        "_idle_limit_s",
        "_keep_client",
        "_loop",
        "_relay",
        "_relays_continue",
        "_unsent_bytes",
        "_unsent_head",
        "_upgrades",
        "_waiters",
        "_watch",
        "awaits_app",
        "broken_off",
        "complete",
        "deadline_s",
        "done",
        "ended",
        "error",
        "first_byte_ns",
        "first_content_ns",
        "head",
        "observer",
        "response_bytes",
        "started_s",
        "tunnelled_bytes",
    )

    def __init__(  # noqa: PLR0913 - what the walk knows of the app and the call, told once
        self,
        client: ClientConnection,
        loop: asyncio.AbstractEventLoop,
        *,
        http10: bool,
        keep_client: bool,
        extra_head: bytes,
        watch: Watcher,
        relays_continue: bool,
        upgrades: bool,
        holds: Holds | None,
    ) -> None:
        self._client = client
        self._loop = loop
        self._http10 = http10
        self._keep_client = keep_client
        self._extra = extra_head
        self._watch = watch
        self._relays_continue = relays_continue
        self._upgrades = upgrades
        self._holds = holds
        self._held: list[bytes] | None = None
        self._held_bytes = 0
        self._connection: Connection | None = None
        self._editor: Editor | None = None
        self._relay: Relay = "as_is"
        self._first_byte_limit_s = 0.0
        self._idle_limit_s = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self.observer: Observer | None = None
        self.done: asyncio.Future[None] = self._loop.create_future()
        self.head: ResponseHead | None = None
        self.error: Exception | None = None
        """Why it did not end well; None when the answer was complete or the app left."""
        self.ended = False
        self.broken_off = False
        """Whether it was the provider who ended it before its time."""
        self.awaits_app = False
        """Whether the app still has to send of its request body; set by whoever sends it on."""
        self.complete = False
        self.started_s = 0.0
        self.deadline_s = float("inf")
        self.first_byte_ns = 0
        self._unsent_head = b""
        self._unsent_bytes = float("inf")
        self.first_content_ns = 0
        self.response_bytes = 0
        """Payload bytes of the provider's answer, framing not counted."""
        self.tunnelled_bytes = 0

    @property
    def keeps_client(self) -> bool:
        """Whether the app's connection can carry another call after this answer."""
        return self._keep_client

    @property
    def ends_with_connection(self) -> bool:
        """Whether the end of the app's connection is the only end that its answer has."""
        return self._relay == "until_close"

    @property
    def in_tunnel(self) -> bool:
        """Whether the provider switched protocols and bytes go both ways."""
        return self._relay == "tunnel" and self.head is not None

    def start(self, connection: Connection, method: str, data: bytes, first_byte_s: float, idle_s: float) -> None:
        """Send the request over `connection`; limits are in seconds."""
        self._connection = connection
        self._first_byte_limit_s = first_byte_s
        self._idle_limit_s = idle_s
        self.started_s = self._loop.time()
        self.deadline_s = self.started_s + first_byte_s
        connection.begin(self, method, data)

    def send_request(self, data: bytes) -> None:
        """Send further bytes of the request; while they flow the answer may take its time, begun or not."""
        if self._connection is not None and not self.ended:
            self._connection.write(data)
            limit_s = self._first_byte_limit_s if self.head is None else self._idle_limit_s
            self.deadline_s = self._loop.time() + limit_s

    @property
    def holding(self) -> bool:
        """Whether the whole answer is still held back."""
        return self._held is not None

    def let_go(self) -> None:
        """Send what was held back."""
        held, self._held = self._held, None
        if held:
            self._client.send(b"".join(held))

    # the upstream side

    def on_interim(self, head: ResponseHead) -> None:
        """Pass on what an HTTP/1.1 app can understand; `100` only to an app that waits for it."""
        if head.status == 100 and not self._relays_continue:
            return
        if not self._http10:
            self._client.send(head.relayed + b"\r\n")

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        """Send the head on, in the framing that the app and the editor need; with the body where that is there too."""
        if head.framing == "tunnel" and not self._upgrades:
            raise FramingError("the provider switched protocols, which nobody had asked for")
        self.first_byte_ns = time.monotonic_ns()
        self.head = head
        self._held = [] if self._holds is not None and self._holds(head) else None
        self.observer, self._editor = self._watch(head)
        self._unsent_bytes = float("inf")
        self._keep_client &= not self.awaits_app  # the rest of its body may never come, or be taken for a request
        self._relay = self._choose_relay(head)
        # Where chunks come beside a length, the framing room has taken that off.
        framed_anew = self._editor is not None and head.framing == "length"
        pieces = [_without_length(head.relayed) if framed_anew else head.relayed, self._extra]
        if self._relay == "own_chunks" or (self._relay == "as_is" and head.framing == "chunked"):
            pieces.append(b"Transfer-Encoding: chunked\r\n")
        if not self._keep_client and self._relay != "tunnel":
            pieces.append(b"Connection: close\r\n")
        pieces.append(b"\r\n")
        if more:
            self._unsent_head = b"".join(pieces)
        else:
            self._send(b"".join(pieces))
        self.deadline_s = self._loop.time() + self._idle_limit_s
        if self._relay == "tunnel":
            self._client.begin_tunnel()

    def on_data(self, raw: bytes, pieces: list[bytes] | None) -> None:
        """The app first, then the observer."""
        client = self._client
        if self._relay in {"as_is", "tunnel"}:
            self._send(raw)
        else:
            for piece in pieces if pieces is not None else (raw,):
                self._send_payload(piece)
        if client.writing_stopped and self._connection is not None:
            self._connection.pause_reading()
        self.deadline_s = self._loop.time() + self._idle_limit_s
        if self._unsent_head:
            self._send(b"")
        observer = self.observer
        if observer is None:
            return
        for piece in pieces if pieces is not None else (raw,):
            self.response_bytes += len(piece)
            observer.feed(piece)
        if observer.saw_content and not self.first_content_ns:
            self.first_content_ns = time.monotonic_ns()

    def on_end(self) -> None:
        """The answer is complete."""
        if self._editor is not None:
            self._send_framed(self._editor.finish())
        if self._relay == "own_chunks":
            self._send(LAST_CHUNK)
        self.complete = True
        self._end(None)

    def on_broken(self, error: Exception) -> None:
        """The provider broke off; the caller decides what the app sees."""
        self.broken_off = True
        if not isinstance(error, UpstreamError):
            phase: Phase = "first_byte"
            if isinstance(error, FramingError):
                text, phase = str(error), "head"
            else:
                text = f"the provider broke off the connection ({getattr(error, 'strerror', None) or error})"
            error = UpstreamError(text, phase="answer" if self.head is not None else phase)
        if self._editor is not None and self.head is not None:
            self._send_framed(self._editor.finish())
        self._end(error)

    def on_writable(self) -> None:
        """The provider takes request bytes again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self.in_tunnel:
            self._client.resume_app()

    # the app's side

    def on_client_gone(self) -> None:
        """The app left: the provider is let go at once; of a tunnel it still gets what the app had sent."""
        if not self.ended:
            self.drop_connection(gently=self.in_tunnel)
            self._end(None)

    def on_client_writable(self) -> None:
        """The app takes bytes again."""
        self._unsent_bytes = float("inf")
        if self.head is not None and not self.ended:
            self.deadline_s = self._loop.time() + self._idle_limit_s
        if self._connection is not None:
            self._connection.resume_reading()

    def on_client_data(self, data: bytes) -> None:
        """Bytes of the app in a tunnel."""
        connection = self._connection
        if connection is None or self.ended:
            return
        self.tunnelled_bytes += len(data)
        self.deadline_s = self._loop.time() + self._idle_limit_s
        connection.write(data)
        if connection.write_paused:
            self._client.pause_app()

    # the worker's timer and the walk

    def expire(self) -> None:
        """A time limit ran out: nothing came for too long."""
        if self.ended:
            return
        connection = self._connection
        if self.head is not None and self._client.writing_stopped:
            if not self._takes_more(self._client.unsent_bytes):
                self._client.drop()  # the provider is made to wait for an app that is as good as gone
            return
        if connection is not None and connection.write_paused and self._takes_more(connection.unsent_bytes):
            return
        if self.head is not None:
            error = UpstreamError("the provider fell silent in mid-answer", phase="idle", timed_out=True)
        elif self.awaits_app and connection is not None and not connection.write_paused:
            error = UpstreamError("the app sent no more of its request body", phase="request", timed_out=True)
        else:
            error = UpstreamError("the provider did not begin its answer in time", phase="first_byte", timed_out=True)
        self.drop_connection()
        self._end(error)

    def abandon(self, error: UpstreamError) -> None:
        """End it from our side (shutdown, a request body that broke off)."""
        if not self.ended:
            self.drop_connection()
            self._end(error)

    def end_with(self, last: bytes, error: UpstreamError) -> None:
        """End it from our side, behind payload of our own where the framing is ours."""
        if self._relay != "as_is" and not self.ended:
            self._send_framed((self._editor.finish() if self._editor is not None else b"") + last)
        self.abandon(error)

    async def writable(self) -> None:
        """Wait until the provider takes more request bytes, or the exchange is over."""
        connection = self._connection
        if connection is None or not connection.write_paused or self.ended:
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def release(self, give_back: Callable[[Connection], None]) -> None:
        """Hand the connection back to its pool; call it once, after `done`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            give_back(connection)

    def _takes_more(self, unsent_bytes: int) -> bool:
        """Whether a slow side took anything of what waits for it, in which case it gets the idle limit once more."""
        takes, self._unsent_bytes = unsent_bytes < self._unsent_bytes, unsent_bytes
        if takes:
            self.deadline_s = self._loop.time() + self._idle_limit_s
        return takes

    def drop_connection(self, *, gently: bool = False) -> None:
        """Let the provider go, `gently` with all that it was sent: its connection cannot carry another call."""
        if self._connection is not None:
            (self._connection.finish if gently else self._connection.abort)()

    def _end(self, error: Exception | None) -> None:
        self.ended = True
        self.error = error
        self.deadline_s = float("inf")
        if not self.done.done():
            self.done.set_result(None)
        if self._waiters or self.in_tunnel:
            self.on_writable()

    def _choose_relay(self, head: ResponseHead) -> Relay:
        if head.framing in {"none", "tunnel"}:
            return "nothing" if head.framing == "none" else "tunnel"
        if self._editor is None and head.framing == "length":
            return "as_is"
        if self._http10:
            self._keep_client = False
            return "until_close"
        # A body that ends with its connection goes out in chunks: so a break can be told from an end.
        return "as_is" if self._editor is None and head.framing == "chunked" else "own_chunks"

    def _send_payload(self, data: bytes) -> None:
        editor = self._editor
        if editor is None:
            self._send_framed(data)
            return
        self._send_framed(editor.feed(data))
        if editor.failed:
            self.abandon(UpstreamError("the content coding of the answer is damaged", phase="answer"))

    def _send_framed(self, data: bytes) -> None:
        if data:
            self._send(chunk(data) if self._relay == "own_chunks" else data)

    def _send(self, data: bytes) -> None:
        if self._unsent_head:
            data, self._unsent_head = self._unsent_head + data, b""
        held = self._held
        if held is None:
            self._client.send(data)
            return
        held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_LIMIT_BYTES:
            self.let_go()


def _without_length(head: bytes) -> bytes:
    lines = head[:-2].split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"content-length:")) + b"\r\n"

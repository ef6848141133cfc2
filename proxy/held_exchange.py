"""An exchange whose answer is held back until it is good, so that the call can still go to another target.

Rules of this file:
- A stream is held until its first content, a whole answer until its end; both no longer than their bounds say.
- Once a byte went out the answer is this one: a stream that then breaks ends with the dialect's own error event and a
  closed connection, never as if it were over.
- The base class is named where it is called often: `super()` makes an object each time.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from proxy.exchange import Exchange
from proxy.upstream.framing import ResponseHead

if TYPE_CHECKING:
    import asyncio

_EVENTS = "text/event-stream"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How long an answer is held back."""

    stream_bytes: int
    stream_s: float
    """From its head on."""
    whole_bytes: int


class Untouched:
    """An editor that changes nothing: the framing of the answer becomes ours, and with it its end."""

    failed = False

    def feed(self, data: bytes) -> bytes:
        """The bytes as they came."""
        return data

    def finish(self) -> bytes:
        """Nothing is left."""
        return b""


class HeldExchange(Exchange):
    """The sink of an answer that may not be the last one of its call. Call `hold_within` before `start`."""

    __slots__ = (
        "_bounds",
        "_captured",
        "_error_event",
        "_is_stream",
        "_most_bytes",
        "_tail",
        "_timer",
        "captures_bytes",
        "cut_short",
        "on_going",
    )

    def hold_within(self, bounds: Bounds, error_event: Callable[[str], bytes], *, captures_bytes: int) -> None:
        """Say how long to hold, and how to word an error in a stream.

        Args:
            bounds: Of the holding.
            error_event: The dialect's event for a message.
            captures_bytes: How much of the payload to keep for rules that look at it.
        """
        self._bounds = bounds
        self._error_event = error_event
        self._is_stream = False
        self._tail = b"\n\n"
        self._most_bytes = bounds.whole_bytes
        self._timer: asyncio.TimerHandle | None = None
        self._captured: list[bytes] = []
        self.captures_bytes = captures_bytes
        self.cut_short = False
        """Whether a stream that had begun to go out came to a proper end without its end marker."""
        self.on_going: Callable[[], None] | None = None
        """Told in the moment before the first byte goes out."""

    @property
    def is_committed(self) -> bool:
        """Whether the app has got any of the answer."""
        return self.head is not None and self._held is None

    @property
    def captured(self) -> bytes:
        """What was kept of the payload, still encoded."""
        return b"".join(self._captured)

    def discard(self) -> None:
        """What was held back is not sent."""
        self._held = None if self._held is None else []
        self._unsent_head = b""

    def let_go(self) -> None:
        """Send what was held back."""
        if self._timer is not None:
            self._stop_timer()
        going, self.on_going = self.on_going, None
        if going is not None:
            going()
        Exchange.let_go(self)

    def on_interim(self, head: ResponseHead) -> None:
        """Nothing that is not the answer goes out before it."""

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        """The head, held back."""
        self._is_stream = head.content_type == _EVENTS and head.framing != "none"
        self._most_bytes = self._bounds.stream_bytes if self._is_stream else self._bounds.whole_bytes
        Exchange.on_head(self, head, more=more)
        if self._is_stream and not more:
            self._wait_for_content()

    def on_data(self, raw: bytes, pieces: list[bytes] | None) -> None:
        """Part of the answer; with its first content a stream goes out."""
        Exchange.on_data(self, raw, pieces)
        if self.captures_bytes > 0:
            for piece in pieces if pieces is not None else (raw,):
                self._captured.append(piece[: self.captures_bytes])
                self.captures_bytes -= len(self._captured[-1])
        if self._is_stream and self._held is not None:
            if self.observer is not None and self.observer.saw_content:
                self.let_go()
            else:
                self._wait_for_content()

    def on_end(self) -> None:
        """The answer is complete, or says so."""
        if self._is_stream and self.is_committed and self._ends_early():
            if self._editor is not None:
                self._send_framed(self._editor.finish())
            self.complete = self.cut_short = True
            self._send_error("the stream ended without its end marker")
            self._end(None)
            return
        Exchange.on_end(self)

    def _wait_for_content(self) -> None:
        """Hold back what follows of a stream, but not for ever."""
        if self._timer is None and self._held is not None and not self.ended:
            self._timer = self._loop.call_later(self._bounds.stream_s, self._waited_long_enough)

    def _waited_long_enough(self) -> None:
        if not self.ended and self.holding:
            self.let_go()

    def _ends_early(self) -> bool:
        facts = self.observer.finish(clean=True) if self.observer is not None else None
        return facts is not None and facts.stream_end == "truncated"

    def _end(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._stop_timer()
        if error is not None and self._is_stream and self.is_committed:
            facts = self.observer.finish(clean=False) if self.observer is not None else None
            if facts is None or facts.error is None:
                self._send_error(str(error))
        super()._end(error)

    def _send_error(self, message: str) -> None:
        """The dialect's error event; inside a compressed stream there is no place for one."""
        if self.head is None or self.head.content_encoding:
            return
        # An event that was begun is ended: the app is to read ours, not ours inside of it.
        before = b"" if self._tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) else b"\n\n"
        self._send_framed(before + self._error_event(message))

    def _send_framed(self, data: bytes) -> None:
        if data:
            self._tail = (self._tail + data[-4:])[-4:]
        super()._send_framed(data)

    def _send(self, data: bytes) -> None:
        if self._unsent_head:
            data, self._unsent_head = self._unsent_head + data, b""
        held = self._held
        if held is None:
            self._client.send(data)
            return
        held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._most_bytes:
            self.let_go()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

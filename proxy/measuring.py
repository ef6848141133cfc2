"""Measures an answer under way whose call holds what is no bound: how far it has used its hold.

All other answers get the plain `Observer`: they are bounded, and nobody looks at them while they are under way.
"""

from proxy.call import Call
from proxy.core.facts import AnswerHead, Reader, ResponseFacts
from proxy.core.generated import TokenCount, tokens_of
from proxy.core.web_socket import Frames
from proxy.editing import Editor
from proxy.held_exchange import Untouched
from proxy.observer import Lose, Observer
from proxy.upstream.framing import ResponseHead

EVENTS = "text/event-stream"
_TUNNEL = 101
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class _CountingReader:
    """A dialect's reader, with a count of what it is given. A `Reader`."""

    def __init__(self, reader: Reader, count: TokenCount) -> None:
        self._reader = reader
        self._count = count
        self.saw_content = reader.saw_content

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self._reader.feed(data)
        self.saw_content = self._reader.saw_content
        self._count.feed(data)

    def finish(self, *, clean: bool) -> ResponseFacts:
        """End of the body."""
        return self._reader.finish(clean=clean)


class MeasuringObserver(Observer):
    """An observer that also knows how much has come, and whether something of ours could be said now."""

    __slots__ = ("_count", "_frames", "_tail", "passed_bytes")

    def __init__(self, call: Call, head: AnswerHead, max_bytes: int, lose: Lose) -> None:
        super().__init__(call.route.dialect, head, max_bytes, lose)
        self._frames = Frames() if head.status == _TUNNEL else None
        self._count: TokenCount | None = None
        if self._reader is not None and head.content_type == EVENTS:
            self._count = TokenCount()
            self._reader = _CountingReader(self._reader, self._count)
        self._tail = _EVENT_ENDS[0]
        self.passed_bytes = 0
        """Of the answer's payload, as it came."""

    @property
    def tokens(self) -> int:
        """Output tokens so far, an estimate; by its bytes alone where the answer cannot be read."""
        readable = self._count is not None and not self._unread
        return self._count.tokens if readable and self._count is not None else tokens_of(self.passed_bytes)

    @property
    def at_event_end(self) -> bool:
        """Whether an event of a stream that is not compressed could follow."""
        return self._tail.endswith(_EVENT_ENDS)

    @property
    def at_frame_end(self) -> bool:
        """Whether a frame of a WebSocket could follow."""
        return self._frames is not None and self._frames.at_end

    def feed(self, data: bytes) -> None:
        """Take payload bytes as they came."""
        super().feed(data)
        self.passed_bytes += len(data)
        self._tail = (self._tail + data[-4:])[-4:]
        if self._frames is not None:
            self._frames.feed(data)


def observe(call: Call, head: AnswerHead, max_bytes: int, lose: Lose) -> Observer:
    """The observer of an answer.

    Only what is billed by how long it goes on is measured: streams and tunnels. A whole answer is billed when it
    begins, whatever its length, and a file is not billed by its length.
    """
    permit = call.permit
    lasts = head.content_type == EVENTS or head.status == _TUNNEL or call.streaming
    if permit is None or permit.growth is None or not lasts or not (head.status < 300):
        return Observer(call.route.dialect, head, max_bytes, lose)
    return MeasuringObserver(call, head, max_bytes, lose)


def own_framing(call: Call, head: ResponseHead) -> Editor | None:
    """What makes the framing of a stream ours, where an event of ours may have to follow."""
    grows = call.permit is not None and call.permit.growth is not None
    if not grows or head.content_type != EVENTS or head.content_encoding or head.framing != "chunked":
        return None
    return Untouched()

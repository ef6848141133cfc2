"""The frame of every reader: tells streams from whole bodies, cuts them, and keeps what every dialect states.

A dialect's reader derives from `AnswerReader` and says what its JSON objects mean. Which kind of answer it is follows
from the content type, unless the first bytes say otherwise: some servers answer JSON to a call that asked for a stream,
and some name the wrong type. Blank lines, comments and a byte order mark in front belong to neither kind.

Nothing of a stream is kept but figures and names; a whole body is held up to a limit. Nothing here raises.
"""

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Literal

from proxy.core.error_body import error_seen
from proxy.core.errors import ErrorSeen
from proxy.core.facts import AnswerHead, FinishClass, ResponseFacts, StreamEnd
from proxy.core.json_array import ArraySplitter
from proxy.core.money import Money, stated
from proxy.core.sse import BOM, MAX_EVENT_BYTES, Event, EventSplitter
from proxy.core.usage import Usage
from proxy.core.wanted import first_stated, json_value

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Longest whole body that is held by default."""

CURRENCY = "USD"
"""Money in usage objects (OpenRouter, LLM.API) is in US dollars."""

EVENT_STREAM = "text/event-stream"
DONE = b"[DONE]"
_LONGEST_DONE = 16  # with spaces around it
_ERROR = b"error"

_MAX_PLAIN_BYTES = 500
"""How much of a body in plain text is kept as the message of an error."""

_SPACES = b" \t\r\n"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:")
_LONGEST_FIELD = max(map(len, _FIELDS))

Kind = Literal["events", "array", "body", "text"]


class AnswerReader(ABC):
    """Base of the readers. A dialect fills the facts in `take` and words its usage in `usage`."""

    __slots__ = (
        "_array",
        "_bad_events",
        "_body",
        "_body_bytes",
        "_done",
        "_front",
        "_head",
        "_kind",
        "_max_body_bytes",
        "_past_mark",
        "_splitter",
        "ended",
        "error",
        "finish_reason",
        "model",
        "provider_cost",
        "response_id",
        "saw_content",
        "service_tier",
        "stream_end",
        "unread",
    )

    saw_content: bool
    model: str | None
    response_id: str | None
    service_tier: str | None
    finish_reason: str | None
    error: ErrorSeen | None
    provider_cost: Money | None
    unread: str | None
    ended: StreamEnd | None
    """Set by a dialect whose streams have an end of their own."""
    stream_end: StreamEnd | None
    """How the stream ended, once all has been read; None for a whole body."""

    def __init__(self, head: AnswerHead, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._head = head
        self._kind: Kind | None = None
        self._front = b""  # the first bytes, until they tell the kind
        self._past_mark = False  # whether the place of a byte order mark is behind
        self._splitter: EventSplitter | None = None
        self._array: ArraySplitter | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._max_body_bytes = max_bytes
        self._bad_events = 0
        self._done = False
        self.saw_content = False
        self.model = None
        self.response_id = None
        self.service_tier = None
        self.finish_reason = None
        self.error = None
        self.provider_cost = None
        self.unread = None
        self.ended = None
        self.stream_end = None

    @property
    def whole(self) -> bool:
        """Whether the answer is one body and no stream."""
        return self._kind in {"body", "text", None}

    @abstractmethod
    def take(self, data: bytes) -> bool:
        """Read one JSON object: an event of a stream or a whole body. False when it cannot be read as one."""

    @abstractmethod
    def usage(self) -> Usage:
        """What was used, once all has been read."""

    @abstractmethod
    def finish_class(self) -> FinishClass | None:
        """The class of the finish, once all has been read."""

    def note_error(self, value: object) -> None:
        """Keep the error that a decoded JSON value states; the first one of an answer stays."""
        if self.error is None:
            in_stream = not self.whole and self._head.status < 400
            self.error = error_seen(value, self._head.status, in_stream=in_stream)

    def note_cost(self, *amounts: Decimal | None) -> None:
        """Keep the money that a usage object states (the first of `amounts` that is there); a later one replaces it."""
        cost = stated(first_stated(*amounts), CURRENCY)
        if cost is not None:
            self.provider_cost = cost

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, decoded."""
        if self._splitter is not None:
            for event in self._splitter.feed(data):
                text = event.data
                if text is None:
                    continue
                if len(text) <= _LONGEST_DONE or event.name == _ERROR:
                    self._take_odd(event)
                elif not self.take(text):
                    self._bad_events += 1
        elif self._kind is None and not self._front and data.startswith(b"{"):
            self._kind = "body"  # as nearly every whole answer begins
            self._hold(data)
        elif self._kind is None:
            self._front += data
            self._tell_kind(at_end=False)
        elif self._array is not None:
            for element in self._array.feed(data):
                if not self.take(element):
                    self._bad_events += 1
        elif self.unread is None:
            self._hold(data)

    def finish(self, *, clean: bool) -> ResponseFacts:
        """End of the body; `clean` is False when the connection broke."""
        if self._kind is None:
            self._tell_kind(at_end=True)
        if self.whole:
            self._finish_body(clean=clean)
        else:
            self.stream_end = self._finish_stream(clean=clean)
        if self.error is None and self._head.status >= 400:
            self.error = error_seen(None, self._head.status)
        return ResponseFacts(
            model=self.model,
            response_id=self.response_id,
            service_tier=self.service_tier,
            usage=self.usage(),
            finish_reason=self.finish_reason,
            finish_class=self.finish_class(),
            error=self.error,
            stream_end=self.stream_end,
            provider_cost=self.provider_cost,
            unread=self.unread,
        )

    def _take_odd(self, event: Event) -> None:
        """Take an event that is very short, named an error, or cut off by the end of the stream."""
        data = event.data or b""
        if data.strip() == DONE:
            self._done = True
            return
        taken = self.take(data)
        if event.name == _ERROR and self.error is None:
            # Its name says what it is, even if its data is a bare text or an object without an `error`.
            self.note_error({"error": json_value(data) or data.decode("utf-8", "replace")})
        elif not taken and event.complete:
            self._bad_events += 1

    def _tell_kind(self, *, at_end: bool) -> None:
        """Settle what the answer is as soon as its first bytes tell, and read on from there."""
        front = self._front
        if not self._past_mark:
            if len(front) < len(BOM) and BOM.startswith(front) and not at_end:
                return
            self._past_mark = True
            front = front.removeprefix(BOM)
        self._front = front = _significant(front)
        kind = self._kind_of(front)
        if kind is None and not at_end:
            return
        self._kind = kind or ("events" if self._says_events else "text")
        if self._kind == "events":
            self._splitter = EventSplitter(min(self._max_body_bytes, MAX_EVENT_BYTES))
        elif self._kind == "array":
            self._array = ArraySplitter(min(self._max_body_bytes, MAX_EVENT_BYTES))
        self._front = b""
        if front:
            self.feed(front)

    @property
    def _says_events(self) -> bool:
        return self._head.content_type == EVENT_STREAM

    def _kind_of(self, front: bytes) -> Kind | None:
        """The kind that the first bytes show; None while more of them could show another."""
        if not front or front.startswith(b":"):
            return None
        if front.startswith(b"{"):
            return "body"
        if front.startswith(b"["):
            return "array"
        if self._says_events:
            return "text" if front.startswith(b"<") else "events"
        if front.startswith(_FIELDS):
            return "events"
        could_be = len(front) < _LONGEST_FIELD and any(field.startswith(front) for field in _FIELDS)
        return None if could_be else "text"

    def _hold(self, data: bytes) -> None:
        if self._kind == "text":
            data = data[: max(0, _MAX_PLAIN_BYTES - self._body_bytes)]
        self._body.append(data)
        self._body_bytes += len(data)
        if self._body_bytes > self._max_body_bytes:
            self.unread = "body_too_large"
            self._body.clear()

    def _finish_stream(self, *, clean: bool) -> StreamEnd | None:
        for event in self._splitter.finish() if self._splitter is not None else ():
            if event.data is not None:
                self._take_odd(event)
        source = self._splitter or self._array
        failed = source and source.failed
        self.unread = failed or ("bad_event" if self._bad_events else None)
        if self._head.status >= 400:
            return None  # an error, in whatever wrapping
        if self._done:
            return "done_marker"
        if self.error is not None:
            return "error"
        if self.ended is not None:
            return self.ended
        if failed and clean:
            return None  # how it ended was not looked at
        has_end = self.finish_reason is not None or (self._array is not None and self._array.closed)
        return "eof" if clean and has_end else "truncated"

    def _finish_body(self, *, clean: bool) -> None:
        body = b"".join(self._body)
        self._body.clear()
        if self._kind == "body":
            if self.unread is None and not self.take(body):
                self.unread = "not_json" if clean else "truncated"
            if self._head.status >= 400:
                self.note_error(json_value(body))
        elif body:
            self.unread = "not_json"
            if self._head.status >= 400 and not body.startswith(b"<"):
                message = body.decode("utf-8", "replace").strip()
                self.error = ErrorSeen(status=self._head.status, message=message)
        elif self._head.status == 200:
            self.unread = "empty"


def _significant(front: bytes) -> bytes:
    """The first bytes from the first on that tells anything: no blank line and no comment before it."""
    front = front.lstrip(_SPACES)
    while front.startswith(b":"):
        line_end = min((at for at in (front.find(b"\n"), front.find(b"\r")) if at >= 0), default=-1)
        if line_end < 0:
            return b":"  # of a comment that goes on only the colon is needed
        front = front[line_end:].lstrip(_SPACES)
    return front

"""Cuts a stream of server-sent events into its events, without losing or changing a byte of it.

An event is a run of lines up to and including the blank line that ends it. Lines end with LF, CRLF or CR. Every byte
that goes in belongs to exactly one event, so that the `raw` of all events, joined, is the stream again: who takes one
event out of a stream writes the raws of the others.

Two rules make the cut independent of how the bytes arrive. A CR that may be the first half of a CRLF waits for the
next byte. A blank line that is a CR after a line that also ended in a bare CR ends the event at once; an LF right
after it is a blank line of its own. So neither a CRLF stream nor a CR stream is ever held back by a byte.

Source: WHATWG HTML, "Server-sent events", sections 9.2.5 and 9.2.6.
"""

import msgspec

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Longest event that is held. MiniMax repeats the whole answer in its last frame: 524,288 tokens of escaped CJK text
are about 5 MB; a generated 4K image in base64 is 10 to 15 MB. What is longer is not an event of a chat."""

BOM = b"\xef\xbb\xbf"

Buffer = bytes | bytearray


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event as it stood in the stream."""

    raw: bytes
    """All its bytes with line ends, its blank line, comments and a byte order mark before it."""
    data: bytes | None = None
    """Its `data` lines joined with LF; None when there is nothing to dispatch (comments, blank lines, empty data)."""
    name: bytes = b""
    """Its `event` field; empty when it has none."""
    complete: bool = True
    """False for what stood at the end of the stream without a blank line, and for bytes after the splitter gave up."""


class EventSplitter:
    """Cuts bytes into events as they arrive. Holds at most one unfinished event and never raises.

    After an event longer than `max_event_bytes` it gives up: `failed` says why, and all further bytes are handed back
    as events without data, so that nothing is held and nothing is lost.
    """

    __slots__ = ("_begun", "_held", "_line", "_max_bytes", "_searched", "_skip", "failed")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_event_bytes
        self._held: Buffer = b""
        self._begun = False
        self._skip = 0  # bytes of a byte order mark at the front of the held event
        self._line = 0  # where in the held bytes the unfinished line begins
        self._searched = 0  # up to where the unfinished line is known to hold no line end
        self.failed: str | None = None
        """Why splitting was given up (`event_too_long`); None while it works."""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; give the events that are complete with them."""
        held = self._held
        if not held and self.failed is None:
            usual = _usual_event(data)
            if usual is not None and len(data) <= self._max_bytes:
                self._begun = True
                return [usual]
        if not data:
            return []
        if self.failed is not None:
            return [Event(data, complete=False)]
        if not held:
            return self._split(data, at_end=False)
        if isinstance(held, bytes):
            held = bytearray(held)  # grows in place: a long event in small pieces must not be copied at each of them
        held += data
        return self._split(held, at_end=False)

    def finish(self) -> list[Event]:
        """End of the stream: the last events, the unfinished one included (`complete` is False)."""
        events = self._split(self._held, at_end=True) if self._held else []
        if self._held:
            events.append(_event(bytes(self._held), skip=self._skip, complete=False))
            self._held = b""
        return events

    def _split(self, buffer: Buffer, *, at_end: bool) -> list[Event]:
        if not self._begun:
            if len(buffer) < len(BOM) and buffer == BOM[: len(buffer)] and not at_end:
                self._held = buffer
                return []
            self._begun = True
            if buffer.startswith(BOM):
                self._skip = self._line = self._searched = len(BOM)
        if isinstance(buffer, bytes) and not self._skip and b"\r" not in buffer:
            return self._settle(self._cut_plain(buffer))
        return self._settle(self._cut(buffer, at_end=at_end))

    def _cut_plain(self, data: bytes) -> list[Event]:
        """The quick way for bytes that begin with an event and whose lines end with LF only."""
        events: list[Event] = []
        start, size = 0, len(data)
        while start < size:
            if data[start] == 0x0A:
                end = start + 1
            else:
                blank = data.find(b"\n\n", start)
                if blank < 0:
                    break
                end = blank + 2
            if end - start > self._max_bytes:
                break
            raw = data[start:end]
            events.append(_usual_event(raw) or _event(raw))
            start = end
        self._hold(data, start, max(start, data.rfind(b"\n") + 1), size)
        return events

    def _cut(self, buffer: Buffer, *, at_end: bool) -> list[Event]:
        events: list[Event] = []
        start, line, searched = 0, self._line, self._searched
        size = len(buffer)
        while searched < size:
            end = _line_end(buffer, start, line, searched, at_end=at_end)
            if end == 0:
                # A last CR is looked at again when it is known what follows it.
                searched = size - 1 if buffer[size - 1] == 0x0D else size
                break
            if buffer[line] in b"\r\n":
                if end - start > self._max_bytes:
                    break
                events.append(_event(bytes(buffer[start:end]), skip=self._skip))
                self._skip = 0
                start = end
            line = searched = end
        self._hold(buffer, start, line, searched)
        return events

    def _settle(self, events: list[Event]) -> list[Event]:
        if len(self._held) > self._max_bytes:
            self.failed = "event_too_long"
            events.append(Event(bytes(self._held), complete=False))
            self._hold(b"", 0, 0, 0)
        return events

    def _hold(self, buffer: Buffer, start: int, line: int, searched: int) -> None:
        if start:
            # A bytearray drops its front without moving the rest.
            if isinstance(buffer, bytearray):
                del buffer[:start]
            else:
                buffer = buffer[start:]
        self._held = buffer
        self._line = line - start
        self._searched = searched - start


def _usual_event(raw: bytes) -> Event | None:
    """The quick way for the usual chunk of a chat: one whole event with one line of data. None for anything else."""
    at, name = 0, b""
    end = raw.find(b"\n")
    if raw.startswith(b"event: "):
        name = raw[7:end]
        at = end + 1
        end = raw.find(b"\n", at)
    if not raw.startswith(b"data: ", at):
        return None
    cr = raw.find(b"\r")
    if cr < 0:
        # The first LF is the last byte but one, and the last byte is one too: a line and a blank line.
        return Event(raw, raw[at + 6 : -2] or None, name) if end == len(raw) - 2 and raw[-1] == 0x0A else None
    if at == 0 and cr == end - 1 == len(raw) - 4 and raw.endswith(b"\r\n\r\n"):
        return Event(raw, raw[6:-4] or None)
    return None


def _event(raw: bytes, *, skip: int = 0, complete: bool = True) -> Event:
    """Read the fields of an event; `skip` bytes of a byte order mark stand in front of them."""
    values: list[bytes] = []
    name = b""
    for line in (raw[skip:] if skip else raw).splitlines():
        if line.startswith(b"data:"):
            values.append(line[6:] if line.startswith(b" ", 5) else line[5:])
        elif line.startswith(b"event:"):
            name = line[7:] if line.startswith(b" ", 6) else line[6:]
        elif line == b"data":
            values.append(b"")
        elif line == b"event":
            name = b""
    data = values[0] if len(values) == 1 else b"\n".join(values)
    return Event(raw, data or None, name, complete)


def _line_end(buffer: Buffer, start: int, line: int, searched: int, *, at_end: bool) -> int:
    """Position after the end of the line that begins at `line`; 0 when it is not there yet."""
    lf = buffer.find(b"\n", searched)
    cr = buffer.find(b"\r", searched, lf if lf >= 0 else len(buffer))
    if cr < 0:
        return lf + 1
    if cr == line and line > start and buffer[line - 1] == 0x0D:
        return cr + 1
    if cr + 1 == lf:
        return lf + 1
    return cr + 1 if at_end or cr + 1 < len(buffer) else 0

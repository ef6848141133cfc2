"""Cuts a JSON array that arrives piece by piece into its elements.

Gemini streams an array of answers when it is not asked for server-sent events. The elements are only found here, by
their brackets and strings; whether they are sound JSON is seen by who reads them.
"""

import re

from proxy.core.sse import MAX_EVENT_BYTES

_OUTSIDE = re.compile(rb'[\[\]{}",]')
_IN_STRING = re.compile(rb'["\\]')
_SPACES = b" \t\r\n"


class ArraySplitter:
    """Takes the bytes of one array, its `[` included, and gives its elements. Never raises.

    After an element longer than `max_element_bytes` it gives up: `failed` says why, and nothing more is given.
    """

    __slots__ = ("_at", "_depth", "_held", "_in_string", "_max_bytes", "closed", "failed")

    def __init__(self, max_element_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_element_bytes
        self._held = bytearray()  # the unfinished element
        self._at = 0  # up to where the held bytes are understood
        self._depth = 0  # brackets open, that of the array included
        self._in_string = False
        self.closed = False
        """Whether the array has ended."""
        self.failed: str | None = None
        """Why splitting was given up (`event_too_long`); None while it works."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the elements that are complete with them."""
        elements: list[bytes] = []
        if self.closed or self.failed is not None:
            return elements
        self._held += data
        while (token := self._next_token()) is not None:
            if self._depth == 1 and token in b",]}":
                self._end_element(elements)
            if token in b"[{":
                if self._depth == 0:
                    self._drop_front()
                self._depth += 1
            elif token in b"]}":
                self._depth -= 1
                if self._depth <= 0:
                    self.closed = True
                    self._held.clear()
                    return elements
        if len(self._held) > self._max_bytes:
            self.failed = "event_too_long"
            self._held.clear()
        return elements

    def _next_token(self) -> int | None:
        """The next bracket or comma that is not inside a string."""
        while True:
            found = (_IN_STRING if self._in_string else _OUTSIDE).search(self._held, self._at)
            if found is None:
                self._at = len(self._held)
                return None
            token = self._held[found.start()]
            if token == 0x5C:  # a backslash: whatever it escapes is no token
                if found.end() == len(self._held):
                    self._at = found.start()
                    return None
                self._at = found.end() + 1
                continue
            self._at = found.end()
            if token != 0x22:
                return token
            self._in_string = not self._in_string

    def _end_element(self, elements: list[bytes]) -> None:
        length = self._at - 1
        element = bytes(self._held[:length]).strip(_SPACES)
        self._drop_front()
        if length > self._max_bytes:
            self.failed = "event_too_long"
        elif element and self.failed is None:
            elements.append(element)

    def _drop_front(self) -> None:
        del self._held[: self._at]
        self._at = 0

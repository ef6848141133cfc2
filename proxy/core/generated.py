"""How much of an answer a stream has brought so far, in tokens: an estimate for as long as nobody states it. PURE.

Of each event the text is counted that a model wrote into it: answer, reasoning, arguments of tools. Two bytes of UTF-8
are taken for one token, and an event with any text for one at least. Real tokenizers take three to five bytes of
English, Chinese or code for one, so the figure is nearly always above what is billed; what a provider bills and does
not show (hidden reasoning) is not in it.
"""

import msgspec

from proxy.core.sse import EventSplitter
from proxy.core.wanted import json_value

BYTES_PER_TOKEN = 2
_TEXTS = frozenset(
    {
        *("content", "text", "reasoning", "reasoning_content", "thinking", "refusal", "transcript"),
        *("arguments", "partial_json", "delta"),
    }
)
"""Members that hold text which a model wrote, in any dialect."""
_REPEATS = "message"
"""A chunk that holds a whole message repeats what came before."""
_ARGUMENTS = "args"
"""Gemini's arguments are no text, but JSON."""

_decode = msgspec.json.Decoder().decode


class TokenCount:
    """Counts the tokens of one stream of events.

    Attributes:
        tokens: estimated so far.
    """

    __slots__ = ("_events", "tokens")

    def __init__(self) -> None:
        self._events = EventSplitter()
        self.tokens = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream, decoded."""
        for event in self._events.feed(data):
            if event.data:
                self.tokens += tokens_of(text_bytes(_value(event.data)))


def tokens_of(size_bytes: int) -> int:
    """What so many bytes of text are taken for."""
    return -(-size_bytes // BYTES_PER_TOKEN)


def text_bytes(value: object) -> int:
    """The bytes of text in the JSON of one event that are new with it."""
    if not isinstance(value, dict):
        return 0
    kind = value.get("type")
    if isinstance(kind, str) and not kind.endswith("delta"):
        return 0  # the others of those who name their events begin, end or repeat
    return _within(value)


def _value(data: bytes) -> object:
    try:
        return _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return json_value(data)  # six times as slow, and reads what others would not


def _within(value: dict[str, object]) -> int:
    found = 0
    left: list[object] = [value]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            for name, member in one.items():
                if isinstance(member, str):
                    if name in _TEXTS:
                        found += len(member) if member.isascii() else len(member.encode("utf-8", "replace"))
                elif name == _ARGUMENTS:
                    found += len(str(member))
                elif name != _REPEATS and isinstance(member, list | dict):
                    left.append(member)
    return found

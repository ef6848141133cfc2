"""How much of an answer a stream has brought so far, in tokens: an estimate for as long as nobody states it. PURE.

Of each event the text is counted that a model wrote into it: answer, reasoning, arguments of tools. Two bytes of UTF-8
are taken for one token, and an event with any text for one at least. Real tokenizers take three to five bytes of
English, Chinese or code for one, so the figure is nearly always above what is billed; what a provider bills and does
not show (hidden reasoning) is not in it.
"""

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
                self.tokens += tokens_of(text_bytes(json_value(event.data)))


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


def _within(value: object) -> int:
    found, left = 0, [value]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            for name, member in one.items():
                if name == _REPEATS:
                    continue
                if isinstance(member, str):
                    found += len(member.encode("utf-8", "replace")) if name in _TEXTS else 0
                elif name == _ARGUMENTS:
                    found += len(str(member))
                else:
                    left.append(member)
    return found

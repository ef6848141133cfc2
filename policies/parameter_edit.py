"""Edits to the top-level members of a request body; every byte that is not meant stays as it was.

A member that goes takes one comma with it, the one before it or, at the front, the one after it. A name that stands
twice is edited both times: which of them counts is the server's secret. Names that are written with escapes are known,
too.
"""

import re

import msgspec

from proxy.core.json_edit import Member, members, with_first_member

_MODEL = b'"model"'
_MODEL_VALUE = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.)*")', re.DOTALL)
_LETTER = rb"\u006"
"""Begins the escape of every letter of `model`."""


class Body:
    """A request body under edit. Make it with `read_body`.

    Args:
        text: A JSON object, valid.
        found: Its members.
    """

    __slots__ = ("_added", "_found", "_gone", "_names", "_text", "_values")

    def __init__(self, text: bytes, found: list[Member]) -> None:
        self._text = text
        self._found = found
        self._names = [_plain_name(member.key) for member in found]
        self._gone: set[int] = set()
        self._values: dict[int, bytes] = {}
        self._added: list[tuple[str, bytes]] = []

    @property
    def names(self) -> frozenset[str]:
        """The members that there are now."""
        kept = [name for place, name in enumerate(self._names) if place not in self._gone]
        return frozenset([*kept, *(name for name, _ in self._added)])

    def value(self, name: str) -> bytes | None:
        """The value of a member as it stands; of several the last one; None where there is none."""
        for place in reversed(range(len(self._names))):
            if self._names[place] == name and place not in self._gone:
                return self._values.get(place, self._found[place].value(self._text))
        return next((value for added, value in self._added if added == name), None)

    def drop(self, name: str) -> None:
        """Take a member off."""
        self._gone.update(self._places(name))
        self._added = [one for one in self._added if one[0] != name]

    def rename(self, old: str, new: str) -> None:
        """Call a member by another name, in its place."""
        for place in self._places(old):
            self._names[place] = new

    def replace(self, name: str, value: bytes) -> None:
        """Give a member another value, in its place; one that is missing is put in front."""
        places = self._places(name)
        self._values.update(dict.fromkeys(places, value))
        if not places:
            self._added.append((name, value))

    def write(self) -> bytes:
        """The edited text."""
        text, found = self._text, self._found
        edited = text
        if found:
            pieces = [text[: found[0].start]]
            kept = [place for place in range(len(found)) if place not in self._gone]
            for place in kept:
                if place != kept[0]:
                    pieces.append(text[found[place - 1].end : found[place].start])
                pieces.append(self._member(place))
            pieces.append(text[found[-1].end :])
            edited = b"".join(pieces)
        for name, value in reversed(self._added):
            edited = with_first_member(edited, name.encode(), value) or edited
        return edited

    def _places(self, name: str) -> list[int]:
        return [place for place, one in enumerate(self._names) if one == name and place not in self._gone]

    def _member(self, place: int) -> bytes:
        member, name, text = self._found[place], self._names[place], self._text
        key_end = member.start + len(member.key) + 2
        key = text[member.start : key_end]
        if name != _plain_name(member.key):
            key = b'"%b"' % name.encode()
        value = self._values.get(place, member.value(text))
        return b"".join((key, text[key_end : member.value_start], value))


def read_body(text: bytes) -> Body | None:
    """A body to edit; None where it is no valid JSON object."""
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    found = members(text)
    return None if found is None else Body(text, found)


def with_model(text: bytes, model: str) -> bytes | None:
    """A request body that asks for another model, everything else as it was; None where it is no valid JSON object.

    Args:
        text: With a member `model`, which whoever calls has read.
        model: To ask for.
    """
    value = msgspec.json.encode(model)
    # A name that stands once, and that nobody can have spelt with escapes, is found without reading the rest: three
    # letters in four of a chat call are its messages. Inside a text its quotes would be escaped.
    if text.count(_MODEL) == 1 and _LETTER not in text and (found := _MODEL_VALUE.search(text)) is not None:
        return text[: found.start(1)] + value + text[found.end(1) :]
    body = read_body(text)
    if body is None:
        return None
    body.replace("model", value)
    return body.write()


def _plain_name(key: bytes) -> str:
    if b"\\" not in key:
        return key.decode("utf-8", "replace")
    try:
        return msgspec.json.decode(b'"%b"' % key, type=str)
    except (msgspec.MsgspecError, ValueError):
        return key.decode("utf-8", "replace")

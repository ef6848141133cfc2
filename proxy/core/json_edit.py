"""Edits in the text of a JSON object that leave every other byte as it was.

A body that is parsed and written again comes out different (spaces, escapes, number forms, the order of duplicate
keys), and a transparent proxy must not do that. So the members of the outermost object are found by their offsets, and
text is cut or put in at those. The text is expected to be valid JSON; where it is not, the answer is None or nonsense,
never an error, so check first.
"""

import re

import msgspec

_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_LITERAL = re.compile(rb"[-+.0-9A-Za-z]++")
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_OPENING = (0x5B, 0x7B)  # [ {
_QUOTE = 0x22
_COMMA = 0x2C
_COLON = 0x3A
_CLOSING_BRACE = 0x7D
_OPENING_BRACE = 0x7B


class Member(msgspec.Struct, frozen=True):
    """One member of an object, by offsets into the text."""

    key: bytes
    """As written between the quotes, escapes and all."""
    start: int
    """Of the key's opening quote."""
    value_start: int
    end: int
    """Just after the value."""

    def value(self, text: bytes) -> bytes:
        """The value as written."""
        return text[self.value_start : self.end]


def members(text: bytes, start: int = 0) -> list[Member] | None:
    """The members of the object that begins at or after `start`, in order; None when there is no well-formed one."""
    at = _after_space(text, start)
    if _byte(text, at) != _OPENING_BRACE:
        return None
    found: list[Member] = []
    at = _after_space(text, at + 1)
    if _byte(text, at) == _CLOSING_BRACE:
        return found
    while True:
        key = _STRING.match(text, at)
        if key is None:
            return None
        colon = _after_space(text, key.end())
        if _byte(text, colon) != _COLON:
            return None
        value_start = _after_space(text, colon + 1)
        end = _after_value(text, value_start)
        if end is None:
            return None
        found.append(Member(key[0][1:-1], at, value_start, end))
        at = _after_space(text, end)
        after = _byte(text, at)
        if after == _CLOSING_BRACE:
            return found
        if after != _COMMA:
            return None
        at = _after_space(text, at + 1)


def with_first_member(text: bytes, key: bytes, value: bytes) -> bytes | None:
    """The object with a member put in front of the others; None when the text begins no object."""
    brace = _after_space(text, 0)
    if _byte(text, brace) != _OPENING_BRACE:
        return None
    following = _byte(text, _after_space(text, brace + 1))
    if following not in (_QUOTE, _CLOSING_BRACE):
        return None
    comma = b"," if following == _QUOTE else b""
    return b"".join((text[: brace + 1], b'"', key, b'":', value, comma, text[brace + 1 :]))


def with_value(text: bytes, member: Member, value: bytes) -> bytes:
    """The text with the value of one member replaced."""
    return b"".join((text[: member.value_start], value, text[member.end :]))


def span_of(all_members: list[Member], index: int) -> tuple[int, int]:
    """Offsets of the text that goes when one member is taken off: the member, and one comma with the space beside it.

    It is the comma before the member, or the one after it when the member is the first.
    """
    member = all_members[index]
    if index > 0:
        return all_members[index - 1].end, member.end
    if len(all_members) > 1:
        return member.start, all_members[1].start
    return member.start, member.end


def _after_value(text: bytes, at: int) -> int | None:
    first = _byte(text, at)
    if first == _QUOTE:
        string = _STRING.match(text, at)
        return string.end() if string else None
    if first not in _OPENING:
        literal = _LITERAL.match(text, at)
        return literal.end() if literal else None
    depth = 0
    for token in _STRUCTURE.finditer(text, at):
        kind = text[token.start()]
        if kind == _QUOTE:
            continue
        depth += 1 if kind in _OPENING else -1
        if depth == 0:
            return token.end()
    return None


def _after_space(text: bytes, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _byte(text: bytes, at: int) -> int:
    return text[at] if at < len(text) else -1

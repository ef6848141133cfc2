"""Lowering the output limit in the text of a request that fits into a budget with less. Every other byte stays.

Each dialect has its names for the limit. Those that the body states are lowered, each of them; where it states none,
one is put in front. A body whose meaning is not certain is left alone: keys that stand twice or are written with
escapes, and a thinking budget that the limit would have to exceed.
"""

import re

from proxy.core.json_edit import Member, members, with_first_member, with_value

_NAMES: dict[str, tuple[bytes, ...]] = {
    "openai.chat": (b"max_completion_tokens", b"max_tokens", b"tokens_to_generate"),
    "minimax.native": (b"max_completion_tokens", b"max_tokens", b"tokens_to_generate"),
    "openai.responses": (b"max_output_tokens",),
    "anthropic.messages": (b"max_tokens",),
    "gemini.generate": (b"maxOutputTokens", b"max_output_tokens"),
}
"""Dialect -> the members that state the limit, the one to add where none does in front."""
_WITHIN: dict[str, tuple[bytes, ...]] = {"gemini.generate": (b"generationConfig", b"generation_config")}
"""Dialect -> the member whose object they stand in."""
_NEW_NAME = frozenset({"openai", "azure", "minimax"})
"""Kinds of providers whose chat takes `max_completion_tokens`; others know `max_tokens` at least."""
_THINKING = re.compile(rb'"(?:budget_tokens|thinkingBudget|thinking_budget)"\s*:\s*(\d{1,12})')
_NUMBER = re.compile(rb"\d{1,12}")


def lower_output_limit(body: bytes, tokens: int, *, dialect: str, kind: str = "", operation: str = "") -> bytes | None:
    """The body with an output limit of so many tokens; None when that cannot be had without doubt.

    Args:
        body: The decoded JSON body.
        tokens: The limit, at least 1.
        dialect: Name of the dialect.
        kind: Kind of the provider.
        operation: Of the call.
    """
    names = _NAMES.get(dialect)
    if names is None or tokens < 1:
        return None
    if any(int(found[1]) >= tokens for found in _THINKING.finditer(body)):
        return None
    if dialect == "openai.chat" and not (kind in _NEW_NAME and operation == "chat"):
        names = (b"max_tokens", *(name for name in names if name != b"max_tokens"))
    value = b"%d" % tokens
    within = _WITHIN.get(dialect)
    return _lowered(body, names, value) if within is None else _lowered_within(body, within, names, value)


def _lowered_within(body: bytes, within: tuple[bytes, ...], names: tuple[bytes, ...], value: bytes) -> bytes | None:
    found = _certain(body)
    if found is None:
        return None
    holders = [member for member in found if member.key in within]
    if not holders:
        return with_first_member(body, within[0], b'{"%b":%b}' % (names[0], value))
    if len(holders) > 1:
        return None
    inner = _lowered(holders[0].value(body), names, value)
    return None if inner is None else with_value(body, holders[0], inner)


def _lowered(text: bytes, names: tuple[bytes, ...], value: bytes) -> bytes | None:
    found = _certain(text)
    if found is None:
        return None
    stated = [member for member in found if member.key in names and member.value(text) != b"null"]
    if not stated:
        empty = next((member for member in found if member.key in names), None)
        return with_first_member(text, names[0], value) if empty is None else with_value(text, empty, value)
    for member in reversed(stated):  # from the end, so that the offsets of those before stay true
        number = member.value(text)
        if not _NUMBER.fullmatch(number):
            return None
        if int(number) > int(value):
            text = with_value(text, member, value)
    return text


def _certain(text: bytes) -> list[Member] | None:
    """The members of an object each of whose keys stands once, and as it reads; None for any other."""
    found = members(text)
    if found is None:
        return None
    keys = {member.key for member in found}
    return found if len(keys) == len(found) and not any(b"\\" in key for key in keys) else None

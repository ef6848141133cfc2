"""The text of an answer, and whether the app asked for it to be JSON: what `answer is not JSON` is decided by.

Read at the end of an attempt, and only where a rule looks at it and the app asked for JSON. The text is that of the
first choice, without reasoning: a `<think>` block at its front is no part of it, and neither are tool calls.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from proxy.core.sse import EventSplitter
from proxy.core.wanted import json_value

Texts = Callable[[object], Iterator[str]]
"""The pieces of text in one JSON value: a whole body or the data of an event."""

_THINK = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)
_JSON_HINTS = (b"json", b"Schema")
_ASKING_TYPES = frozenset({"json_schema", "json_object"})


def asks_for_json(body: bytes) -> bool:
    """Whether a request, in any dialect, asks for an answer by a schema or for any JSON."""
    if not any(hint in body for hint in _JSON_HINTS):
        return False
    request = json_value(body)
    stated = (
        _at(request, "response_format", "type"),
        _at(request, "text", "format", "type"),
        _at(request, "output_config", "format", "type"),
        _at(request, "output_format", "type"),
    )
    if any(isinstance(one, str) and one in _ASKING_TYPES for one in stated):
        return True
    generation = _at(request, "generationConfig")
    return (
        _at(generation, "responseMimeType") == "application/json"
        or isinstance(_at(generation, "responseSchema"), dict)
        or isinstance(_at(generation, "responseJsonSchema"), dict)
    )


def answer_text(body: bytes, dialect: str) -> str | None:
    """The text of a whole answer or of all of a stream, decoded; None where the dialect has none or none is in it."""
    if dialect not in _WHOLE:
        return None
    front = body.lstrip()[:1]
    if front in {b"{", b"["}:
        value = json_value(body)
        # Gemini streams an array of answers where it is not asked for events.
        pieces = [text for one in _list(value) or [value] for text in _WHOLE[dialect](one)]
    else:
        pieces = _streamed(body, _STREAMED[dialect])
    text = "".join(pieces)
    thought = _THINK.match(text)
    return (text[thought.end() :] if thought else text) or None


def _streamed(body: bytes, texts: Texts) -> list[str]:
    splitter = EventSplitter()
    pieces: list[str] = []
    for event in (*splitter.feed(body), *splitter.finish()):
        if event.data:
            pieces += texts(json_value(event.data))
    return pieces


def _at(value: object, *names: str) -> object:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _strings(values: Iterable[object]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _parts(content: object) -> Iterator[str]:
    """Text that stands as a string or in parts; reasoning parts have other names or say `thought`."""
    if isinstance(content, str):
        yield content
    for part in _list(content):
        if _at(part, "thought") is not True and _at(part, "type") in {None, "text", "output_text"}:
            yield from _strings([_at(part, "text")])


def _first_choice(value: object, member: str) -> Iterator[str]:
    for choice in _list(_at(value, "choices")):
        if _at(choice, "index") in {None, 0}:
            yield from _parts(_at(choice, member, "content"))


def _chat(value: object) -> Iterator[str]:
    return _first_choice(value, "message")


def _chat_chunk(value: object) -> Iterator[str]:
    return _first_choice(value, "delta")


def _messages(value: object) -> Iterator[str]:
    return _parts(_at(value, "content"))


def _messages_event(value: object) -> Iterator[str]:
    # A block's own text at its start is repeated in its first delta by those who write it at all.
    if _at(value, "delta", "type") == "text_delta":
        yield from _strings([_at(value, "delta", "text")])


def _responses(value: object) -> Iterator[str]:
    for item in _list(_at(value, "output")):
        if _at(item, "type") == "message":
            yield from _parts(_at(item, "content"))


def _responses_event(value: object) -> Iterator[str]:
    if _at(value, "type") == "response.output_text.delta":
        yield from _strings([_at(value, "delta")])


def _gemini(value: object) -> Iterator[str]:
    for candidate in _list(_at(value, "candidates")):
        if _at(candidate, "index") in {None, 0}:
            yield from _parts(_at(candidate, "content", "parts"))


_WHOLE: dict[str, Texts] = {
    "openai.chat": _chat,
    "minimax.native": _chat,
    "anthropic.messages": _messages,
    "openai.responses": _responses,
    "gemini.generate": _gemini,
}
_STREAMED: dict[str, Texts] = {
    "openai.chat": _chat_chunk,
    "minimax.native": _chat_chunk,
    "anthropic.messages": _messages_event,
    "openai.responses": _responses_event,
    "gemini.generate": _gemini,
}

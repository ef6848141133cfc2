"""What a request asks of the sandbox beside an answer: pace, length, faults on demand.

Three places are read, the later ones win key by key: the user field (`user`, `safety_identifier`, `metadata.user_id`)
and the model name, as `sandbox:key=value,...` at their end, and the header `x-sandbox: key=value,...`. Examples:

    x-sandbox: ttfb_ms=300,pace_ms=40,tokens=200
    model: gpt-4o-mini#sandbox:error=429
    user: sandbox:cut
"""

import re
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

HEADER = "x-sandbox"
"""Lower-case name of the request header that carries controls."""
MAX_TOKENS = 100_000
"""The longest text the sandbox invents; a larger wish is refused rather than cut."""

_IN_FIELD = re.compile(r"[\s#:@/]*\bsandbox:(?P<controls>[^\s]*)$", re.IGNORECASE)


class Controls(msgspec.Struct, frozen=True, kw_only=True):
    """The wishes of one request. A key without a value is a wish for True."""

    ttfb_ms: float = 25.0
    """Pause before the head of the answer."""
    pace_ms: float = 8.0
    """Pause before each further event of a stream."""
    chunk_tokens: int = 1
    """Tokens of text in one event of a stream."""
    tokens: int | None = None
    """Length of the invented text; None draws one."""
    reasoning: int | None = None
    """Length of the invented reasoning where the request gets one; None draws one."""
    tools: int | None = None
    """How many tools to call, 0 for none; None calls one where tools are offered and none has answered yet."""
    cached: int | None = None
    """Prompt tokens said to come from the provider's cache; None follows the dialect's rule."""
    error: str | None = None
    """What goes wrong: a status (`429`), a word (`overloaded`), a MiniMax code (`base:1008`), either of them after half
    of a stream (`stream:1027`, `stream:overloaded`); see `proxy.sandbox.errors`."""
    retry_after_ms: int | None = None
    """`retry-after` and `retry-after-ms` of an error."""
    shape: str | None = None
    """`a` or `b`: which of MiniMax's two stream shapes; None goes by the model."""
    cut: bool = False
    """Break the connection after half of the answer."""
    stall: bool = False
    """Say nothing more after half of the answer and keep the connection."""
    malformed: bool = False
    """Break the JSON: a bad event in the middle of a stream, a whole body that stops early."""
    empty: bool = False
    """Answer with no body at all."""
    no_usage: bool = False
    """Leave every usage figure out."""
    gzip: bool = False
    """Send the answer gzip-encoded."""


class ControlError(ValueError):
    """A wish nobody can fulfil; the message says which and what would be right."""


_FIELDS = {field.name: field.type for field in msgspec.structs.fields(Controls)}


def strip_field(value: str) -> tuple[str, str | None]:
    """A model name or user field without its controls, and the controls' text; None when it carries none."""
    found = _IN_FIELD.search(value)
    return (value, None) if found is None else (value[: found.start()], found["controls"])


def take_controls(body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[dict[str, Any], Controls]:
    """The body without the controls in it, and the controls of body and header together.

    Args:
        body: the decoded request.
        headers: request headers under lower-case names (or a mapping that ignores case).

    Raises:
        ControlError: a key that is not known or a value of the wrong kind.
    """
    plain = dict(body)
    texts: list[str] = []
    for name in ("safety_identifier", "user", "model"):
        if isinstance(value := plain.get(name), str):
            plain[name], text = strip_field(value)
            texts.append(text or "")
            if not plain[name]:
                # A field that held nothing but controls is a field the app did not send.
                del plain[name]
    metadata = plain.get("metadata")
    if isinstance(metadata, dict) and isinstance(user_id := metadata.get("user_id"), str):
        plain_id, text = strip_field(user_id)
        plain["metadata"] = {**metadata, "user_id": plain_id}
        texts.insert(0, text or "")
    texts.append(headers.get(HEADER, ""))
    wishes: dict[str, str] = {}
    for text in texts:
        wishes.update(_pairs(text))
    return plain, _controls(wishes)


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in text.split(","):
        key, _, value = item.strip().partition("=")
        if key:
            pairs[key.strip().lower()] = value.strip()
    return pairs


def _controls(wishes: Mapping[str, str]) -> Controls:
    values: dict[str, Any] = {}
    for key, text in wishes.items():
        if key not in _FIELDS:
            raise ControlError(f"unknown sandbox control {key!r}; known are {', '.join(_FIELDS)}")
        values[key] = _value(key, text)
    return Controls(**values)


def _value(key: str, text: str) -> bool | int | float | str:
    kinds = get_args(_FIELDS[key]) or (_FIELDS[key],)
    if bool in kinds:
        return text.lower() not in {"0", "false", "no"}
    if str in kinds:
        return text
    kind = float if float in kinds else int
    try:
        number = kind(text)
    except ValueError:
        number = -1
    # Not `< 0` alone: a comparison with NaN is never true.
    if not 0 <= number <= MAX_TOKENS:
        raise ControlError(f"sandbox control {key} wants a number from 0 to {MAX_TOKENS}, not {text!r}")
    return number

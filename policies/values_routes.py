"""The small languages of routes and outcome rules: targets, durations, shares, statuses, texts.

Every parser takes the raw YAML value and raises ValueError with a sentence that says what would be right.
"""

import re
from decimal import Decimal
from typing import Any

import msgspec

from policies.json_path import parse_path
from policies.routes_compiled import HeaderMatch, JsonMatch, OutcomeClass, RouteTarget, Step, TextMatch
from policies.values import percent
from proxy.config.values import duration_s, size_bytes
from proxy.core.errors import REMEDIES, Answer

MAX_WEIGHT = 1_000_000
_MAX_TEXT_CHARS = 4096
_TARGET_KEYS = ("provider", "model", "key", "weight", "strict")
_STATUS = re.compile(r"([1-5]\d\d|0)(?:-([1-5]\d\d))?", re.ASCII)
_SAY_TARGET = "must be a target such as minimax/MiniMax-M3, openai, or minimax/MiniMax-M3#KEY"
_SAY_TIER = (
    f"{_SAY_TARGET}, the same as {{provider: ..., model: ...}}, "
    "or targets that share the calls: {weights: {minimax/MiniMax-M3: 95, minimax/MiniMax-M2: 5}}"
)
_SAY_STATUS = 'must be a status such as 429, "500-599", or a list of them; 0 is no answer at all'
_SAY_TEXT = "must be a text, a list of texts, {not: ...}, {contains: ...}, or {there: true}"


class HoldHead(msgspec.Struct, frozen=True):
    """Whether the head of a stream is held back, and how long; None is what holds where nothing is said."""

    on: bool
    time_ms: int | None = None
    size_bytes: int | None = None


def duration_ms(raw: Any) -> int:
    """`200ms`, `5s` -> whole milliseconds, at least 1."""
    return max(1, round(duration_s(raw) * 1000))


def duration_or_none_ms(raw: Any) -> int:
    """A duration, or 0 for none at all."""
    return 0 if raw == 0 and not isinstance(raw, bool) else duration_ms(raw)


def share(raw: Any) -> int:
    """`20%` -> ten-thousandths, at most all."""
    try:
        parts = percent(raw)
    except ValueError:
        parts = -1
    if not 0 <= parts <= 100_00:
        raise ValueError('must be a share from "0%" to "100%"')
    return parts


def tier(raw: Any) -> tuple[RouteTarget, ...]:
    """One step of the order in which targets are tried: a target, or targets that share its calls by weight."""
    if isinstance(raw, dict) and "weights" in raw:
        weights = raw["weights"]
        if set(raw) != {"weights"} or not isinstance(weights, dict) or not weights:
            raise ValueError(_SAY_TIER)
        return tuple(_weighed(target(name), weight) for name, weight in weights.items())
    if isinstance(raw, list):
        if not raw:
            raise ValueError(_SAY_TIER)
        return tuple(target(one) for one in raw)
    return (target(raw),)


def target(raw: Any) -> RouteTarget:
    """`provider/model#key`, model and key left out where they are the app's own, or a mapping of the same."""
    if isinstance(raw, dict):
        return _spelt_out(raw)
    if not isinstance(raw, str) or not raw.strip() or len(raw) > _MAX_TEXT_CHARS or any(map(str.isspace, raw)):
        raise ValueError(_SAY_TIER)
    named, mark, key = raw.partition("#")
    provider, slash, model = named.partition("/")
    if not provider or (slash and not model) or (mark and not key):
        raise ValueError(_SAY_TARGET)
    return RouteTarget(id=target_id(provider, model or None, key), provider=provider, model=model or None, key=key)


def target_id(provider: str, model: str | None, key: str = "") -> str:
    """What a target is known by: `minimax/MiniMax-M3#eu`, and no more of that than is stated."""
    return provider + (f"/{model}" if model else "") + (f"#{key}" if key else "")


def _spelt_out(raw: dict[str, Any]) -> RouteTarget:
    unknown = next((name for name in raw if name not in _TARGET_KEYS), None)
    if unknown is not None:
        raise ValueError(f"has the unknown key {unknown}; known are {', '.join((*_TARGET_KEYS, 'weights'))}")
    provider, model, key = raw.get("provider"), raw.get("model"), raw.get("key") or ""
    if not isinstance(provider, str) or not provider:
        raise ValueError("needs provider, the name of a configured one")
    if not isinstance(model, str | None) or not isinstance(key, str):
        raise ValueError("must name its model and key as text")  # noqa: TRY004 - what people write wrong is a value
    strict = raw.get("strict", False)
    if not isinstance(strict, bool):
        raise ValueError("strict must be true or false")  # noqa: TRY004 - likewise
    made = RouteTarget(
        id=target_id(provider, model, key), provider=provider, model=model or None, key=key, strict=strict
    )
    return _weighed(made, raw.get("weight", 1))


def _weighed(made: RouteTarget, weight: Any) -> RouteTarget:
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= MAX_WEIGHT:
        raise ValueError(f"the weight of {made.id} must be a whole number from 0 to {MAX_WEIGHT}")
    return msgspec.structs.replace(made, weight=weight)


def hold_head(raw: Any) -> HoldHead:
    """`off`, or `{time: 30s, bytes: 64KiB}`, either of them alone, too."""
    if isinstance(raw, bool) or raw in ("on", "off"):
        return HoldHead(on=raw in (True, "on"))
    if not isinstance(raw, dict) or not raw or not set(raw) <= {"time", "bytes"}:
        raise ValueError("must be off, or {time: 30s, bytes: 64KiB}")
    time, size = raw.get("time"), raw.get("bytes")
    return HoldHead(
        on=True,
        time_ms=None if time is None else duration_ms(time),
        size_bytes=None if size is None else size_bytes(size),
    )


def statuses(raw: Any) -> tuple[tuple[int, int], ...]:
    """`429`, `500-599`, or a list -> first and last of each range."""
    made: list[tuple[int, int]] = []
    for item in raw if isinstance(raw, list) else [raw]:
        found = _STATUS.fullmatch(str(item)) if isinstance(item, int | str) and not isinstance(item, bool) else None
        if found is None:
            raise ValueError(_SAY_STATUS)
        made.append((int(found[1]), int(found[2] or found[1])))
    if not made:
        raise ValueError(_SAY_STATUS)
    return tuple(made)


def text_match(raw: Any) -> TextMatch:
    """A text as a rule wants it: `x`, `[x, y]`, `{not: x}`, `{contains: x}`, `{there: true}`; `*` and `?` are wild."""
    if not isinstance(raw, dict):
        return _values(_texts(raw))
    if len(raw) != 1:
        raise ValueError(_SAY_TEXT)
    word, inner = next(iter(raw.items()))
    if word == "there" and isinstance(inner, bool):
        return TextMatch(negated=not inner)
    if word == "contains":
        return TextMatch(contains=_texts(inner))
    if word == "not":
        made = text_match(inner)
        if not made.negated:
            return msgspec.structs.replace(made, negated=True)
    raise ValueError(_SAY_TEXT)


def headers(raw: Any) -> tuple[HeaderMatch, ...]:
    """Response headers by name."""
    if not isinstance(raw, dict) or not raw:
        raise ValueError("must be response headers by name, such as {x-error: quota}")
    return tuple(HeaderMatch(name=str(name).lower(), text=text_match(wanted)) for name, wanted in raw.items())


def json_matches(raw: Any) -> tuple[JsonMatch, ...]:
    """Values of the answer's JSON by path."""
    if not isinstance(raw, dict) or not raw:
        raise ValueError("must be values by their path, such as {base_resp.status_code: 1008}")
    return tuple(JsonMatch(path=_path(path), text=text_match(wanted)) for path, wanted in raw.items())


def answer(raw: Any) -> Answer:
    """Yes, no, or what the route says."""
    if isinstance(raw, bool):
        return "yes" if raw else "no"
    found: dict[Any, Answer] = {"yes": "yes", "no": "no", "policy": "policy"}
    if not isinstance(raw, str) or raw not in found:
        raise ValueError("must be yes, no, or policy: as the route says")
    return found[raw]


def outcome_class(raw: Any) -> OutcomeClass:
    """`ok`, or one of the closed set of error classes."""
    if raw != "ok" and (not isinstance(raw, str) or raw not in REMEDIES):
        raise ValueError(f"must be ok, or a class of errors: {', '.join(REMEDIES)}")
    found: OutcomeClass = raw
    return found


def _path(raw: Any) -> tuple[Step, ...]:
    return parse_path(str(raw))


def _values(texts: tuple[str, ...]) -> TextMatch:
    wild = tuple(text for text in texts if "*" in text or "?" in text)
    return TextMatch(values=tuple(text for text in texts if text not in wild), globs=wild)


def _texts(raw: Any) -> tuple[str, ...]:
    items = raw if isinstance(raw, list) else [raw]
    if not items:
        raise ValueError(_SAY_TEXT)
    return tuple(_text(item) for item in items)


def _text(raw: Any) -> str:
    if raw is None:
        return "null"
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | float | Decimal):
        return str(raw)
    if not isinstance(raw, str) or len(raw) > _MAX_TEXT_CHARS:
        raise ValueError(_SAY_TEXT)
    return raw.lower()

"""Whether a rule of the operator's holds for what was seen of an attempt: plain comparisons, nothing is evaluated."""

from collections.abc import Callable

from policies.json_path import text_at
from policies.outcome_facts import Seen
from policies.routes_compiled import HeaderMatch, JsonMatch, OutcomeRule, TextMatch
from proxy.core.wanted import json_value
from proxy.prices.match import matches

MAX_LIKENED_CHARS = 4096
"""Globs look at so much of a text; `contains` looks at all of it."""
_NS_PER_MS = 1_000_000
_NOT_READ = object()


class Look:
    """What was seen of one attempt, read as far as the rules ask, and once."""

    __slots__ = ("_json", "_text", "seen")

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self._json: object = _NOT_READ
        self._text: str | None = None

    @property
    def json(self) -> object:
        """The JSON value of the answer; None where it is none."""
        if self._json is _NOT_READ:
            self._json = json_value(self.seen.body) if self.seen.body else None
        return self._json

    @property
    def text(self) -> str:
        """The answer as text."""
        if self._text is None:
            self._text = self.seen.body.decode("utf-8", "replace")
        return self._text


def text_holds(match: TextMatch | None, text: str | None) -> bool:
    """Whether a text is as a rule wants it; a rule that wants nothing holds."""
    return match is None or _is_like(match, text) is not match.negated


def holds(rule: OutcomeRule, look: Look) -> bool:
    """Whether everything that a rule states holds; the cheap comparisons come first."""
    return all(check(rule, look) for check in _CHECKS)


def reads_bodies(rule: OutcomeRule) -> bool:
    """Whether a rule needs `Seen.body`."""
    return bool(rule.json) or rule.body is not None


def reads_answer_text(rule: OutcomeRule) -> bool:
    """Whether a rule needs `Seen.answer_text`."""
    return rule.answer_is_json is not None


def _is_like(match: TextMatch, text: str | None) -> bool:
    if text is None:
        return False
    if not (match.values or match.contains or match.globs):
        return True
    low = text.lower()
    return (
        low in match.values
        or any(piece in low for piece in match.contains)
        or any(matches(glob, low[:MAX_LIKENED_CHARS]) for glob in match.globs)
    )


def _status(rule: OutcomeRule, look: Look) -> bool:
    return not rule.statuses or any(first <= look.seen.status <= last for first, last in rule.statuses)


def _end(rule: OutcomeRule, look: Look) -> bool:
    return not rule.stream_ends or look.seen.end in rule.stream_ends


def _asked(rule: OutcomeRule, look: Look) -> bool:
    return rule.schema_asked in {None, look.seen.schema_asked} and rule.stream_asked in {None, look.seen.stream_asked}


def _names(rule: OutcomeRule, look: Look) -> bool:
    seen = look.seen
    return (
        text_holds(rule.providers, seen.provider)
        and text_holds(rule.models, seen.model or None)
        and text_holds(rule.finish_reasons, seen.facts.finish_reason)
    )


def _latency(rule: OutcomeRule, look: Look) -> bool:
    seen = look.seen
    return (
        _over(seen.first_byte_ns, rule.first_byte_over_ms)
        and _over(seen.first_content_ns, rule.first_content_over_ms)
        and _over(seen.duration_ns, rule.duration_over_ms)
    )


def _over(figure_ns: int | None, limit_ms: int | None) -> bool:
    return limit_ms is None or (figure_ns is not None and figure_ns > limit_ms * _NS_PER_MS)


def _headers(rule: OutcomeRule, look: Look) -> bool:
    return all(_header(one, look) for one in rule.headers)


def _header(match: HeaderMatch, look: Look) -> bool:
    return text_holds(match.text, look.seen.headers.get(match.name))


def _json(rule: OutcomeRule, look: Look) -> bool:
    return all(_place(one, look) for one in rule.json)


def _place(match: JsonMatch, look: Look) -> bool:
    return text_holds(match.text, text_at(look.json, match.path))


def _body(rule: OutcomeRule, look: Look) -> bool:
    return rule.body is None or text_holds(rule.body, look.text)


def _answer(rule: OutcomeRule, look: Look) -> bool:
    if rule.answer_is_json is None:
        return True
    text = look.seen.answer_text
    return text is not None and reads_as_json(text) is rule.answer_is_json


def reads_as_json(text: str) -> bool:
    """Whether a text is one JSON value, as an app that asked for JSON would read it."""
    stripped = text.strip()
    return stripped == "null" or json_value(stripped.encode("utf-8", "replace")) is not None


_CHECKS: tuple[Callable[[OutcomeRule, Look], bool], ...] = (
    _status,
    _end,
    _asked,
    _names,
    _latency,
    _headers,
    _json,
    _body,
    _answer,
)

"""A call as measurements: what the GenAI and HTTP conventions measure of it, and what it cost. PURE.

Attributes are few and have few values: provider, model, operation, host, error, route, status, currency. What apps
make up (users, sessions, tags, ids) is none of them; `totals.py` bounds what is left, for a model's name is an app's
word.

Source: the conventions behind `proxy/core/semconv.py`; buckets as they advise.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import msgspec

from exporters.clickhouse.build import attempt_rows, call_row
from exporters.clickhouse.rows import AttemptRow, CallRow
from exporters.otlp.spans import error_type, host_and_port, method, provider_name
from exporters.recorder.ports import PricedCall
from proxy.core.semconv import (
    CLIENT_SPAN,
    CURRENCY,
    SERVER_SPAN,
    TOKEN_MODALITY,
    TOKEN_TYPE,
    Convention,
)

Attributes = tuple[tuple[str, str | int | bool], ...]
"""Name and value, in the order of the names."""

_SECONDS = tuple(0.01 * 2**step for step in range(14))
_TOKENS = tuple(float(4**step) for step in range(14))
_FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_HTTP_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_LONG_HTTP_S = (*_HTTP_S, 30.0, 60.0, 120.0)
"""The conventions end at 10 s, where many calls to models only begin."""


class Measure(msgspec.Struct, frozen=True):
    """A metric: what is measured, and how it is added up."""

    unit: str
    said: str
    bounds: tuple[float, ...] = ()
    """Upper bounds of the buckets of a histogram; a sum that only grows has none."""


MEASURES = {
    "operation_duration": Measure("s", "Duration of an attempt at a provider.", _SECONDS),
    "time_to_first_chunk": Measure("s", "Time from the start of an attempt to its first content.", _SECONDS),
    "token_usage": Measure("{token}", "Tokens that an attempt used.", _TOKENS),
    "time_to_first_token": Measure("s", "Time from the start of a call to its first content.", _FIRST_TOKEN_S),
    "request_duration": Measure("s", "Duration of a call, as the app saw it.", _LONG_HTTP_S),
    "cost": Measure("{money}", "What attempts cost, in the currency that taximeter.currency names."),
    "input_tokens": Measure("{token}", "Input tokens, cached ones included."),
    "output_tokens": Measure("{token}", "Output tokens, reasoning included."),
    "cached_input_tokens": Measure("{token}", "Input tokens that were read from a cache."),
    "cache_write_tokens": Measure("{token}", "Input tokens that were written to a cache."),
    "reasoning_tokens": Measure("{token}", "Output tokens of reasoning."),
}
"""By our own word."""
_APPS_FAULT = frozenset({"client", "account"})
"""Whoever is to blame may have made the model up: its name is no attribute then, or a scanner takes all the room."""
_COUNTERS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")


class Measured(msgspec.Struct, frozen=True):
    """One figure."""

    word: str
    attributes: Attributes
    value: float | int | Decimal


def measured(priced: PricedCall, convention: Convention) -> Iterator[Measured]:
    """The figures of a call, what is not known left out."""
    attempts = attempt_rows(priced)
    row = call_row(priced, attempts)
    yield Measured("request_duration", _of_call(row), _seconds(row.duration_ms))
    for attempt in attempts:
        of_attempt = _of_attempt(attempt)
        yield Measured(
            "operation_duration", _with(of_attempt, error=error_type(attempt)), _seconds(attempt.duration_ms)
        )
        if attempt.streaming and attempt.ttft_ms is not None:
            yield Measured("time_to_first_chunk", of_attempt, _seconds(attempt.ttft_ms))
        yield from _tokens(attempt, of_attempt, convention)
        if attempt.cost is not None and (cost := Decimal(attempt.cost)) > 0:
            yield Measured("cost", _sorted({**dict(of_attempt), CURRENCY: attempt.currency}), cost)
    if row.streaming and row.ttft_ms is not None and priced.call.attempts:
        yield Measured("time_to_first_token", _of_attempt(row), _seconds(row.ttft_ms))


def _tokens(attempt: AttemptRow, of_attempt: Attributes, convention: Convention) -> Iterator[Measured]:
    if convention == "genai-dev":
        attributes = _sorted({**dict(of_attempt), TOKEN_MODALITY: "unknown"})
        for word in _COUNTERS:
            if (figure := getattr(attempt, word)) is not None:
                yield Measured(word, attributes, figure)
        return
    kinds: tuple[tuple[Literal["input", "output"], int | None], ...] = (
        ("input", attempt.input_tokens),
        ("output", attempt.output_tokens),
    )
    for kind, figure in kinds:
        if figure is not None:
            yield Measured("token_usage", _sorted({**dict(of_attempt), TOKEN_TYPE: kind}), figure)


def _of_call(row: CallRow) -> Attributes:
    known: dict[str, str | int] = {
        SERVER_SPAN["method"]: method(row),
        SERVER_SPAN["route"]: row.route,
        SERVER_SPAN["error"]: error_type(row),
        "url.scheme": "http",
    }
    if row.status:
        known[SERVER_SPAN["status"]] = row.status
    return _sorted(known)


def _of_attempt(row: AttemptRow | CallRow) -> Attributes:
    host, port = host_and_port(row.host)
    known: dict[str, str | int] = {
        CLIENT_SPAN["operation"]: "" if row.operation == "unknown" else row.operation,
        CLIENT_SPAN["provider_name"]: provider_name(row),
        CLIENT_SPAN["model_requested"]: "" if row.fault in _APPS_FAULT else row.model_requested,
        CLIENT_SPAN["model"]: "" if row.fault in _APPS_FAULT else row.model,
        CLIENT_SPAN["host"]: host,
    }
    if port is not None:
        known[CLIENT_SPAN["port"]] = port
    return _sorted(known)


def _with(attributes: Attributes, *, error: str) -> Attributes:
    return _sorted({**dict(attributes), CLIENT_SPAN["error"]: error}) if error else attributes


def _sorted(known: dict[str, str | int]) -> Attributes:
    return tuple(sorted((name, value) for name, value in known.items() if value != ""))


def _seconds(milliseconds: float) -> float:
    return max(0.0, milliseconds / 1000)

"""How calls went over the time of a period: what the charts of the console are drawn from.

What: calls, those that failed, latency and time to first token of what ended well, in even steps; a step without calls
is no row. Steps are so long that there are at most `--top` of them, and never shorter than a minute.

Config: none of its own; `--since`, `--until`, `--tz`, `--where`, `--top`.

Example: `GET /api/reports/course?since=24h&limit=96`

Source: table `calls` of exporters/schema and its roll-ups per minute.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from exporters.reports.pieces import MINUTES, Piece, cut_fine
from exporters.reports.question import Query, Question
from exporters.reports.report import Column, Report

STEPS_S = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Lengths of a step; each goes into a day."""
_DEFAULT_STEPS = 120
_FAILED = "`outcome` NOT IN ('ok', 'cancelled')"
_GOOD = "`outcome` = 'ok'"
_STATE = "quantilesTDigest"
_LEVELS = "(0.5, 0.9, 0.95, 0.99)"

_COLUMNS = (
    Column(name="time", type="time"),
    Column(name="calls", type="count", unit="calls"),
    Column(name="errors", type="count", unit="calls"),
    Column(name="refused", type="count", unit="calls"),
    Column(name="latency_p50", type="number", unit="ms"),
    Column(name="latency_p95", type="number", unit="ms"),
    Column(name="ttft_p50", type="number", unit="ms"),
    Column(name="ttft_p95", type="number", unit="ms"),
)
_ROWS = {
    "calls": "count()",
    "errors": f"countIf({_FAILED})",
    "refused": "countIf(`outcome` = 'refused')",
    "latency": f"{_STATE}StateIf{_LEVELS}(`duration_ms`, {_GOOD})",
    "ttft": f"{_STATE}StateIf{_LEVELS}(assumeNotNull(`ttft_ms`), {_GOOD} AND isNotNull(`ttft_ms`))",
}
_ROLLED = {
    "calls": "sum(`calls`)",
    "errors": f"sumIf(`calls`, {_FAILED})",
    "refused": "sumIf(`calls`, `outcome` = 'refused')",
    "latency": f"{_STATE}MergeStateIf{_LEVELS}(`duration`, {_GOOD})",
    "ttft": f"{_STATE}MergeStateIf{_LEVELS}(`ttft`, {_GOOD})",
}
_MEASURES = {
    "calls": "sum(found_calls)",
    "errors": "sum(found_errors)",
    "refused": "sum(found_refused)",
    "latency": f"{_STATE}Merge(0.5, 0.95)(found_latency)",
    "ttft": f"{_STATE}Merge(0.5, 0.95)(found_ttft)",
}


def step_s(question: Question) -> int:
    """How long a step is."""
    wanted = question.limit or _DEFAULT_STEPS
    length_s = (question.period.until_ns - question.period.since_ns) / 1e9
    return next((step for step in STEPS_S if length_s / step <= wanted), STEPS_S[-1])


def query(question: Question) -> Query:
    """One row per step that has calls, in order."""
    parameters: dict[str, object] = {"step_s": step_s(question)}
    sources = []
    for piece in cut_fine(question):
        where = piece.scope(question)
        parameters |= where.parameters
        aggregates = _ROLLED if piece.rolled else _ROWS
        found = [f"{aggregate} AS found_{name}" for name, aggregate in aggregates.items()]
        sources.append(
            f"SELECT {_start(piece)} AS at_s, {', '.join(found)} FROM calls{piece.level.suffix} "
            f"WHERE {where.sql} GROUP BY at_s"
        )
    measures = ", ".join(f"{aggregate} AS total_{name}" for name, aggregate in _MEASURES.items())
    sql = f"SELECT at_s, {measures} FROM ({' UNION ALL '.join(sources)}) GROUP BY at_s ORDER BY at_s"
    return Query(sql, parameters)


def _start(piece: Piece) -> str:
    """SQL of the start of the step that a row is in, Unix time in seconds."""
    at = f"toUnixTimestamp({piece.level.column if piece.level is MINUTES else 'toDateTime(`started_at`)'})"
    return f"toUInt32(intDiv({at}, {{step_s:UInt32}}) * {{step_s:UInt32}})"


def build(question: Question, rows: Sequence[Sequence[Any]], _list_prices: object = None) -> Report:
    """The report from the rows of `query`."""
    return Report(
        name="course",
        period=question.period,
        columns=_COLUMNS,
        rows=tuple(
            (
                question.period.local(int(at_s) * 10**9),
                calls,
                errors,
                refused,
                *(_number(value) for value in (*latency, *ttft)),
            )
            for at_s, calls, errors, refused, latency, ttft in rows
        ),
        notes=(
            f"Steps of {step_s(question)} s. Latency and time to first token are of what ended well.",
            "Errors: calls that ended neither well nor by the app's own wish, refused ones among them.",
        ),
    )


def _number(value: float) -> Decimal | None:
    """A measured figure with one decimal; None for the quantile of nothing."""
    return Decimal(value).quantize(Decimal("0.1")) if math.isfinite(value) else None

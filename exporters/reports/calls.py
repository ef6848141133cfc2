"""The last calls, newest first.

What: when, who, what model, how it ended, tokens, cost with where it comes from, latency and time to the first token.
The notes add up what is shown, by currency, and say how many of these calls are estimated, unpriced and interrupted.

Config: none of its own; `--since`, `--until`, `--tz`, `--where`, `--limit`.

Example: `taximeter report calls --limit 50 --where team=search --where outcome!=ok`

Source: table `calls` of exporters/schema.
"""

from collections.abc import Sequence
from decimal import Decimal

from exporters.reports.formats import exact_text
from exporters.reports.question import ESTIMATED, INTERRUPTED, UNPRICED, Query, Question, scope
from exporters.reports.report import Cell, Column, Report, Row, exact_sum

_COLUMNS = (
    Column(name="time", type="time"),
    Column(name="call_id", type="text"),
    Column(name="caller", type="text"),
    Column(name="team", type="text", detail=True),
    Column(name="project", type="text", detail=True),
    Column(name="user", type="text", detail=True),
    Column(name="key_id", type="text", detail=True),
    Column(name="session", type="text", detail=True),
    Column(name="provider", type="text"),
    Column(name="operation", type="text", detail=True),
    Column(name="model", type="text"),
    Column(name="model_requested", type="text", detail=True),
    Column(name="streaming", type="text", detail=True),
    Column(name="status", type="text"),
    Column(name="outcome", type="text"),
    Column(name="error_class", type="text", detail=True),
    Column(name="input_tokens", type="count", unit="tokens"),
    Column(name="cached_input_tokens", type="count", unit="tokens", detail=True),
    Column(name="output_tokens", type="count", unit="tokens"),
    Column(name="usage_source", type="text", detail=True),
    Column(name="cost", type="money"),
    Column(name="currency", type="text"),
    Column(name="cost_source", type="text"),
    Column(name="estimated", type="text", detail=True),
    Column(name="billing", type="text", detail=True),
    Column(name="duration", type="number", unit="ms"),
    Column(name="ttft", type="number", unit="ms"),
    Column(name="trace_id", type="text", detail=True),
)
_EXPRESSIONS = {
    "time": "toUnixTimestamp64Nano(`started_at`)",
    "streaming": "if(`streaming`, 'true', 'false')",
    "status": "toString(`status`)",
    "estimated": f"if({ESTIMATED}, 'yes', '')",
    "duration": "toDecimal64(`duration_ms`, 3)",
    "ttft": "toDecimal64(`ttft_ms`, 3)",
}
_FLAGS = (f"toUInt8({ESTIMATED})", f"toUInt8({UNPRICED})", f"toUInt8({INTERRUPTED})")
_SELECTED = tuple(column.name for column in _COLUMNS if column.name != "caller")
_ALIAS = "shown_"
"""Keeps the name of a result from hiding the column it is made of in the rest of the query."""


def query(question: Question) -> Query:
    """The newest calls of the period."""
    where = scope(question)
    expressions = [f"{_EXPRESSIONS.get(name, f'`{name}`')} AS {_ALIAS}{name}" for name in _SELECTED]
    sql = (
        f"SELECT {', '.join([*expressions, *_FLAGS])} FROM calls WHERE {where.sql} "
        # The hour first, as the table is sorted by it: the newest hours are read, and no more.
        "ORDER BY toStartOfHour(`started_at`) DESC, `started_at` DESC, `call_id` DESC LIMIT {top:UInt32}"
    )
    return Query(sql, where.parameters | {"top": question.row_limit})


def build(question: Question, rows: Sequence[Sequence[Cell]], _list_prices: object = None) -> Report:
    """The report from the rows of `query`."""
    flags = len(_FLAGS)
    found = [dict(zip(_SELECTED, row[:-flags], strict=True)) for row in rows]
    for call in found:
        call["time"] = question.period.local(int(str(call["time"])))
        call["status"] = None if call["status"] == "0" else call["status"]
        call["caller"] = _caller(call)
    estimated, unpriced, interrupted = (sum(1 for row in rows if row[number - flags]) for number in range(flags))
    return Report(
        name="calls",
        period=question.period,
        columns=_COLUMNS,
        rows=tuple(_row(call) for call in found),
        notes=(
            f"{len(rows)} calls shown, of them {estimated} estimated, {unpriced} unpriced, {interrupted} interrupted.",
            *_spent(found),
            *(["~ marks a cost that rests on an estimate."] if estimated else []),
        ),
    )


def _row(call: dict[str, Cell]) -> Row:
    return tuple(call[column.name] for column in _COLUMNS)


def _caller(call: dict[str, Cell]) -> str:
    """Team, project and user as far as they are known; else the fingerprint of the key."""
    parts = [str(call[name]) for name in ("team", "project", "user") if call[name]]
    return "/".join(parts) or str(call["key_id"])


def _spent(calls: Sequence[dict[str, Cell]]) -> list[str]:
    """One sentence for each currency and kind of billing with a known cost among the calls shown."""
    amounts: dict[tuple[str, str], list[Decimal | None]] = {}
    for call in calls:
        cost = call["cost"]
        if isinstance(cost, Decimal):
            amounts.setdefault((str(call["currency"]), str(call["billing"])), []).append(cost)
    return [
        f"{exact_text(exact_sum(costs) or Decimal(0))} {currency} ({billing}) for {len(costs)} of these calls."
        for (currency, billing), costs in sorted(amounts.items())
    ]

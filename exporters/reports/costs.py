"""What the calls cost, grouped by whatever the reader cares for.

What: calls, errors, tokens and cost per group, dearest first (days and hours: in their order), with the share of each.
Every currency is a section of its own and so is every kind of billing (list-price equivalents of a subscription are not
money spent); nothing is added up over two sections. The totals come from the same query as the rows and always say how
many calls are estimated, unpriced and interrupted. With a limit, what is left out stands in one row "(others)", so that
the rows still add up to the totals.

Config: none of its own; `--by`, `--since`, `--until`, `--tz`, `--where`, `--top`.

Example: `taximeter report costs --by team,model --since 2026-11-01 --tz Europe/Berlin --top 10`

Source: tables `calls` (how many, how they ended) and `attempts` (tokens and money) of exporters/schema, and their
roll-ups.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from zoneinfo import ZoneInfo

from exporters.reports.dimensions import Dimension
from exporters.reports.formats import exact_text
from exporters.reports.period import from_unix_ns
from exporters.reports.pieces import Piece, cut
from exporters.reports.question import ESTIMATED, INTERRUPTED, UNPRICED, Query, Question
from exporters.reports.report import Cell, CellType, Column, Report, Row, exact_difference, exact_sum, ratio

OTHERS = "(others)"
SECTIONS = ("currency", "billing")
_SECTION_KEYS = "in_currency, in_billing"
_SECTION_SQL = [
    "`currency` AS in_currency",
    # What is free by the provider's own word adds nothing to the money of the same currency.
    "if(`billing` = 'free', 'metered', toString(`billing`)) AS in_billing",
]

_MEASURES = (
    "calls",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "cost",
    "priced",
    "estimated",
    "unpriced",
    "interrupted",
    "estimated_cost",
    "interrupted_cost",
)
"""What is summed, in the order of the columns."""

_COLUMNS = (
    Column(name="calls", type="count", unit="calls"),
    Column(name="errors", type="count", unit="calls"),
    Column(name="input_tokens", type="count", unit="tokens"),
    Column(name="cached_input_tokens", type="count", unit="tokens"),
    Column(name="output_tokens", type="count", unit="tokens"),
    Column(name="cost", type="money"),
    Column(name="priced", type="count", unit="calls", detail=True),
    Column(name="estimated", type="count", unit="calls", detail=True),
    Column(name="unpriced", type="count", unit="calls", detail=True),
    Column(name="interrupted", type="count", unit="calls", detail=True),
    Column(name="estimated_cost", type="money", detail=True),
    Column(name="interrupted_cost", type="money", detail=True),
    Column(name="share", type="ratio"),
)
_MEASURED = len(_MEASURES)
_COST = _MEASURES.index("cost")
_PRICED = _MEASURES.index("priced")
_FAILED = "`outcome` NOT IN ('ok', 'cancelled')"
_NONE = "toUInt64(0)"
_ESTIMATES = ("estimated_cost", "interrupted_cost")
_USED = ("input_tokens", "cached_input_tokens", "output_tokens", "cost")
_CALLS = {
    "calls": "count()",
    "errors": f"countIf({_FAILED})",
    # A call brings figures of its own only when no attempt of it has a row.
    **{name: f"sum(if(`attempt` = 0, `{name}`, NULL))" for name in _USED},
    "priced": "countIf(`attempt` = 0 AND isNotNull(`cost`))",
    "estimated": f"countIf({ESTIMATED})",
    "unpriced": f"countIf({UNPRICED})",
    "interrupted": f"countIf({INTERRUPTED})",
    # A call without an attempt of its own has a cost only where it was interrupted, and that is an estimate.
    **dict.fromkeys(_ESTIMATES, f"sum(if(`attempt` = 0 AND {INTERRUPTED}, `cost`, NULL))"),
}
_ROLLED_CALLS = {
    "calls": "sum(`calls`)",
    "errors": f"sumIf(`calls`, {_FAILED})",
    **{name: f"sum(`own_{name}`)" for name in _USED},
    "priced": "sum(`own_priced`)",
    "estimated": "sum(`estimated`)",
    "unpriced": "sum(`unpriced`)",
    "interrupted": f"sumIf(`calls`, {INTERRUPTED})",
    **dict.fromkeys(_ESTIMATES, f"sum(if({INTERRUPTED}, `own_cost`, NULL))"),
}
# Tokens and money are those of the attempts, each with its own provider, model and currency; a call is counted once.
_ATTEMPTS = dict.fromkeys(_MEASURES, _NONE) | {
    **{name: f"sum(`{name}`)" for name in _USED},
    "priced": "count(`cost`)",
    "estimated_cost": f"sum(if({ESTIMATED}, `cost`, NULL))",
    "interrupted_cost": f"sum(if({INTERRUPTED}, `cost`, NULL))",
}
_ROLLED_ATTEMPTS = _ATTEMPTS | {"priced": "sum(`priced`)", "estimated_cost": "sum(`estimated_cost`)"}
_SOURCES = {"calls": (_CALLS, _ROLLED_CALLS), "attempts": (_ATTEMPTS, _ROLLED_ATTEMPTS)}
"""Table -> measure -> aggregate over its rows, and over those of its roll-ups."""


def query(question: Question) -> Query:
    """The groups (`part` 1) and the totals of each section (`part` 0), totals first.

    Every piece of the period is summed by itself, so that what is put together and grouped twice is little.
    """
    keys = [f"by{number}" for number in range(len(_grouping(question)))]
    parameters: dict[str, object] = {"tz": question.period.tz, "top": question.row_limit}
    sources = []
    for piece in cut(question):
        for table in _SOURCES:
            sql, values = _sums(question, piece, table)
            sources.append(sql)
            parameters |= values
    own = "".join(f"{key}, " for key in keys)
    dearest_first = ["total_cost DESC NULLS LAST", "total_calls DESC", *keys]
    order = keys if _is_a_course_of_time(question) else dearest_first
    measures = ", ".join(f"sum(found_{name}) AS total_{name}" for name in _MEASURES)
    sql = (
        f"SELECT part, {_SECTION_KEYS}, {own}{measures} "
        # A key that only the groups have tells them from the totals, on every version of the engine.
        f"FROM (SELECT materialize(toUInt8(1)) AS part, * FROM ({' UNION ALL '.join(sources)})) "
        f"GROUP BY GROUPING SETS ((part, {own}{_SECTION_KEYS}), ({_SECTION_KEYS})) "
        f"ORDER BY part, {_SECTION_KEYS}, {', '.join(order)} "
        f"LIMIT {{top:UInt32}} BY part, {_SECTION_KEYS}"
    )
    return Query(sql, parameters)


def _sums(question: Question, piece: Piece, table: str) -> tuple[str, dict[str, object]]:
    """The sums of a piece over one table, by all that is asked for, as SQL and its parameters."""
    where = piece.scope(question)
    parameters = dict(where.parameters)
    groups = []
    for number, dimension in enumerate(_grouping(question)):
        expression, values = piece.expression(dimension, f"by{number}")
        groups.append(f"{expression} AS by{number}")
        parameters |= values
    aggregates = _SOURCES[table][piece.rolled]
    measures = [f"{aggregates[name]} AS found_{name}" for name in _MEASURES]
    keys = [*(f"by{number}" for number in range(len(groups))), _SECTION_KEYS]
    return (
        f"SELECT {', '.join([*groups, *_SECTION_SQL, *measures])} "
        f"FROM {table}{piece.level.suffix} WHERE {where.sql} GROUP BY {', '.join(keys)}"
    ), parameters


def build(question: Question, rows: Sequence[Sequence[Cell]], _list_prices: object = None) -> Report:
    """The report from the rows of `query`."""
    by = _grouping(question)
    totals = {tuple(row[1:3]): row[-_MEASURED:] for row in rows if not row[0]}
    groups = [row for row in rows if row[0]]
    shown: list[Row] = []
    for section, members in groupby(sorted(groups, key=_section_order), key=lambda row: tuple(row[1:3])):
        shown.extend(_section_rows(question, by, section, totals[section], list(members)))
    sections = sorted(totals.items(), key=lambda item: _section_order((0, *item[0])))
    return Report(
        name="costs",
        period=question.period,
        columns=(
            *(Column(name=dimension.name, type=_cell_type(dimension)) for dimension in by),
            *(Column(name=name, type="text") for name in SECTIONS),
            *_COLUMNS,
        ),
        rows=tuple(shown),
        totals=tuple(
            (*_labels(by, "total"), *section, *measures, ratio(_money(measures[_COST]), _money(measures[_COST])))
            for section, measures in sections
        ),
        sections=SECTIONS,
        notes=tuple(_note(section, measures) for section, measures in sections),
    )


def _grouping(question: Question) -> tuple[Dimension, ...]:
    """The dimensions asked for, less those that part the sections anyway."""
    return tuple(dimension for dimension in question.by if dimension.name not in SECTIONS)


def _is_a_course_of_time(question: Question) -> bool:
    """Days and hours in front are read in their order, unless the dearest ones were asked for by a limit."""
    return bool(question.by) and question.by[0].name in {"day", "hour"} and question.limit is None


def _section_order(row: Sequence[Cell]) -> tuple[bool, str, str]:
    """Calls without a currency, those that nobody could price, come last."""
    currency, billing = str(row[1]), str(row[2])
    return (not currency, currency, billing)


def _section_rows(
    question: Question,
    by: tuple[Dimension, ...],
    section: tuple[Cell, ...],
    total: Sequence[Cell],
    members: list[Sequence[Cell]],
) -> list[Row]:
    """The rows of one section, with the others in a row of their own when some were left out."""
    zone = ZoneInfo(question.period.tz)
    whole = _money(total[_COST])
    rows: list[Row] = []
    for row in members:
        labels = [_label(dimension, value, zone) for dimension, value in zip(by, row[3:-_MEASURED], strict=True)]
        measures = row[-_MEASURED:]
        rows.append((*labels, *section, *measures, ratio(_money(measures[_COST]), whole)))
    others = _others(total, [row[-_MEASURED:] for row in members])
    if others is not None:
        rows.append((*_labels(by, OTHERS), *section, *others, ratio(_money(others[_COST]), whole)))
    return rows


def _others(total: Sequence[Cell], shown: list[Sequence[Cell]]) -> list[Cell] | None:
    """What the rows left out add up to; None when none was left out."""
    columns = list(zip(*shown, strict=True))
    if total[0] == sum(_count(calls) for calls in columns[0]):
        return None
    others: list[Cell] = [
        None if whole is None else _count(whole) - sum(_count(cell) for cell in column)
        for whole, column in zip(total, columns, strict=True)
    ]
    # Others without a single priced call have no cost, which is not the same as a cost of nothing.
    shown_cost = exact_sum([_money(cell) for cell in columns[_COST]])
    others[_COST] = exact_difference(_money(total[_COST]), shown_cost) if others[_PRICED] else None
    for number in (_MEASURES.index(name) for name in _ESTIMATES):
        others[number] = exact_difference(_money(total[number]), exact_sum([_money(cell) for cell in columns[number]]))
    return others


def _labels(by: tuple[Dimension, ...], label: str) -> tuple[Cell, ...]:
    """The cells of a row that belongs to no group: the label in the first, nothing in the rest."""
    return (label, *(None for _ in by[1:])) if by else ()


def _label(dimension: Dimension, value: Cell, zone: ZoneInfo) -> Cell:
    return from_unix_ns(_count(value) * 1_000_000_000, zone) if dimension.kind == "hour" else value


def _cell_type(dimension: Dimension) -> CellType:
    return "hour" if dimension.kind == "hour" else "text"


def _money(cell: Cell) -> Decimal | None:
    return cell if isinstance(cell, Decimal) else None


def _count(cell: Cell) -> int:
    return cell if isinstance(cell, int) else 0


def _note(section: Sequence[Cell], measures: Sequence[Cell]) -> str:
    """How far the sum of a section can be trusted."""
    found = dict(zip(_MEASURES, measures, strict=True))
    name = " ".join(str(part) for part in section if part) or "no currency"
    kind = " (list-price equivalents, not money spent)" if section[1] == "subscription" else ""
    return (
        f"{name}{kind}: {found['calls']} calls, of them {found['estimated']} estimated, {found['unpriced']} unpriced, "
        f"{found['interrupted']} interrupted.{_of_the_money(found)}"
    )


def _of_the_money(found: Mapping[str, Cell]) -> str:
    """How much of the money is no more than an estimate; empty where none is."""
    estimated, interrupted = _money(found["estimated_cost"]), _money(found["interrupted_cost"])
    if estimated is None and interrupted is None:
        return ""
    return (
        f" Of the money {exact_text(estimated or Decimal(0))} is estimated, "
        f"{exact_text(interrupted or Decimal(0))} is of interrupted calls."
    )

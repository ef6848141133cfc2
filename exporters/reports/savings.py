"""What the providers' prompt caches saved, from the arithmetic of the prices themselves.

What: per model, the tokens that came from a cache and what they would have cost more at the rate of fresh input of the
same price entry, tier and call, less what was paid on top of that rate to write the cache. Where an attempt's price
has no line of fresh input, or none at all, its saving is not claimed; how many tokens that is stands beside it. All at
list prices: a provider that states its own cost may give other rebates.

Config: none of its own; the period and the filters of the report.

Example: `taximeter report month --part savings`

Source: column `price_lines` of the table `attempts` of exporters/schema.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Any

import msgspec

from exporters.reports.costs import SECTIONS
from exporters.reports.question import Query, Question, scope
from exporters.reports.report import EXACT_DIGITS, Cell, Column, Report, Row, exact_sum

_COLUMNS = (
    Column(name="model", type="text"),
    Column(name="currency", type="text"),
    Column(name="billing", type="text"),
    Column(name="cached_input_tokens", type="count", unit="tokens"),
    Column(name="claimed_tokens", type="count", unit="tokens"),
    Column(name="saved", type="money"),
    Column(name="paid_for_writes", type="money"),
    Column(name="net", type="money"),
)
_LINES = "`price_lines`"
_KINDS = {"fresh": "input", "cached": "cached_input", "written": "cache_write", "written_1h": "cache_write_1h"}
"""Line of the arithmetic -> the `part` that it is for."""
_PLACES = ", ".join(f"indexOf({_LINES}.part, '{part}') AS at_{name}" for name, part in _KINDS.items())
_RATES = ", ".join(
    [
        *(f"{_LINES}.rate[at_{name}] AS {name}_rate" for name in _KINDS),
        # Of one price entry all lines are for as many tokens; what is of another one's is not compared.
        *(f"(at_{name} > 0 AND {_LINES}.price_id[at_{name}] = {_LINES}.price_id[at_fresh]) AS {name}_like"
          for name in ("cached", "written", "written_1h")),
        f"{_LINES}.per[at_fresh] AS per",
    ]
)  # fmt: skip
_KEYS = (
    "by_model, in_currency, in_billing, per, fresh_rate, cached_rate, written_rate, written_1h_rate, "
    "cached_like, written_like, written_1h_like"
)
_QUANTITIES = ", ".join(
    f"sum(if({name}_like, {_LINES}.quantity[at_{name}], 0)) AS {name}_quantity"
    for name in ("cached", "written", "written_1h")
)
_NOTE = (
    "Saved: cached tokens x (rate of fresh input - rate of cached input) of the same price entry; net: less what was "
    "paid on top of that rate to write the cache. List prices. Tokens without both rates are not claimed."
)


class _Rated(msgspec.Struct, frozen=True):
    """What a row of the answer has: rates for `per` tokens, and the tokens that were priced at them."""

    fresh_rate: Decimal
    cached_rate: Decimal
    written_rate: Decimal
    written_1h_rate: Decimal
    cached_like: int
    written_like: int
    written_1h_like: int
    per: int
    cached_tokens: int | None
    cached: Decimal
    written: Decimal
    written_1h: Decimal


class _Saved(msgspec.Struct, kw_only=True):
    """Sums of one row of the report."""

    cached: int = 0
    claimed: int = 0
    saved: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)

    def add(self, one: _Rated) -> None:
        """Add what some attempts saved; without a rate of fresh input that is nothing."""
        self.cached += one.cached_tokens or 0
        if not one.per:
            return
        self.claimed += int(one.cached)
        with localcontext(prec=EXACT_DIGITS):
            self.saved += one.cached * (one.fresh_rate - one.cached_rate) / one.per
            if one.written_like:
                self.paid += one.written * (one.written_rate - one.fresh_rate) / one.per
            if one.written_1h_like:
                self.paid += one.written_1h * (one.written_1h_rate - one.fresh_rate) / one.per


def query(question: Question) -> Query:
    """Quantities by model and by the rates that they were priced at: there are few of those."""
    where = scope(question)
    sql = (
        "SELECT toString(`model`) AS by_model, "
        "toString(if(`list_cost_currency` = '', `currency`, `list_cost_currency`)) AS in_currency, "
        "toString(if(`billing` = 'free', 'metered', `billing`)) AS in_billing, "
        f"{_RATES}, sum(`cached_input_tokens`) AS found_cached, {_QUANTITIES} "
        f"FROM (SELECT *, {_PLACES} FROM attempts WHERE {where.sql} "
        "AND (`cached_input_tokens` > 0 OR `cache_write_tokens` > 0 OR `cache_write_5m_tokens` > 0)) "
        f"GROUP BY {_KEYS}"
    )
    return Query(sql, where.parameters)


def build(question: Question, rows: Sequence[Sequence[Any]]) -> Report:
    """The report from the rows of `query`: what saved most first, and the totals of each section."""
    groups: dict[tuple[str, str, str], _Saved] = {}
    sections: dict[tuple[str, str], _Saved] = {}
    for model, currency, billing, *figures in rows:
        one = _Rated(*figures)
        for found in (
            groups.setdefault((currency, billing, model), _Saved()),
            sections.setdefault((currency, billing), _Saved()),
        ):
            found.add(one)
    ordered = sorted(groups.items(), key=lambda item: (not item[0][0], *item[0][:2], -_net(item[1]), item[0][2]))
    return Report(
        name="savings",
        period=question.period,
        columns=_COLUMNS,
        rows=tuple(_row(model, currency, billing, found) for (currency, billing, model), found in ordered),
        totals=tuple(
            _row("total", *section, found)
            for section, found in sorted(sections.items(), key=lambda item: (not item[0][0], item[0]))
        ),
        sections=SECTIONS,
        notes=(_NOTE,),
    )


def _net(found: _Saved) -> Decimal:
    with localcontext(prec=EXACT_DIGITS):
        return found.saved - found.paid


def _row(model: str, currency: str, billing: str, found: _Saved) -> Row:
    known = bool(found.claimed or found.paid)
    cells: tuple[Cell, ...] = (found.saved, found.paid, _net(found)) if known else (None, None, None)
    return (model, currency, billing, found.cached, found.claimed, *cells)


def net_of(report: Report) -> dict[tuple[Cell, Cell], Decimal]:
    """What each section saved, where any of it can be claimed."""
    found: dict[tuple[Cell, Cell], Decimal] = {}
    for one in report.records(report.totals):
        net = one["net"]
        if isinstance(net, Decimal):
            found[one["currency"], one["billing"]] = exact_sum([net]) or Decimal(0)
    return found

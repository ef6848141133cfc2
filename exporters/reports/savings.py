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
_FOUND = (
    "arrayFirst(line -> line.part = 'input', `price_lines`) AS fresh, "
    "arrayFirst(line -> line.part = 'cached_input', `price_lines`) AS cached, "
    "arrayFilter(line -> line.part IN ('cache_write', 'cache_write_1h'), `price_lines`) AS written, "
    "(fresh.per > 0 AND cached.per = fresh.per AND cached.price_id = fresh.price_id) AS claimed, "
    "if(`list_cost_currency` = '', toString(`currency`), toString(`list_cost_currency`)) AS in_currency, "
    "if(`billing` = 'free', 'metered', toString(`billing`)) AS in_billing"
)
_TIMES_RATE = "toDecimal256({line}.quantity, 12) * (toDecimal256({one}.rate, 18) - toDecimal256({other}.rate, 18))"
_SAVED = _TIMES_RATE.format(line="cached", one="fresh", other="cached")
_PAID = (
    "arraySum(line -> if(line.per = fresh.per AND line.price_id = fresh.price_id, "
    f"{_TIMES_RATE.format(line='line', one='line', other='fresh')}, toDecimal256(0, 30)), written)"
)
_NOTE = (
    "Saved: cached tokens x (rate of fresh input - rate of cached input) of the same price entry; net: less what was "
    "paid on top of that rate to write the cache. List prices. Tokens without both rates are not claimed."
)


class _Saved(msgspec.Struct, kw_only=True):
    """Sums of one row."""

    cached: int = 0
    claimed: int = 0
    saved: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)


def query(question: Question) -> Query:
    """Sums of quantity x difference of rates, by model and by what the rates are for."""
    where = scope(question)
    sql = (
        "SELECT toString(`model`) AS by_model, in_currency, in_billing, fresh.per AS per, "
        "sum(`cached_input_tokens`) AS found_cached, sumIf(toUInt64(cached.quantity), claimed) AS found_claimed, "
        f"sumIf({_SAVED}, claimed) AS found_saved, sumIf({_PAID}, fresh.per > 0) AS found_paid "
        f"FROM (SELECT `model`, `cached_input_tokens`, {_FOUND} FROM attempts WHERE {where.sql} "
        "AND (`cached_input_tokens` > 0 OR `cache_write_tokens` > 0 OR `cache_write_5m_tokens` > 0)) "
        "GROUP BY by_model, in_currency, in_billing, per"
    )
    return Query(sql, where.parameters)


def build(question: Question, rows: Sequence[Sequence[Any]]) -> Report:
    """The report from the rows of `query`: what saved most first, and the totals of each section."""
    groups: dict[tuple[str, str, str], _Saved] = {}
    sections: dict[tuple[str, str], _Saved] = {}
    for model, currency, billing, per, cached, claimed, saved, paid in rows:
        for found in (
            groups.setdefault((currency, billing, model), _Saved()),
            sections.setdefault((currency, billing), _Saved()),
        ):
            found.cached += cached or 0
            found.claimed += claimed
            if per:
                found.saved = _plus(found.saved, saved, per)
                found.paid = _plus(found.paid, paid, per)
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


def _plus(sum_so_far: Decimal, amount: Decimal, per: int) -> Decimal:
    with localcontext(prec=EXACT_DIGITS):
        return sum_so_far + amount / per


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

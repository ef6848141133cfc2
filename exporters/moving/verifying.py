"""Both ends compared: rows, keys and exact sums of money per table, day and currency.

Where the target has more rows than the source (it takes rows itself already, or had some before), it is asked for
exactly the keys of the source, piece by piece, so that the verdict is as exact as elsewhere.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, localcontext

from exporters.moving.end import KEY, End, Key
from exporters.moving.result import DayResult
from exporters.moving.rows import hours_of, keys_of
from exporters.moving.slices import slices_of
from exporters.moving.tables import Rows, place

_KEYS = ", ".join(KEY)
_DIGITS = 76
"""More than any sum of ours has."""

Money = dict[tuple[str, str], Decimal]
"""(column, currency) -> sum."""


class Figures:
    """Rows, distinct keys and money of some rows; further ones can be added."""

    def __init__(self) -> None:
        self.rows = 0
        self.keys = 0
        self.money: Money = {}

    def add(self, rows: int, keys: int, money: Mapping[tuple[str, str], Decimal]) -> None:
        """Take further rows in."""
        self.rows += rows
        self.keys += keys
        with localcontext(prec=_DIGITS):
            for unit, amount in money.items():
                self.money[unit] = self.money.get(unit, Decimal(0)) + amount


def check_day(source: End, target: End, table: Rows, day: date) -> DayResult:
    """Compare one day of a table. Raises UnavailableError, CopyError."""
    condition = f"toDate(started_at) = '{day}'"
    here, there = _figures(source, table, condition), _figures(target, table, condition)
    all_there = there.rows
    if there.rows > here.rows:
        there = _of_these_keys(source, target, table, day)
    problems = _problems(here, there)
    return DayResult(
        table=table.name,
        day=day,
        rows=here.rows,
        rows_there=all_there,
        money={currency: amount for (column, currency), amount in here.money.items() if column == "cost"},
        verdict="wrong" if problems else "more" if all_there > here.rows else "same",
        problems=tuple(problems),
    )


def _of_these_keys(source: End, target: End, table: Rows, day: date) -> Figures:
    """What the target has of the keys of the source."""
    found = Figures()
    for piece in slices_of(hours_of(source, table.name, day), table.at_once):
        keys = keys_of(source, table.name, piece)
        part = _figures(target, table, f"{piece.condition()} AND ({_KEYS}) IN keys", keys)
        found.add(part.rows, part.keys, part.money)
    return found


def _figures(end: End, table: Rows, condition: str, keys: list[Key] | None = None) -> Figures:
    figures, chosen = Figures(), f"FROM {place(end, table.name)} WHERE {condition}"
    rows, distinct = end.rows(f"SELECT toString(count()), toString(uniqExact({_KEYS})) {chosen}", keys)[0]
    money: Money = {}
    for column, currency in table.money.items():
        sums = end.rows(
            f"SELECT toString({currency}) AS unit, toString(sum(`{column}`)) {chosen} AND `{column}` IS NOT NULL "
            "GROUP BY unit ORDER BY unit",
            keys,
        )
        money |= {(column, str(unit)): Decimal(total) for unit, total in sums}
    figures.add(int(rows), int(distinct), money)
    return figures


def _problems(here: Figures, there: Figures) -> list[str]:
    said = []
    if there.keys < here.keys:
        said.append(f"{here.keys - there.keys} rows are missing")
    if there.rows - there.keys > here.rows - here.keys:
        said.append(f"{there.rows - there.keys} rows are there twice")
    for column, currency in sorted(here.money.keys() | there.money.keys()):
        wanted, found = (end.money.get((column, currency), Decimal(0)) for end in (here, there))
        if wanted != found:
            said.append(f"{column} is {found} {currency} and should be {wanted}")
    return said

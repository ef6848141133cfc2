"""What two stores must agree on to hold the same: the rows of every table, and exact sums of its money."""

import re

import msgspec

from exporters.store.remote import Ask, literal, name_of

_MONEY = re.compile(r"(?:Nullable\()?Decimal\(.*")
_SUMMED = re.compile(r"SimpleAggregateFunction\(sum, (?:Nullable\()?(?:Decimal|U?Int).*")


class TableFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a table holds."""

    rows: int | None
    """None for an engine that makes one row of several: there, only the sums stay what they are."""
    sums: dict[str, dict[str, str]] = {}
    """Column -> currency -> exact sum; the currency is empty where the column has none."""


def tables_of(ask: Ask, database: str) -> dict[str, str]:
    """Table -> engine, of all that hold rows. Raises what `ask` raises."""
    found = ask(
        "SELECT name, engine FROM system.tables WHERE endsWith(engine, 'MergeTree') "
        f"AND database = {literal(database)} ORDER BY name"
    )
    return {str(name): str(engine) for name, engine in found}


def table_figures(ask: Ask, database: str, table: str, engine: str) -> TableFigures:
    """Count and add up one table. Raises what `ask` raises."""
    place, columns = name_of(database, table), _columns(ask, database, table)
    rows = int(ask(f"SELECT toString(count()) FROM {place}")[0][0]) if engine == "MergeTree" else None
    sums: dict[str, dict[str, str]] = {}
    for column, kind in columns.items():
        if _MONEY.fullmatch(kind) or _SUMMED.fullmatch(kind):
            currency = _currency_of(column, columns) if "Decimal" in kind else "''"
            added = ask(
                f"SELECT toString({currency}) AS unit, toString(sum({name_of(column)})) FROM {place} "
                f"WHERE {name_of(column)} IS NOT NULL GROUP BY unit ORDER BY unit"
            )
            sums[column] = {str(unit): str(total) for unit, total in added}
    return TableFigures(rows=rows, sums=sums)


def database_figures(ask: Ask, database: str) -> dict[str, TableFigures]:
    """Table -> its figures. Raises what `ask` raises."""
    return {table: table_figures(ask, database, table, engine) for table, engine in tables_of(ask, database).items()}


def differences(wanted: dict[str, TableFigures], found: dict[str, TableFigures]) -> list[str]:
    """One sentence for every figure that is not as it should be; empty when all are."""
    said = [f"the table {table} is not there" for table in wanted if table not in found]
    for table in wanted.keys() & found.keys():
        want, have = wanted[table], found[table]
        if want.rows is not None and want.rows != have.rows:
            said.append(f"{table} has {have.rows} rows, not {want.rows}")
        said += [
            f"{table}.{column} adds up to {have.sums.get(column, {})}, not {sums}"
            for column, sums in want.sums.items()
            if have.sums.get(column, {}) != sums
        ]
    return said


def money_columns(ask: Ask, database: str, table: str) -> dict[str, str]:
    """Column of money -> SQL expression for its currency. Raises what `ask` raises."""
    columns = _columns(ask, database, table)
    return {column: _currency_of(column, columns) for column, kind in columns.items() if _MONEY.fullmatch(kind)}


def _columns(ask: Ask, database: str, table: str) -> dict[str, str]:
    """Name -> type."""
    found = ask(
        "SELECT name, type FROM system.columns WHERE default_kind != 'ALIAS' "
        f"AND database = {literal(database)} AND table = {literal(table)} ORDER BY position"
    )
    return {str(name): str(kind) for name, kind in found}


def _currency_of(column: str, columns: dict[str, str]) -> str:
    for candidate in (f"{column}_currency", "currency"):
        if candidate in columns:
            return name_of(candidate)
    return "''"

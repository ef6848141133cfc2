"""Which tables there are to be moved, and what of each has to agree in the end."""

import msgspec

from exporters.moving.end import KEY, End
from exporters.moving.errors import CopyError
from exporters.moving.slices import rows_at_once
from exporters.store.figures import money_columns
from exporters.store.remote import literal, name_of

_MOMENT = "started_at"
_OWN_NOTES = ("schema_", "unrolled_", "health")
"""How tables begin that say something of their own database, or of the machine that writes to it; no other may have
them."""


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """A table of rows with our key and a moment."""

    name: str
    columns: tuple[str, ...]
    money: dict[str, str]
    """Column of money -> expression for its currency."""
    at_once: int
    """How many rows go into one piece."""


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    """A table of sums that a materialized view fills."""

    name: str
    columns: tuple[str, ...]
    base: str
    """The table that it sums up; also the column that counts its rows."""
    moment: str
    """The column that says when: `minute` or `day`."""


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in a database that holds rows."""

    rows: tuple[Rows, ...]
    rollups: tuple[Rollup, ...]
    others: tuple[str, ...]
    """Not ours to move: they are told."""


def read_tables(end: End) -> Tables:
    """Look a database over. Raises UnavailableError, CopyError."""
    found = end.rows(
        "SELECT table, groupArray((name, default_kind)) FROM (SELECT table, name, default_kind FROM system.columns "
        f"WHERE database = {literal(end.database)} ORDER BY table, position) WHERE table IN (SELECT name FROM "
        f"system.tables WHERE database = {literal(end.database)} AND endsWith(engine, 'MergeTree')) "
        "GROUP BY table ORDER BY table"
    )
    columns = {str(table): tuple(str(name) for name, kind in parts if not kind) for table, parts in found}
    rows = [_rows(end, table, names) for table, names in columns.items() if {*KEY, _MOMENT} <= set(names)]
    bases = {table.name for table in rows}
    rollups = [rollup for table, names in columns.items() if (rollup := _rollup(table, names, bases))]
    known = bases | {rollup.name for rollup in rollups}
    others = [table for table in columns if table not in known and not table.startswith(_OWN_NOTES)]
    return Tables(rows=tuple(rows), rollups=tuple(rollups), others=tuple(others))


def check_columns(source: Tables, end: End) -> None:
    """The target has whatever the rows bring along. Raises CopyError."""
    wanted = {table.name: table.columns for table in source.rows}
    wanted |= {rollup.name: rollup.columns for rollup in source.rollups}
    for name, columns in wanted.items():
        its = f"database = {literal(end.database)} AND table = {literal(name)}"
        found = end.rows(f"SELECT name FROM system.columns WHERE {its}")
        there = {str(name) for (name,) in found}
        if missing := [column for column in columns if column not in there]:
            raise CopyError(f"the table {name} at {end.name} lacks {', '.join(missing)}: install the same version")


def _rows(end: End, table: str, columns: tuple[str, ...]) -> Rows:
    sizes = end.rows(
        "SELECT toString(sum(rows)), toString(sum(data_uncompressed_bytes)) FROM system.parts "
        f"WHERE active AND database = {literal(end.database)} AND table = {literal(table)}"
    )
    rows, size_bytes = sizes[0]
    return Rows(
        name=table,
        columns=columns,
        money=money_columns(end.rows, end.database, table),
        at_once=rows_at_once(int(rows), int(size_bytes)),
    )


def _rollup(table: str, columns: tuple[str, ...], bases: set[str]) -> Rollup | None:
    base, _, moment = table.rpartition("_by_")
    if base in bases and {base, moment} <= set(columns):
        return Rollup(name=table, columns=columns, base=base, moment=moment)
    return None


def place(end: End, table: str) -> str:
    """A table of an end, as SQL."""
    return name_of(end.database, table)

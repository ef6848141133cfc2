"""What a database must have after all migrations: tables with columns, engine and token window, and views. PURE."""

import re
from collections.abc import Sequence

import msgspec

from exporters.schema.migrations import Migration
from exporters.schema.statement import (
    Alter,
    CreateMaterializedView,
    CreateTable,
    CreateView,
    Drop,
    added_column,
    parse,
    tokens,
)

_WINDOW = re.compile(r"\bnon_replicated_deduplication_window\s*=\s*(?P<inserts>[0-9]+)")


class ExpectedTable(msgspec.Struct, kw_only=True):
    """A table as the migrations leave it."""

    name: str
    engine: str
    columns: dict[str, str]
    """Name -> type, without white space; empty where it is left to the default."""
    window: int
    """How many insert tokens it must remember; 0 when it says nothing."""


class Expected(msgspec.Struct, kw_only=True):
    """Everything that must be there."""

    tables: dict[str, ExpectedTable]
    views: dict[str, str]
    """Name -> the table that it fills; empty for a plain view."""


def expected(migrations: Sequence[Migration]) -> Expected:
    """What these make. Raises StatementError for a form that no migration may have."""
    tables: dict[str, ExpectedTable] = {}
    views: dict[str, str] = {}
    for statement in (parse(sql) for migration in migrations for sql in migration.statements):
        match statement:
            case CreateTable(name=name, engine=engine, clauses=clauses):
                columns = {column: bare(kind) for column, kind in statement.columns.items()}
                window = int(found["inserts"]) if (found := _WINDOW.search(clauses)) else 0
                tables.setdefault(name, ExpectedTable(name=name, engine=engine, columns=columns, window=window))
            case CreateMaterializedView(name=name, target=target):
                views[name] = target
            case CreateView(name=name):
                views[name] = ""
            case Alter(name=name, commands=commands) if name in tables:
                for command in commands:
                    _alter(tables[name], command)
            case Drop(name=name):
                tables.pop(name, None)
                views.pop(name, None)
            case _:
                pass
    return Expected(tables=tables, views=views)


def bare(kind: str) -> str:
    """A type without white space, as no two servers need to write it the same."""
    return re.sub(r"\s", "", kind)


def _alter(table: ExpectedTable, command: str) -> None:
    if found := _WINDOW.search(command):
        table.window = int(found["inserts"])
    if column := added_column(command):
        name, kind = column
        table.columns[name] = bare(kind) or table.columns.get(name, "")
        return
    words = [token for token in tokens(command) if token.text.upper() not in {"IF", "EXISTS"}]
    if len(words) >= 3 and words[0].says("DROP") and words[1].says("COLUMN"):
        table.columns.pop(words[2].name, None)
    if len(words) >= 5 and words[0].says("RENAME") and words[1].says("COLUMN"):
        table.columns[words[4].name] = table.columns.pop(words[2].name, "")

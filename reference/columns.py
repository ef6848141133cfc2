"""Every column of the store: its type from the DDL, its meaning from `exporters/schema/columns.yaml`."""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import msgspec
import yaml

from exporters.schema.expected import expected
from exporters.schema.migrations import load_migrations
from exporters.schema.statement import Alter, CreateTable, added_column, parse

ABOUT, SHARED = "about", "shared"


class Column(msgspec.Struct, frozen=True):
    """One column."""

    name: str
    type: str
    meaning: str


class Table(msgspec.Struct, frozen=True):
    """One table or view, with its columns in their order."""

    name: str
    about: str
    columns: tuple[Column, ...]


def meanings() -> dict[str, dict[str, Any]]:
    """The file of meanings as it stands: `about`, `shared`, and what each table says itself."""
    text = resources.files("exporters.schema").joinpath("columns.yaml").read_text("utf-8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return found


def types() -> dict[str, dict[str, str]]:
    """Table -> column -> type, of every table that the migrations leave behind."""
    written: dict[str, dict[str, str]] = {}
    migrations = load_migrations()
    for statement in (parse(sql) for migration in migrations for sql in migration.statements):
        match statement:
            case CreateTable(name=name, columns=columns):
                written.setdefault(name, dict(columns))
            case Alter(name=name, commands=commands):
                written[name] |= dict(filter(None, map(added_column, commands)))
            case _:
                pass
    return {
        name: {column: _on_one_line(written[name][column]) for column in table.columns}
        for name, table in expected(migrations).tables.items()
    }


def _on_one_line(kind: str) -> str:
    return re.sub(r"\(\s+", "(", " ".join(kind.split()))


def tables(said: Mapping[str, Mapping[str, Any]], made: Mapping[str, Mapping[str, str]]) -> tuple[Table, ...]:
    """Everything that is described, in the order of `about`; a column that nobody described is a KeyError.

    Args:
        said: As `meanings` has it.
        made: As `types` has it; what is not there is a view, whose types stand beside its meanings.
    """
    return tuple(
        Table(name=name, about=about, columns=_columns(said, name, made.get(name)))
        for name, about in said[ABOUT].items()
    )


def _columns(said: Mapping[str, Mapping[str, Any]], table: str, made: Mapping[str, str] | None) -> tuple[Column, ...]:
    own = said.get(table, {})
    if made is None:
        return tuple(Column(name=name, type=kind, meaning=text) for name, (kind, text) in own.items())
    return tuple(
        Column(name=name, type=kind, meaning=own[name] if name in own else said[SHARED][name])
        for name, kind in made.items()
    )

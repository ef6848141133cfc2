"""Whether a database is as ours must be, for `taximeter store check`: every difference a finding with what to do."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from clickhouse_connect.driver.client import Client

from exporters.schema.cluster import REMEMBERED_S, ClusterForm, Form
from exporters.schema.errors import SchemaError
from exporters.schema.expected import Expected, ExpectedTable, bare, expected
from exporters.schema.migrate import migration_states
from exporters.schema.migrations import Migration, load_migrations
from exporters.schema.statement import parse, quote_identifier
from exporters.schema.ttl import retention_changes
from exporters.schema.views import view_statements
from proxy.core.semconv import DEFAULT_CONVENTION

_ADVICE = {
    "pending": "Run: taximeter store migrate",
    "changed": "Give Taximeter a database of its own (store.database), or install the version that made this one.",
    "unknown": "Run the newer Taximeter that made it.",
}
_DEDUPLICATING = frozenset(
    {"insert_deduplicate", "deduplicate_insert", "deduplicate_blocks_in_dependent_materialized_views"}
)
_REMEMBERING = "A segment that is delivered twice would count twice. Run: ALTER TABLE {table} MODIFY SETTING {setting}"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it must be."""

    state: Literal["note", "bad"]
    about: str
    said: str
    advice: str = ""


class _Found(msgspec.Struct, frozen=True):
    """A table as the database has it."""

    engine: str
    full: str
    columns: dict[str, str]

    def setting(self, name: str) -> int:
        found = re.search(rf"\b{name} = (\d+)", self.full)
        return int(found[1]) if found else 0


def differences(
    client: Client,
    form: Form,
    *,
    retention: Mapping[str, int | None],
    settings: Mapping[str, str | int],
    migrations: Sequence[Migration] | None = None,
) -> list[Difference]:
    """Everything that is not as it must be. Changes nothing.

    Args:
        client: A connection to the database.
        form: Of its DDL.
        retention: As it is configured.
        settings: Those that are sent with every insert.
        migrations: Others than our own; for tests.
    """
    ours = load_migrations() if migrations is None else migrations
    wanted = expected(ours)
    return [
        *_migrations(client, ours),
        *_tables(client, form, wanted),
        *_views(client, form, wanted),
        *_settings(client, settings),
        *_retention(client, form, retention),
    ]


def reader_differences(reader: Client, tables: Sequence[str], *, own_account: bool) -> list[Difference]:
    """What the read-only account can and cannot do.

    Args:
        reader: A connection of that account to the database.
        tables: What it must be able to read.
        own_account: Whether the configuration names an account for reading.
    """
    if not own_account:
        advice = "Name one in store.reader: reports, dashboards and `taximeter sql` should not be able to write."
        return [Difference(state="note", about="reader", said="no account of its own reads", advice=advice)]
    found = []
    for table in tables:
        try:
            reader.command(f"SELECT 1 FROM {quote_identifier(table)} LIMIT 0")  # noqa: S608 - our own words
        except Exception as error:  # noqa: BLE001 - whatever keeps it from reading is the finding
            said = f"cannot read {table}: {' '.join(str(error).split())[:200]}"
            found.append(Difference(state="bad", about="reader", said=said, advice="Grant it SELECT on the database."))
    rows = reader.query("SELECT value FROM system.settings WHERE name = 'readonly'").result_rows
    if not rows or str(rows[0][0]) == "0":
        granted = " ".join(str(row[0]) for row in reader.query("SHOW GRANTS").result_rows)
        if re.search(r"\b(INSERT|ALTER|DROP|CREATE TABLE|TRUNCATE|ALL)\b", granted):
            advice = "Give its profile readonly = 1, or take the grants away: deploy/clickhouse has an example."
            found.append(Difference(state="bad", about="reader", said="may change things", advice=advice))
    return found


def _migrations(client: Client, ours: Sequence[Migration]) -> Iterator[Difference]:
    for one in migration_states(client, ours):
        if one.state != "applied":
            said = f"{one.version:04d}_{one.name} is {one.state}"
            yield Difference(state="bad", about="schema", said=said, advice=_ADVICE[one.state])


def _tables(client: Client, form: Form, wanted: Expected) -> Iterator[Difference]:
    there = _found(client)
    for name, table in wanted.tables.items():
        local = form.local(name)
        if local not in there:
            yield Difference(state="bad", about=local, said="is not there", advice=_ADVICE["pending"])
            continue
        yield from _table(local, there[local], table, replicated=isinstance(form, ClusterForm))
        if local != name:
            over = there.get(name)
            if over is None or over.engine != "Distributed":
                yield Difference(state="bad", about=name, said="is no Distributed table", advice=_ADVICE["pending"])
            else:
                yield from _columns(name, over, table)


def _table(name: str, there: _Found, wanted: ExpectedTable, *, replicated: bool) -> Iterator[Difference]:
    engine = f"Replicated{wanted.engine}" if replicated else wanted.engine
    if there.engine not in {engine, f"Shared{wanted.engine}"}:
        said = f"has the engine {there.engine}, and should have {engine}"
        yield Difference(state="bad", about=name, said=said, advice="It was not made by Taximeter.")
    yield from _columns(name, there, wanted)
    windows = {f"{'' if replicated else 'non_'}replicated_deduplication_window": wanted.window}
    if replicated and wanted.window:
        windows["replicated_deduplication_window_seconds"] = REMEMBERED_S
    for setting, least in windows.items():
        if there.setting(setting) < least:
            said = f"{setting} is {there.setting(setting)}, and must be {least} at least"
            advice = _REMEMBERING.format(table=name, setting=f"{setting} = {least}")
            yield Difference(state="bad", about=name, said=said, advice=advice)


def _columns(name: str, there: _Found, wanted: ExpectedTable) -> Iterator[Difference]:
    for column, kind in wanted.columns.items():
        if column not in there.columns:
            yield Difference(state="bad", about=name, said=f"lacks the column {column}", advice=_ADVICE["changed"])
        elif kind and there.columns[column] != kind:
            said = f"{column} is {there.columns[column]}, and should be {kind}"
            yield Difference(state="bad", about=name, said=said, advice=_ADVICE["changed"])
    if more := sorted(set(there.columns) - set(wanted.columns)):
        yield Difference(state="note", about=name, said=f"has columns of somebody else: {', '.join(more)}")


def _views(client: Client, form: Form, wanted: Expected) -> Iterator[Difference]:
    there = {
        str(name): str(made)
        for name, made in client.query(
            "SELECT name, create_table_query FROM system.tables "
            "WHERE database = currentDatabase() AND engine LIKE '%View'"
        ).result_rows
    }
    otel = [parse(statement).name for statement in view_statements(DEFAULT_CONVENTION)]
    for name, target in {**wanted.views, **dict.fromkeys(otel, "")}.items():
        if name not in there:
            yield Difference(state="bad", about=name, said="the view is not there", advice=_ADVICE["pending"])
        elif target and not re.search(rf"\bTO \S*\b{re.escape(form.local(target))}\b", there[name]):
            said = f"does not fill {form.local(target)}"
            yield Difference(state="bad", about=name, said=said, advice=_ADVICE["changed"])


def _settings(client: Client, settings: Mapping[str, str | int]) -> Iterator[Difference]:
    names = ", ".join(f"'{name}'" for name in settings)
    sql = f"SELECT name, value, readonly FROM system.settings WHERE name IN ({names})"  # noqa: S608 - our own words
    rows = client.query(sql).result_rows
    there = {str(name): (str(value), bool(fixed)) for name, value, fixed in rows}
    for name, value in settings.items():
        if name not in there and name in _DEDUPLICATING:
            said = f"this server does not know {name}"
            advice = "Older servers count a segment twice that is delivered twice: 26.2 is the first that was tried."
            yield Difference(state="note", about="settings", said=said, advice=advice)
        elif name in there and there[name][1] and there[name][0] != str(value):
            said = f"{name} is fixed to {there[name][0]} for this account, and inserts need {value}"
            yield Difference(state="bad", about="settings", said=said, advice="Take the constraint off its profile.")


def _retention(client: Client, form: Form, retention: Mapping[str, int | None]) -> Iterator[Difference]:
    try:
        for change in retention_changes(client, form, retention):
            advice = "The recorder does it at its start; or run: taximeter store migrate"
            yield Difference(state="note", about="retention", said=f"not yet: {change.said}", advice=advice)
    except SchemaError as error:
        yield Difference(state="bad", about="retention", said=str(error))


def _found(client: Client) -> dict[str, _Found]:
    columns: dict[str, dict[str, str]] = {}
    for table, name, kind in client.query(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
    ).result_rows:
        columns.setdefault(str(table), {})[str(name)] = bare(str(kind))
    return {
        str(name): _Found(str(engine), str(full), columns.get(str(name), {}))
        for name, engine, full in client.query(
            "SELECT name, engine, engine_full FROM system.tables WHERE database = currentDatabase()"
        ).result_rows
    }

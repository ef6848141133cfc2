"""Brings the database of a connection to our schema, and says how far it is.

Every statement is additive and idempotent and the note of it is made once by its deduplication token, so several
recorders may start at the same moment with no lock between them. A database that a newer Taximeter has worked on, or
whose applied DDL is not ours, is left alone: that is an error with a clear sentence.
"""

import json
from collections.abc import Sequence
from typing import Literal

import msgspec
from clickhouse_connect.driver.client import Client

from exporters.schema.migrations import Migration, load_migrations
from exporters.schema.views import view_statements
from proxy.core.semconv import DEFAULT_CONVENTION, Convention

_NOTES = """\
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version    UInt32,
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY version
SETTINGS non_replicated_deduplication_window = 1000"""


class SchemaError(Exception):
    """The database cannot be used as it is; the text is one sentence for the operator."""


class MigrationState(msgspec.Struct, frozen=True):
    """How one migration stands in a database."""

    version: int
    name: str
    state: Literal["applied", "pending", "changed", "unknown"]
    """`changed`: applied with another text than ours. `unknown`: applied by a newer Taximeter."""


def ensure_database(client: Client, database: str) -> None:
    """Create the database if it is not there, with a connection that names none.

    Looks first: an account may well be allowed to use the database and not to create one.
    """
    names = {str(row[0]) for row in client.query("SELECT name FROM system.databases").result_rows}
    if database not in names:
        client.command(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}")


def migration_states(client: Client, migrations: Sequence[Migration] | None = None) -> tuple[MigrationState, ...]:
    """Every migration that we or the database know of, oldest first. Changes nothing."""
    ours = {migration.version: migration for migration in (load_migrations() if migrations is None else migrations)}
    applied = _applied(client)
    states = []
    for version in sorted(ours | applied):
        if version not in ours:
            states.append(MigrationState(version, applied[version][0], "unknown"))
        elif version not in applied:
            states.append(MigrationState(version, ours[version].name, "pending"))
        else:
            same = applied[version][1] == ours[version].checksum
            states.append(MigrationState(version, ours[version].name, "applied" if same else "changed"))
    return tuple(states)


def migrate(
    client: Client,
    *,
    convention: Convention = DEFAULT_CONVENTION,
    migrations: Sequence[Migration] | None = None,
) -> tuple[int, ...]:
    """Apply what is missing, and make the views anew.

    Args:
        client: A connection to the database.
        convention: Version of the OpenTelemetry names in the views.
        migrations: Others than our own; for tests.

    Returns:
        The versions that were applied now.

    Raises:
        SchemaError: The database is newer than this Taximeter, or its DDL is not ours.
    """
    ours = load_migrations() if migrations is None else tuple(migrations)
    client.command(_NOTES)
    states = migration_states(client, ours)
    _refuse_foreign(states, newest=max((migration.version for migration in ours), default=0))
    pending = {state.version for state in states if state.state == "pending"}
    for migration in ours:
        if migration.version in pending:
            for statement in migration.statements:
                client.command(statement)
            _note(client, migration)
    for statement in view_statements(convention):
        client.command(statement)
    return tuple(sorted(pending))


def quote_identifier(name: str) -> str:
    """A name as SQL, whatever is in it."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _applied(client: Client) -> dict[int, tuple[str, str]]:
    """Version -> (name, checksum) as the database has them; empty where nothing was ever applied."""
    if client.command("EXISTS TABLE schema_migrations") != 1:
        return {}
    rows = client.query("SELECT version, name, checksum FROM schema_migrations").result_rows
    return {int(version): (str(name), str(checksum)) for version, name, checksum in rows}


def _refuse_foreign(states: Sequence[MigrationState], *, newest: int) -> None:
    unknown = [state.version for state in states if state.state == "unknown"]
    if unknown:
        raise SchemaError(
            f"The database has schema {max(unknown)} and this Taximeter knows only up to {newest}: "
            "run the newer Taximeter that made it, or give this one a database of its own (store.database)."
        )
    changed = [f"{state.version:04d}_{state.name}" for state in states if state.state == "changed"]
    if changed:
        raise SchemaError(
            f"The database was made with another text of {', '.join(changed)} than this Taximeter has: "
            "give it a database of its own (store.database), or install the version that made this one."
        )


def _note(client: Client, migration: Migration) -> None:
    note = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    token = f"migration-{migration.version}-{migration.checksum}"
    client.raw_insert(
        "schema_migrations",
        insert_block=json.dumps(note).encode(),
        fmt="JSONEachRow",
        settings={"insert_deduplication_token": token, "async_insert": 0},
    )

"""Brings the database of a connection to our schema, and says how far it is.

Every statement is additive and idempotent, and inserts carry a token, so a migration that was cut short is run again
from its beginning. Who applies one holds a lock (`exporters.schema.lock`): several recorders may start at the same
moment, on one server or on a cluster. A database that a newer Taximeter has worked on, or whose applied DDL is not
ours, is left alone: that is an error with a clear sentence.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from clickhouse_connect.driver.client import Client

from exporters.schema.cluster import ClusterForm, Form, ServerForm
from exporters.schema.errors import SchemaError
from exporters.schema.lock import LOCK_TABLE, MigrationLock
from exporters.schema.migrations import Migration, load_migrations
from exporters.schema.statement import StatementError, quote_identifier
from exporters.schema.views import view_statements
from proxy.core.semconv import DEFAULT_CONVENTION, Convention

__all__ = ["MIGRATE_TIMEOUT_S", "SchemaError", "ensure_database", "migrate", "planned", "quote_identifier"]

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

MIGRATE_TIMEOUT_S = 3600
"""For the connection that migrates: a statement that fills a table takes its time, and one that is given up would go on
beside its repetition."""
ON_CLUSTER_SETTINGS: dict[str, str | int] = {
    # A node that is down does not hold up the others; it does what it has missed when it is back.
    "distributed_ddl_output_mode": "throw_only_active",
    "distributed_ddl_task_timeout": 600,
}
"""Sent with every statement that goes to all nodes."""


class MigrationState(msgspec.Struct, frozen=True):
    """How one migration stands in a database."""

    version: int
    name: str
    state: Literal["applied", "pending", "changed", "unknown"]
    """`changed`: applied with another text than ours. `unknown`: applied by a newer Taximeter."""


def ensure_database(client: Client, database: str, *, cluster: str | None = None) -> None:
    """Create the database if it is not there, with a connection that names none.

    Looks first: an account may well be allowed to use the database and not to create one.
    """
    names = {str(row[0]) for row in client.query("SELECT name FROM system.databases").result_rows}
    if database not in names:
        settings = ON_CLUSTER_SETTINGS if cluster else {}
        client.command(form_of(cluster, database, ()).create_database(), settings=settings)


def form_of(cluster: str | None, database: str, migrations: Sequence[Migration]) -> Form:
    """The form of the DDL for one server or for a cluster. Raises SchemaError when it has none on a cluster."""
    if not cluster:
        return ServerForm(database)
    statements = [statement for migration in migrations for statement in migration.statements]
    try:
        return ClusterForm(cluster, database, [_NOTES, LOCK_TABLE, *statements])
    except StatementError as error:
        raise SchemaError(f"The schema has no form on a cluster: {error}") from error


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
    cluster: str | None = None,
    wait_s: float = 60.0,
) -> tuple[int, ...]:
    """Apply what is missing, and make the views anew.

    Args:
        client: A connection to the database, without a session.
        convention: Version of the OpenTelemetry names in the views.
        migrations: Others than our own; for tests.
        cluster: Name of the cluster that the tables are spread over; None: one server.
        wait_s: How long to wait for another one that migrates.

    Returns:
        The versions that were applied now.

    Raises:
        SchemaError: The database is newer than this Taximeter, its DDL is not ours, it was made for one server and is
            to be on a cluster or the other way round, or another one migrates it.
    """
    ours = load_migrations() if migrations is None else tuple(migrations)
    form = form_of(cluster, _database(client), ours)
    settings = ON_CLUSTER_SETTINGS if cluster else {}
    applied: tuple[int, ...] = ()
    if _pending(client, form, ours):
        for statement in (_NOTES, LOCK_TABLE):
            for made in form.of(statement):
                client.command(made, settings=settings)
        with MigrationLock(client, replicated=bool(cluster), wait_s=wait_s) as lock:
            if cluster:
                client.command("SYSTEM SYNC REPLICA schema_migrations")
            pending = _pending(client, form, ours)
            for migration in pending:
                for statement, token in _steps(form, migration):
                    lock.confirm()
                    client.command(statement, settings=settings | token)
                _note(client, migration)
        applied = tuple(migration.version for migration in pending)
    for statement in view_statements(convention):
        for made in form.of(statement):
            client.command(made, settings=settings)
    return applied


def planned(
    client: Client,
    *,
    convention: Convention = DEFAULT_CONVENTION,
    migrations: Sequence[Migration] | None = None,
    cluster: str | None = None,
) -> tuple[str, ...]:
    """The statements that `migrate` would run now, but for the notes of them. Changes nothing. Raises SchemaError."""
    ours = load_migrations() if migrations is None else tuple(migrations)
    form = form_of(cluster, _database(client), ours)
    steps = [statement for migration in _pending(client, form, ours) for statement, _ in _steps(form, migration)]
    return (*steps, *(made for statement in view_statements(convention) for made in form.of(statement)))


def _pending(client: Client, form: Form, ours: Sequence[Migration]) -> list[Migration]:
    """What is missing. Raises SchemaError for a database that is not to be touched."""
    states = migration_states(client, ours)
    _refuse_foreign(states, newest=max((migration.version for migration in ours), default=0))
    _refuse_other_form(client, form)
    pending = {state.version for state in states if state.state == "pending"}
    return [migration for migration in ours if migration.version in pending]


def _steps(form: Form, migration: Migration) -> Iterator[tuple[str, dict[str, str | int]]]:
    """The statements of a migration, each with the settings of its own."""
    for number, statement in enumerate(migration.statements):
        for made in form.of(statement):
            inserts = made.lstrip().upper().startswith("INSERT")
            token = f"migration-{migration.version}-{number}"
            yield made, {"insert_deduplication_token": token, "async_insert": 0} if inserts else {}


def _database(client: Client) -> str:
    return str(client.command("SELECT currentDatabase()"))


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


def _refuse_other_form(client: Client, form: Form) -> None:
    """CREATE ... IF NOT EXISTS would leave a table of the other form as it is, and rows would miss the other shards."""
    found = client.query("SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'calls'")
    engines = [str(row[0]) for row in found.result_rows]
    if not engines:
        return
    if form.local("calls") != "calls" and engines != ["Distributed"]:
        raise SchemaError(
            "The database was made for one server and store.cluster is set: give the cluster a database of its own "
            "(store.database), and move the rows with taximeter store copy."
        )
    if form.local("calls") == "calls" and engines == ["Distributed"]:
        raise SchemaError("The database was made for a cluster: set store.cluster to its name.")


def _note(client: Client, migration: Migration) -> None:
    note = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    token = f"migration-{migration.version}-{migration.checksum}"
    client.raw_insert(
        "schema_migrations",
        insert_block=json.dumps(note).encode(),
        fmt="JSONEachRow",
        settings={"insert_deduplication_token": token, "async_insert": 0},
    )

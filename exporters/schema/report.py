"""The state of the store for `taximeter store status`: its server, its migrations, and what is in its tables."""

from datetime import datetime

import msgspec
from clickhouse_connect.driver.client import Client

from exporters.schema.cluster import Form
from exporters.schema.migrate import MigrationState, migration_states
from exporters.schema.statement import quote_identifier
from exporters.schema.ttl import TableTtl, table_ttls


class TableReport(msgspec.Struct, frozen=True, kw_only=True):
    """One table. On a cluster the figures are those of all shards, each counted once."""

    name: str
    engine: str
    rows: int
    bytes_on_disk: int
    parts: int
    oldest: datetime | None
    """Of its rows, by the time that the partitions are made of; None when it has no rows, or none that have a time."""
    newest: datetime | None
    kept: str
    """How long rows are kept, in words."""
    kept_days: int | None
    """The same; None for ever, or when the TTL is no number of days."""


class StoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole."""

    url: str
    database: str
    server_version: str
    cluster: str | None
    migrations: tuple[MigrationState, ...]
    tables: tuple[TableReport, ...]


def store_report(client: Client, form: Form, *, url: str, database: str, cluster: str | None) -> StoreReport:
    """Look at the store; changes nothing. Raises what clickhouse-connect raises."""
    return StoreReport(
        url=url,
        database=database,
        server_version=str(client.command("SELECT version()")),
        cluster=cluster,
        migrations=migration_states(client),
        tables=tuple(_table(client, form, ttl) for ttl in table_ttls(client, form).values()),
    )


def _table(client: Client, form: Form, ttl: TableTtl) -> TableReport:
    local = form.local(ttl.table)
    engine = client.query(
        "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = {local:String}",
        parameters={"local": local},
    ).result_rows[0][0]
    rows, size, parts = client.query(
        f"SELECT sum(rows), sum(bytes_on_disk), count() FROM {form.system('parts')} "  # noqa: S608 - our own words
        "WHERE database = currentDatabase() AND table = {local:String} AND active",
        parameters={"local": local},
    ).result_rows[0]
    oldest = newest = None
    if rows and ttl.column:
        column = f"toDateTime64({quote_identifier(ttl.column)}, 3, 'UTC')"
        sql = f"SELECT min({column}), max({column}) FROM {quote_identifier(ttl.table)}"  # noqa: S608 - our own words
        oldest, newest = client.query(sql).result_rows[0]
    return TableReport(
        name=ttl.table,
        engine=str(engine),
        rows=int(rows),
        bytes_on_disk=int(size),
        parts=int(parts),
        oldest=oldest,
        newest=newest,
        kept=ttl.said(),
        kept_days=ttl.days,
    )

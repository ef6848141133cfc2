"""Completes the roll-ups of a database that had rows before it had them, and says where they differ from their tables.

The tables are the truth, roll-ups are derived: a day whose roll-up cannot be trusted stands in `unrolled_days`, is not
read by the reports, and is made anew from its tables until both agree in number and checksum. So it does not matter
when this is killed, how often it is begun again, or who inserts meanwhile: a day that changed under it differs, and
is done once more. A day only leaves the list at a later look than the one that made it anew, when an insert that was
under way has ended.

What was inserted before the views were there, and is offered again after them, is taken by the views and not by the
table: whoever delivers must have delivered what it was about before it calls `complete`.
"""

import re
import time
import uuid
from collections.abc import Iterable
from datetime import date

import msgspec
from clickhouse_connect.driver.client import Client

from exporters.schema.cluster import Form
from exporters.schema.migrate import ON_CLUSTER_SETTINGS, form_of
from exporters.schema.migrations import load_migrations

REBUILD_TIMEOUT_S = 50
"""How long the store may take for one day of one table: it must give up before the connection does."""
_VIEW = re.compile(
    r"CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ TO (?P<table>\w+) AS\n"
    r"(?P<columns>SELECT\n.+)\nFROM (?P<source>\w+) AS (?P<alias>\w+)\nGROUP BY ALL",
    re.DOTALL,
)
_CHECKSUMS = {"calls": "sipHash64(call_id)", "attempts": "sipHash64(call_id, attempt)"}


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    """A table of sums, and how it is made."""

    table: str
    source: str
    """The table that it sums up; also the name of its own column that counts the rows."""
    fill: str
    """The query that makes the sums of one day anew, with the day as `{day:Date}`."""
    partition: str
    """Where the sums of a day are, with the day as `$day` and its month as `$month`."""

    @property
    def of_day(self) -> str:
        """SQL for the day of a row."""
        return "toDate(minute)" if self.table.endswith("_by_minute") else "day"

    def emptying(self, day: date, form: Form) -> str:
        """The statement that takes the sums of a day out.

        Not DROP PARTITION: with its parts a table forgets the tokens of what was inserted into them, and would take a
        parcel that is offered again a second time.
        """
        partition = self.partition.replace("$day", day.isoformat()).replace("$month", f"{day:%Y%m}")
        where = f"{self.of_day} = '{day.isoformat()}'"
        return f"ALTER TABLE {form.local(self.table)}{form.on_cluster()} DELETE IN PARTITION {partition} WHERE {where}"


def load_rollups() -> tuple[Rollup, ...]:
    """All of them, as the migrations define them: their views hold the only text of the sums."""
    found: dict[str, Rollup] = {}
    for migration in load_migrations():
        for statement in migration.statements:
            if view := _VIEW.search(statement):
                table, source, alias = view["table"], view["source"], view["alias"]
                rows = f"FROM {source} AS {alias} WHERE toDate({alias}.started_at) = {{day:Date}}"
                found[table] = Rollup(
                    table=table,
                    source=source,
                    fill=f"{view['columns']}\n{rows} GROUP BY ALL",
                    partition="'$day'" if table.endswith("_by_minute") else "$month",
                )
    return tuple(found.values())


def unrolled_days(client: Client) -> list[date]:
    """The days whose roll-ups are not complete, newest first. Raises what clickhouse-connect raises."""
    return [day for (day,) in client.query("SELECT DISTINCT day FROM unrolled_days ORDER BY day DESC").result_rows]


def distrust(client: Client, days: Iterable[date]) -> None:
    """Have the roll-ups of some days made anew by whoever delivers rows; the reports do without them at once."""
    if values := ", ".join(f"('{day.isoformat()}')" for day in days):
        insert = f"INSERT INTO unrolled_days VALUES {values}"  # noqa: S608 - dates
        client.command(insert, settings=_insert_settings())


def differing(client: Client, days: Iterable[date]) -> dict[date, list[Rollup]]:
    """Of these days the ones whose roll-ups are not those of their tables, with the roll-ups concerned.

    A day that a table has no rows of any more is none of them: rows may be kept for a shorter time than their sums.
    """
    wanted = sorted(days)
    found: dict[date, list[Rollup]] = {}
    if not wanted:
        return found
    span = {"first": wanted[0], "last": wanted[-1]}
    sums: dict[str, dict[date, tuple[int, int]]] = {}
    for source, checksum in _CHECKSUMS.items():
        sql = f"SELECT toDate(started_at) AS day, count(), sum({checksum}) FROM {source}"  # noqa: S608 - our own words
        sums[source] = _by_day(client, sql, "toDate(started_at)", span)
    for rollup in load_rollups():
        sql = f"SELECT {rollup.of_day} AS day, sum({rollup.source}), sum(checksum) FROM {rollup.table}"  # noqa: S608
        rolled = _by_day(client, sql, rollup.of_day, span)
        for day in wanted:
            true = sums[rollup.source].get(day)
            if true is not None and rolled.get(day) != true:
                found.setdefault(day, []).append(rollup)
    return found


def complete(client: Client, patience_s: float, *, cluster: str | None = None) -> int:
    """Make roll-ups complete for about so long, one day at least, the newest first.

    Args:
        client: A connection to the database.
        patience_s: After how much time no further day is begun, in seconds.
        cluster: Name of the cluster that the tables are spread over; None: one server.

    Returns:
        How many days are left.

    Raises what clickhouse-connect raises; whatever was done until then stays done.
    """
    form = form_of(cluster, str(client.database), load_migrations())
    deadline_s = time.monotonic() + patience_s
    days = unrolled_days(client)
    for number, day in enumerate(days):
        if number and time.monotonic() > deadline_s:
            break
        wrong = differing(client, [day]).get(day, [])
        for rollup in wrong:
            rebuild(client, rollup, day, form)
        if not wrong:
            client.command(
                f"ALTER TABLE unrolled_days DELETE WHERE day = '{day.isoformat()}'", settings={"mutations_sync": 2}
            )
    return len(unrolled_days(client))


def rebuild(client: Client, rollup: Rollup, day: date, form: Form) -> None:
    """Make one roll-up of one day anew. Only for a day in `unrolled_days`, as readers would see it empty."""
    there = f"SELECT count() FROM {rollup.table} WHERE {rollup.of_day} = {{day:Date}}"  # noqa: S608 - our own words
    if client.query(there, parameters={"day": day}).result_rows[0][0]:
        settings = ON_CLUSTER_SETTINGS if form.on_cluster() else {}
        client.command(rollup.emptying(day, form), settings=settings | {"mutations_sync": 2})
    # On a cluster the sums of all shards may stand on one of them: nobody reads a single one.
    fill = f"INSERT INTO {form.local(rollup.table)} {rollup.fill}"
    client.command(fill, parameters={"day": day}, settings=_insert_settings())


def _by_day(client: Client, sql: str, of_day: str, span: dict[str, date]) -> dict[date, tuple[int, int]]:
    rows = client.query(
        f"{sql} WHERE {of_day} >= {{first:Date}} AND {of_day} <= {{last:Date}} GROUP BY day", parameters=span
    ).result_rows
    return {day: (int(count), int(checksum)) for day, count, checksum in rows}


def _insert_settings() -> dict[str, str | int]:
    """Each try is an insert of its own: a token that was seen would make it do nothing."""
    return {
        "insert_deduplication_token": f"rollup-{uuid.uuid4()}",
        "async_insert": 0,
        "max_execution_time": REBUILD_TIMEOUT_S,
    }

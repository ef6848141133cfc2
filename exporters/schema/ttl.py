"""How long the rows of a table are kept: what the configuration wants, what is active, and the way to it.

A table that the configuration does not name is left as it is, and the DDL gives no TTL to a table with money.

The way is longer than one ALTER, because of two things that a server does (both were tried on the engine):

- `MODIFY TTL` alone either rewrites the whole table in the background (`materialize_ttl_after_modify = 1`) or, with 0,
  leaves every part as it is for good: a part without a date of its own is never dropped, and a part with the old date
  is dropped at the old date, also when rows are to be kept for longer now. So the dates are made anew by `MATERIALIZE
  TTL`, which with `materialize_ttl_recalculate_only` reads one column and rewrites no data; and TTL merges stand still
  until that is done.
- A time beyond 32 bits wraps around: a row that a wrong clock dated 2261 would expire in 1988. Rows of clocks that
  cannot be right are kept as if they were of 2080.

Whole parts are dropped (`ttl_only_drop_parts`), which with the partitions by day is a deletion of files.
"""

import re
import threading
import time
from collections.abc import Mapping

import msgspec
from clickhouse_connect.driver.client import Client

from exporters.schema.cluster import Form
from exporters.schema.errors import SchemaError
from exporters.schema.statement import quote_identifier, quote_text

FIRST_YEAR, FAR_YEAR = 2023, 2080
"""Years in which a clock can be right; the second one is the first in which it cannot."""
_PATIENCE_S = 600.0
_POLL_S = 0.5
_TTL = re.compile(r"\sTTL (?P<ttl>.+?)(?: SETTINGS |$)", re.DOTALL)
_DAYS = re.compile(r"toIntervalDay\((?P<days>[0-9]+)\)")


class TableTtl(msgspec.Struct, frozen=True, kw_only=True):
    """How long a table keeps its rows now."""

    table: str
    column: str
    """The time that counts: the first date of the partition key; empty where there is none."""
    expression: str = ""
    """The active TTL as the server has it; empty when rows are kept for ever."""

    @property
    def days(self) -> int | None:
        """Of the active TTL; None when there is none, or one that is no number of days."""
        found = _DAYS.findall(self.expression)
        return int(found[0]) if len(found) == 1 else None

    def is_for(self, days: int | None) -> bool:
        """Whether the active TTL is the one that we make for so many days."""
        wanted = "" if days is None else ttl_expression(self.column, days)
        return _bare(self.expression) == _bare(wanted)

    def said(self) -> str:
        """In words."""
        if not self.expression:
            return "never deleted"
        return self.expression if self.days is None else f"{self.days} days"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done to one table."""

    table: str
    said: str
    """In words, with how many rows will go at once."""
    statements: tuple[str, ...]
    materialise: str = ""
    """The statement that gives every part its date; empty when the TTL is taken away."""
    hold: str = ""
    """The statement that keeps rows from being dropped until that is done."""


def ttl_expression(column: str, days: int) -> str:
    """The TTL of a table by one of its columns."""
    name = quote_identifier(column)
    far = f"toDateTime('{FAR_YEAR}-01-01 00:00:00', 'UTC')"
    sane = f"(toYear({name}) >= {FIRST_YEAR}) AND (toYear({name}) < {FAR_YEAR})"
    return f"if({sane}, toDateTime({name}, 'UTC'), {far}) + toIntervalDay({days})"


def table_ttls(client: Client, form: Form) -> dict[str, TableTtl]:
    """Every table of ours that rows are kept in -> its TTL. Names are those of the configuration, without `_local`."""
    columns = {
        str(table): str(name)
        for table, name in client.query(
            "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND is_in_partition_key "
            "AND startsWith(type, 'Date') ORDER BY table, position DESC"
        ).result_rows
    }
    tables = client.query(
        "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    ).result_rows
    engines = {str(name): str(engine) for name, engine in tables}
    known = {name.removesuffix("_local") for name in engines}
    return {
        name: TableTtl(
            table=name,
            column=columns.get(form.local(name), ""),
            expression=found["ttl"] if (found := _TTL.search(engines[form.local(name)])) else "",
        )
        for name in sorted(known)
        if form.local(name) in engines
    }


def retention_changes(client: Client, form: Form, retention: Mapping[str, int | None]) -> list[Change]:
    """What has to be done so that the tables are kept as wanted; nothing where they are. Changes nothing.

    Args:
        client: A connection to the database.
        form: Of its DDL.
        retention: Table -> days, or None for ever.

    Raises:
        SchemaError: A name is no table, or the table has no time to go by.
    """
    if not retention:
        return []
    ttls = table_ttls(client, form)
    datable = [name for name, ttl in ttls.items() if ttl.column]
    if odd := sorted(set(retention) - set(datable)):
        raise SchemaError(
            f"store.retention names {', '.join(odd)}: no table of ours that ages. There are {', '.join(datable)}."
        )
    changes = []
    for table, days in sorted(retention.items()):
        ttl = ttls[table]
        if not ttl.is_for(days):
            changes.append(_change(client, form, ttl, days))
        elif days is not None and _undated_parts(client, form, table, days):
            change = _change(client, form, ttl, days)
            changes.append(msgspec.structs.replace(change, said=f"{table}: the change to {days} days is completed"))
    return changes


class Applied(msgspec.Struct, frozen=True):
    """What `apply_retention` has done, in words."""

    done: list[str]
    left: list[str]
    """Tables whose parts have not all got their dates in time; nothing is deleted from them meanwhile."""


def apply_retention(
    client: Client,
    form: Form,
    retention: Mapping[str, int | None],
    *,
    patience_s: float = _PATIENCE_S,
    stop: threading.Event | None = None,
    settings: Mapping[str, str | int] | None = None,
) -> Applied:
    """Keep the tables as wanted.

    Where the parts of a table have not all got their dates in time, its TTL merges stay off and it keeps its rows; the
    next call goes on.

    Args:
        client: A connection that may ALTER, and stop and start TTL merges.
        form: Of the database's DDL.
        retention: As for `retention_changes`.
        patience_s: How long to wait for the dates of one table.
        stop: Set to give up waiting.
        settings: Sent with every statement.

    Raises:
        SchemaError: As `retention_changes`, and nothing was done.
    """
    more = dict(settings or {})
    stop = stop or threading.Event()
    changes = {change.table: change for change in retention_changes(client, form, retention)}
    left = []
    for table, days in retention.items():
        change = changes.get(table)
        for statement in (change.hold, *change.statements, change.materialise) if change else ():
            if statement:
                client.command(statement, settings=more)
        if days is None:
            continue
        if _dated_in_time(client, form, table, days, time.monotonic() + patience_s, stop):
            # Nobody can tell whether a former try has left them off.
            client.command(f"SYSTEM START {_merges(form, table)}", settings=more)
        else:
            left.append(f"{table}: its parts are still getting their dates; nothing is deleted meanwhile")
    return Applied([change.said for change in changes.values()], left)


def _dated_in_time(client: Client, form: Form, table: str, days: int, deadline_s: float, stop: threading.Event) -> bool:
    while _undated_parts(client, form, table, days):
        if time.monotonic() > deadline_s or stop.wait(_POLL_S):
            return False
    return True


def _merges(form: Form, table: str) -> str:
    return f"TTL MERGES{form.on_cluster()} {form.qualified(table)}"


def _change(client: Client, form: Form, ttl: TableTtl, days: int | None) -> Change:
    local = quote_identifier(form.local(ttl.table))
    alter = f"ALTER TABLE {local}{form.on_cluster()}"
    if days is None:
        said = f"{ttl.table}: kept for ever instead of {ttl.said()}"
        return Change(table=ttl.table, said=said, statements=(f"{alter} REMOVE TTL",))
    column = quote_identifier(ttl.column)
    old = f"toYear({column}) >= {FIRST_YEAR} AND {column} < now('UTC') - toIntervalDay({days})"
    counted = f"SELECT count() FROM {quote_identifier(ttl.table)} WHERE {old}"  # noqa: S608 - our own words
    going = client.query(counted).result_rows[0][0]
    return Change(
        table=ttl.table,
        said=f"{ttl.table}: kept for {days} days, where it was {ttl.said()}; {going:,} rows are older and will go",
        statements=(
            f"{alter} MODIFY SETTING materialize_ttl_recalculate_only = 1, ttl_only_drop_parts = 1",
            f"{alter} MODIFY TTL {ttl_expression(ttl.column, days)} SETTINGS materialize_ttl_after_modify = 0",
        ),
        materialise=f"{alter} MATERIALIZE TTL SETTINGS mutations_sync = 0",
        hold=f"SYSTEM STOP {_merges(form, ttl.table)}",
    )


def _undated_parts(client: Client, form: Form, table: str, days: int) -> int:
    """Parts whose date of deletion is not that of their partition and so many days; those of wrong clocks left out."""
    return int(
        client.query(
            f"""
            WITH if(length(partition) = 10, toDateOrZero(partition),
                    toDateOrZero(concat(substring(partition, 1, 4), '-', substring(partition, 5, 2), '-01'))) AS first,
                if(length(partition) = 10, 1, 32) AS span
            SELECT count() FROM {form.system("parts")}
            WHERE database = currentDatabase() AND table = {quote_text(form.local(table))} AND active AND rows > 0
                AND toYear(first) >= {FIRST_YEAR} AND toYear(first) < {FAR_YEAR}
                AND (toDate(delete_ttl_info_min, 'UTC') < first + {days}
                    OR toDate(delete_ttl_info_max, 'UTC') > first + {days} + span)
            """  # noqa: S608 - our own words
        ).result_rows[0][0]
    )


def _bare(expression: str) -> str:
    """Without what the server writes in a way of its own."""
    return re.sub(r"[\s()`]", "", expression)

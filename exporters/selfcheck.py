"""The store is asked whether it is right: no call and no attempt twice, and the sums of roll-ups those of their rows.

One day at a time, and a large day in slices, so that the memory it takes does not grow with the store. A nightly run
looks at yesterday, at the days whose number of rows has changed since they were last looked at, and at those with
something wrong; a full one at every day. Rows that are the same have the same start, so doubles are found within a day.

A finished day of a roll-up is compared with what its own materialized view makes of the rows of that day, every sum of
it. Days that the roll-up is still being completed for (`unrolled_days`) and days that are about to expire are left out.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from exporters.recorder.status import SelfCheckStatus
from exporters.schema.cluster import Form
from exporters.schema.errors import SchemaError
from exporters.schema.migrations import Migration, load_migrations
from exporters.schema.statement import CreateMaterializedView, CreateTable, parse, quote_identifier, tables_read, tokens
from exporters.schema.ttl import TableTtl, table_ttls

KEYS: Mapping[str, tuple[str, ...]] = {"calls": ("call_id",), "attempts": ("call_id", "attempt")}
"""Table -> the columns that no two rows of it have in common."""
SLICE_ROWS = 2_000_000
"""So many keys are held at once: about 100 MB."""
MOST_DAYS = 62
"""A nightly run looks at no more days than this, the newest first; the others have their turn in the next."""
QUERY_TIMEOUT_S = 600
_MOST_FINDINGS = 20
_SETTINGS: dict[str, str | int] = {"max_execution_time": QUERY_TIMEOUT_S, "max_threads": 2}
"""It is in no hurry, and others ask the store as well."""


class DayCheck(msgspec.Struct, kw_only=True):
    """What was found for one day."""

    rows: dict[str, int] = {}
    """Table -> rows at that time."""
    doubled: dict[str, int] = {}
    """Table -> rows beyond one for each key; without the tables that have none."""
    drifted: list[str] = []
    """Roll-ups whose sums are others than those of the rows."""

    @property
    def ok(self) -> bool:
        """Whether all is as it must be."""
        return not self.doubled and not self.drifted


class Findings(msgspec.Struct, kw_only=True):
    """What is known of every day; it is kept between runs."""

    ran_at_ns: int | None = None
    days: dict[date, DayCheck] = {}
    looked_at: int = 0
    """Days of the last run."""

    def said(self) -> list[str]:
        """Every day with something wrong, in words, the oldest first."""
        lines = []
        for day, check in sorted(self.days.items()):
            lines += [f"{day}: {count:,} doubled rows in {table}" for table, count in sorted(check.doubled.items())]
            lines += [f"{day}: the sums of {table} are not those of its rows" for table in check.drifted]
        return lines

    def tell(self, status: SelfCheckStatus) -> None:
        """Bring a status up to date."""
        checks = self.days.values()
        status.ran_at_ns = self.ran_at_ns
        status.ok = None if self.ran_at_ns is None else all(check.ok for check in checks)
        status.days = self.looked_at
        status.doubled_calls = sum(check.doubled.get("calls", 0) for check in checks)
        status.doubled_attempts = sum(check.doubled.get("attempts", 0) for check in checks)
        status.drifted_days = sum(len(check.drifted) for check in checks)
        status.findings = self.said()[:_MOST_FINDINGS]
        status.last_error = ""


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    """A table of sums and the query of the view that fills it."""

    table: str
    source: str
    day: str
    """The column that says which day or minute a row of it is about."""
    sums: tuple[str, ...]
    before: str
    """The view's query up to where the day of its rows is to be said ..."""
    after: str
    """... and from there on."""

    def true_sums(self, day: date) -> str:
        """The question for the sums of a day, from its rows."""
        return f"SELECT {self._summed()} FROM ({self.before}'{day}'{self.after})"  # noqa: S608 - the view's own query

    def rolled_sums(self, day: date) -> str:
        """The same, from the roll-up."""
        of_day = f"toDate({quote_identifier(self.day)}) = '{day}'"
        return f"SELECT {self._summed()} FROM {quote_identifier(self.table)} WHERE {of_day}"  # noqa: S608 - our words

    def _summed(self) -> str:
        return ", ".join(f"sum({quote_identifier(name)})" for name in self.sums)


def load_rollups(migrations: Sequence[Migration] | None = None) -> tuple[Rollup, ...]:
    """The roll-ups as the schema defines them. Raises SchemaError for a view of a form that cannot be compared."""
    written = load_migrations() if migrations is None else migrations
    statements = [parse(statement) for migration in written for statement in migration.statements]
    tables = {one.name: one for one in statements if isinstance(one, CreateTable)}
    return tuple(_rollup(one, tables) for one in statements if isinstance(one, CreateMaterializedView))


def check_store(
    client: Client,
    form: Form,
    before: Findings,
    *,
    full: bool = False,
    today: date | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Findings:
    """Look at the days that are due.

    Args:
        client: A connection to the database, with a timeout above `QUERY_TIMEOUT_S`.
        form: Of its DDL.
        before: What is known from former runs; `Findings()` when nothing is.
        full: Every day, instead of those that are due.
        today: In UTC; for tests.
        stop: Set to have it end after the query that runs.
        progress: Told after each day how many of how many are done.

    Returns:
        What is known now. `ran_at_ns` is that of before when it was stopped.
    """
    today = today or datetime.now(UTC).date()
    rows = {table: _rows_by_day(client, table) for table in KEYS}
    there = sorted(set().union(*rows.values()), reverse=True)
    known = {day: check for day, check in before.days.items() if day in set(there)}
    due = there if full else [day for day in there if _is_due(day, known.get(day), rows, today)][:MOST_DAYS]
    checked = _Checker(client, form, today)
    done = 0
    for done, day in enumerate(due, 1):
        if stop and stop.is_set():
            return Findings(ran_at_ns=before.ran_at_ns, days=known, looked_at=done - 1)
        known[day] = checked.day(day, {table: counts[day] for table, counts in rows.items() if day in counts})
        progress(done, len(due))
    return Findings(ran_at_ns=time.time_ns(), days=known, looked_at=done)


def _is_due(day: date, known: DayCheck | None, rows: Mapping[str, Mapping[date, int]], today: date) -> bool:
    now = {table: counts[day] for table, counts in rows.items() if day in counts}
    return known is None or not known.ok or known.rows != now or day == today - timedelta(days=1)


class _Checker:
    """Looks at single days."""

    def __init__(self, client: Client, form: Form, today: date) -> None:
        self._client = client
        self._today = today
        ttls = table_ttls(client, form)
        self._rollups = [one for one in load_rollups() if one.table in ttls and one.source in ttls]
        self._ttls = ttls
        self._incomplete = self._unrolled() if "unrolled_days" in ttls else set()

    def day(self, day: date, rows: dict[str, int]) -> DayCheck:
        """Everything about one day; `rows` are its rows in the tables that have any."""
        doubled = {table: count for table in rows if (count := self._doubled(table, day, rows[table]))}
        finished = day < self._today and day not in self._incomplete
        drifted = [one.table for one in self._rollups if finished and one.source in rows and self._drifts(one, day)]
        return DayCheck(rows=rows, doubled=doubled, drifted=drifted)

    def _doubled(self, table: str, day: date, rows: int) -> int:
        key = ", ".join(map(quote_identifier, KEYS[table]))
        slices = 1 + rows // SLICE_ROWS
        found = 0
        for number in range(slices):
            of_slice = f" AND cityHash64({key}) % {slices} = {number}" if slices > 1 else ""
            found += int(
                self._row(
                    f"SELECT count() - uniqExact({key}) FROM {quote_identifier(table)} "  # noqa: S608 - our own words
                    f"WHERE toDate(started_at) = '{day}'{of_slice}"
                )[0]
            )
        return found

    def _drifts(self, rollup: Rollup, day: date) -> bool:
        if any(self._expires(self._ttls[table], day) for table in (rollup.table, rollup.source)):
            return False
        # Rows and their sums become visible one after the other: what differs only once was being inserted.
        return all(self._row(rollup.true_sums(day)) != self._row(rollup.rolled_sums(day)) for _ in range(2))

    def _expires(self, ttl: TableTtl, day: date) -> bool:
        """Whether a part of the day may be gone already."""
        return ttl.days is not None and day < self._today - timedelta(days=ttl.days - 2)

    def _unrolled(self) -> set[date]:
        rows = self._client.query("SELECT DISTINCT day FROM unrolled_days", settings=_SETTINGS).result_rows
        return {row[0] for row in rows}

    def _row(self, sql: str) -> Sequence[Any]:
        row: Sequence[Any] = tuple(self._client.query(sql, settings=_SETTINGS).result_rows[0])
        return row


def _rows_by_day(client: Client, table: str) -> dict[date, int]:
    """From what the table knows of its partitions, without reading a row."""
    sql = f"SELECT _partition_id, count() FROM {quote_identifier(table)} GROUP BY _partition_id"  # noqa: S608 - our words
    found = client.query(sql, settings=_SETTINGS).result_rows
    return {datetime.strptime(str(day), "%Y%m%d").replace(tzinfo=UTC).date(): int(count) for day, count in found}


def _rollup(view: CreateMaterializedView, tables: Mapping[str, CreateTable]) -> Rollup:
    read = list(tables_read(view.select))
    target = tables.get(view.target)
    if target is None or len(read) != 1:
        raise SchemaError(f"The view {view.name} does not make a table of ours out of one other.")
    day = next((name for name in target.order_by if target.columns.get(name, "").startswith("Date")), None)
    sums = tuple(name for name, kind in target.columns.items() if kind.startswith("SimpleAggregateFunction(sum,"))
    if day is None or not sums:
        raise SchemaError(f"The table {target.name} has no day to go by, or no sums.")
    source, following = read[0], [token for token in tokens(view.select) if token.start >= read[0].end]
    name, end = source.text, source.end
    if len(following) > 1 and following[0].says("AS"):
        name, end, following = following[1].text, following[1].end, following[2:]
    group = next((token for token in reversed(following) if token.says("GROUP")), None)
    if group is None or not (following[0].says("WHERE") or following[0] is group):
        raise SchemaError(f"The view {view.name} must have WHERE or GROUP BY after the table that it reads.")
    condition = view.select[following[0].end : group.start] if following[0].says("WHERE") else ""
    return Rollup(
        table=target.name,
        source=source.name,
        day=day,
        sums=sums,
        before=f"{view.select[:end]} WHERE toDate({name}.started_at) = ",
        after=f"{f' AND ({condition.strip()})' if condition else ''} {view.select[group.start :]}",
    )

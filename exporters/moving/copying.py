"""A whole copy: snapshot of the source, every table day by day, then both ends compared.

Where an end does not answer, the pass is begun again from a new snapshot, which costs little: what is there is found to
be there. That goes on for as long as rows get through now and then.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from exporters.clickhouse.client import brief, connect
from exporters.clickhouse.sink import ClickHouseSink
from exporters.moving.end import End
from exporters.moving.errors import CopyError, UnavailableError
from exporters.moving.result import CopyResult, DayResult
from exporters.moving.rollups import check_rolled_up, copy_gone_days, make_good
from exporters.moving.rows import copy_day, days_of
from exporters.moving.source import running_source
from exporters.moving.tables import Rows, check_columns, read_tables
from exporters.moving.verifying import check_day
from exporters.recorder.ports import SinkUnavailableError
from exporters.schema.migrate import SchemaError
from exporters.store.folder import Folder, FolderInUseError, FolderLock
from exporters.store.remote import asker, name_of, take_snapshot
from exporters.store.snapshots import Snapshot
from proxy.config.credentials import CredentialsError
from proxy.settings import Settings, StoreSettings
from proxy.store_http import StoreError

_SNAPSHOT = "copy"
_LOCK_DIR = "store-copy"
_FIRST_PAUSE_S = 0.2
_MOST_PAUSE_S = 5.0
_MOST_CONNECT_S = 10.0


class Step(msgspec.Struct, kw_only=True):
    """How far a copy is."""

    doing: str = ""
    """`copy calls 2026-11-20`, `check calls 2026-11-20`, or why it waits."""
    rows: int = 0
    """That this pass has brought or found there."""
    all_rows: int = 0
    sent_bytes: int = 0
    sent_rows: int = 0


Tell = Callable[[Step], None]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be copied, and where to."""

    target: StoreSettings
    since: date | None = None
    """First day (UTC); None: from the beginning."""
    until: date | None = None
    """Day after the last one; None: to the end."""
    anew: bool = False
    """Also rows that an earlier copy has brought and somebody has deleted there: their tokens are still known."""
    patience_s: float = 60.0
    """How long nothing may get through before it is given up."""


def copy_store(settings: Settings, wish: Wish, tell: Tell) -> CopyResult:
    """Copy the embedded store of a data folder to another server. Run it again for what came since.

    Args:
        settings: Of the Taximeter whose data folder it is, as it runs.
        wish: What, and where to.
        tell: Told how far it is.

    Raises:
        CopyError: It cannot be done, or goes on at the next run.
    """
    try:
        with _alone(settings), running_source(settings) as source:
            if source.url == wish.target.url:
                raise CopyError(f"{source.url} is the embedded store itself: name the server that is to have the rows")
            _prepare(settings, wish)
            return _passes(source, wish, tell)
    except CredentialsError as error:
        raise CopyError(str(error)) from error
    except OSError as error:
        raise CopyError(f"{error.filename or settings.data_dir}: {error.strerror or error}") from error


def _passes(source: StoreSettings, wish: Wish, tell: Tell) -> CopyResult:
    step, pause_s = Step(), _FIRST_PAUSE_S
    mark = f"{secrets.token_hex(4)}/" if wish.anew else ""
    got_through, deadline = -1, time.monotonic() + wish.patience_s
    while True:
        try:
            with (
                _snapshot(source) as snapshot,
                _client(source, None) as here,
                _client(wish.target, wish.target.database) as there,
            ):
                source_end = End(here, snapshot.database, "the source")
                target_end = End(there, wish.target.database, wish.target.url, token_mark=mark)
                return _Pass(source_end, target_end, wish, step, tell).run(snapshot.at_ns)
        except UnavailableError as error:
            if step.sent_bytes > got_through:
                got_through, deadline, pause_s = step.sent_bytes, time.monotonic() + wish.patience_s, _FIRST_PAUSE_S
            if time.monotonic() >= deadline:
                raise CopyError(f"{error}; run it again, and it goes on from there") from error
            step.doing = f"waits: {error}"
            tell(step)
            time.sleep(pause_s)
            pause_s = min(_MOST_PAUSE_S, pause_s * 2)


class _Pass:
    """One go over everything."""

    def __init__(self, source: End, target: End, wish: Wish, step: Step, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._wish = wish
        self._step = step
        self._tell = tell

    def run(self, at_ns: int) -> CopyResult:
        tables = read_tables(self._source)
        check_columns(tables, self._target)
        self._target.wait_for_inserts()
        days = {table.name: self._days(table.name, within=True) for table in tables.rows}
        self._step.rows, self._step.all_rows = 0, sum(sum(one.values()) for one in days.values())
        for table in tables.rows:
            for day in days[table.name]:
                self._say(f"copy {table.name} {day}")
                copy_day(self._source, self._target, table, day, self._moved)
        rollups: list[DayResult] = []
        self._say("make sums good")
        make_good(self._target, {day for one in days.values() for day in one}, cluster=self._wish.target.cluster)
        for rollup in tables.rollups:
            self._say(f"copy {rollup.name}")
            every_day = self._days(rollup.base, within=False)
            since, until = self._wish.since, self._wish.until
            rollups += copy_gone_days(self._source, self._target, rollup, every_day, since, until)
            rollups += check_rolled_up(self._target, rollup, days[rollup.base])
        return CopyResult(
            at_ns=at_ns,
            days=tuple(self._check(tables.rows, days)),
            rollups=tuple(rollups),
            sent_rows=self._step.sent_rows,
            sent_bytes=self._step.sent_bytes,
            others=tables.others,
        )

    def _check(self, tables: tuple[Rows, ...], days: Mapping[str, Mapping[date, int]]) -> Iterator[DayResult]:
        for table in tables:
            for day in days[table.name]:
                self._say(f"check {table.name} {day}")
                yield check_day(self._source, self._target, table, day)

    def _days(self, table: str, *, within: bool) -> dict[date, int]:
        since, until = (self._wish.since, self._wish.until) if within else (None, None)
        return days_of(self._source, table, since, until)

    def _say(self, doing: str) -> None:
        self._step.doing = doing
        self._tell(self._step)

    def _moved(self, rows: int, sent_rows: int, sent_bytes: int) -> None:
        self._step.rows += rows
        self._step.sent_rows += sent_rows
        self._step.sent_bytes += sent_bytes
        self._tell(self._step)


def _prepare(settings: Settings, wish: Wish) -> None:
    """The tables of this version, as the recorder would make them. Raises CopyError.

    A server that cannot be reached is waited for only for a moment: its address may be wrong.
    """
    target = wish.target
    deadline = time.monotonic() + min(_MOST_CONNECT_S, wish.patience_s)
    sink = ClickHouseSink(msgspec.structs.replace(settings, store=target))
    try:
        while True:
            try:
                sink.check()
            except SinkUnavailableError as error:
                answered = getattr(error.__cause__, "code", None) is not None or isinstance(
                    error.__cause__, SchemaError
                )
                if answered or time.monotonic() >= deadline:
                    raise CopyError(f"{target.url} cannot be made ready: {error}") from error
                time.sleep(_FIRST_PAUSE_S)
            else:
                return
    finally:
        sink.close()


@contextmanager
def _snapshot(source: StoreSettings) -> Iterator[Snapshot]:
    """The source as of one moment. Raises UnavailableError, CopyError."""
    try:
        snapshot = take_snapshot(source, _SNAPSHOT)
    except StoreError as error:
        if error.code is None:
            raise UnavailableError(f"the source: {error}") from error
        raise CopyError(f"the source refuses: {error}") from error
    try:
        yield snapshot
    finally:
        # A source that is gone drops it at its next start.
        with suppress(StoreError):
            asker(source)(f"DROP DATABASE IF EXISTS {name_of(snapshot.database)} SYNC")


@contextmanager
def _client(store: StoreSettings, database: str | None) -> Iterator[Client]:
    try:
        client = connect(store, database=database)
    except ClickHouseError as error:
        raise UnavailableError(f"{store.url}: {brief(error)}") from error
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One copy of a data folder at a time."""
    try:
        lock = FolderLock(Folder(settings.run_dir / _LOCK_DIR))
    except FolderInUseError:
        raise CopyError(f"another copy of {settings.data_dir} is under way") from None
    try:
        yield
    finally:
        lock.release()

"""The wiring of `taximeter store status`, `migrate` and `check`: the part of `proxy.app` that these commands need."""

import contextlib
from collections.abc import Callable, Iterator

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from exporters.clickhouse.client import INSERT_SETTINGS, brief, connect
from exporters.recorder.status import SelfCheckStatus
from exporters.schema.cluster import Form
from exporters.schema.errors import SchemaError
from exporters.schema.expected import expected
from exporters.schema.migrate import (
    MIGRATE_TIMEOUT_S,
    ON_CLUSTER_SETTINGS,
    ensure_database,
    form_of,
    migrate,
    planned,
)
from exporters.schema.migrations import load_migrations
from exporters.schema.report import StoreReport, store_report
from exporters.schema.ttl import apply_retention, retention_changes
from exporters.schema.verify import Difference, differences, reader_differences
from exporters.selfcheck import QUERY_TIMEOUT_S, Findings, check_store
from proxy.borrowed_store import borrowed_store
from proxy.config.credentials import CredentialsError
from proxy.core.semconv import DEFAULT_CONVENTION, Convention
from proxy.ports import PortsError
from proxy.runlock import LockedError
from proxy.settings import Settings, StoreSettings
from proxy.supervisor import StartError

_NO_DATABASE = 81


class StoreRefusedError(Exception):
    """What was asked for cannot be done; the message is one sentence for the person."""


class _NoDatabaseError(StoreRefusedError):
    """There is no database yet."""


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """What `migrate_store` has done, or would do."""

    applied: tuple[int, ...] = ()
    statements: tuple[str, ...] = ()
    """Of a dry run: what would be run."""
    retention: tuple[str, ...] = ()
    """How long rows are kept from now on, where that has changed."""
    left: tuple[str, ...] = ()
    """What could not be completed."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What `check_whole_store` has found."""

    ok: bool
    differences: tuple[Difference, ...]
    self_check: SelfCheckStatus | None
    """None when it was left out, or the schema is not there."""


def state_of_store(settings: Settings) -> StoreReport:
    """Server, migrations and tables. Raises StoreRefusedError."""
    with _store_of(settings) as store, _connected(store) as client:
        return store_report(client, _form(store), url=store.url, database=store.database, cluster=store.cluster)


def migrate_store(settings: Settings, *, dry_run: bool = False) -> Migrated:
    """Bring the schema and the retention up to date, or say what that would take. Raises StoreRefusedError."""
    convention: Convention = "genai-dev" if settings.semconv == "genai-dev" else DEFAULT_CONVENTION
    with _store_of(settings, may_be_new=True) as store:
        form = _form(store)
        if not dry_run:
            return _migrated(store, form, convention)
        try:
            with _connected(store) as client:
                statements = planned(client, convention=convention, cluster=store.cluster)
                return Migrated(statements=statements, retention=_planned_retention(client, form, store))
        except _NoDatabaseError:
            made = [made for m in load_migrations() for statement in m.statements for made in form.of(statement)]
            return Migrated(statements=(form.create_database(), *made))


def _migrated(store: StoreSettings, form: Form, convention: Convention) -> Migrated:
    with _connected(store, anywhere=True) as bare:
        ensure_database(bare, store.database, cluster=store.cluster)
    with _connected(store) as client:
        applied = migrate(client, convention=convention, cluster=store.cluster)
        more = ON_CLUSTER_SETTINGS if store.cluster else {}
        kept = apply_retention(client, form, store.retention, settings=more)
        return Migrated(applied=applied, retention=tuple(kept.done), left=tuple(kept.left))


def check_whole_store(
    settings: Settings,
    *,
    rows: bool = True,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Checked:
    """Compare the schema with ours and, with `rows`, look for doubles and drift in every day.

    Args:
        settings: Of the Taximeter whose store is checked.
        rows: Whether to look at the rows.
        progress: Told after each day how many of how many are done.

    Raises:
        StoreRefusedError: The store cannot be asked.
    """
    status: SelfCheckStatus | None = None
    with _store_of(settings) as store, _connected(store) as client:
        form = _form(store)
        found = differences(client, form, retention=store.retention, settings=INSERT_SETTINGS)
        if rows and not any(one.state == "bad" and one.about in {"schema", "calls", "attempts"} for one in found):
            status = SelfCheckStatus()
            check_store(client, form, Findings(), full=True, progress=progress).tell(status)
        found += _reader(store)
    ok = not any(one.state == "bad" for one in found) and (status is None or bool(status.ok))
    return Checked(ok=ok, differences=tuple(found), self_check=status)


@contextlib.contextmanager
def _store_of(settings: Settings, *, may_be_new: bool = False) -> Iterator[StoreSettings]:
    """A store that answers; an embedded one that does not run is started for as long as it is needed."""
    if settings.store.embedded and not may_be_new and not settings.store_dir.exists():
        raise StoreRefusedError(f"there is no store in {settings.data_dir} yet: taximeter serve makes it")
    try:
        with borrowed_store(settings) as lent:
            yield lent.store
    except LockedError as error:
        raise StoreRefusedError(f"another Taximeter has {settings.data_dir} and its store cannot be reached") from error
    except (StartError, CredentialsError, PortsError, OSError) as error:
        raise StoreRefusedError(str(error)) from error


@contextlib.contextmanager
def _connected(store: StoreSettings, *, anywhere: bool = False) -> Iterator[Client]:
    """A connection to the database; what goes wrong with it and in the block as a sentence."""
    timeout_s = max(MIGRATE_TIMEOUT_S, QUERY_TIMEOUT_S)
    try:
        with contextlib.closing(
            connect(store, database=None if anywhere else store.database, answer_timeout_s=timeout_s)
        ) as client:
            yield client
    except SchemaError as error:
        raise StoreRefusedError(str(error)) from error
    except ClickHouseError as error:
        if isinstance(error, DatabaseError) and error.code == _NO_DATABASE:
            said = f"there is no database {store.database} at {store.url} yet: taximeter store migrate makes it"
            raise _NoDatabaseError(said) from error
        raise StoreRefusedError(f"the store at {store.url}: {brief(error)}") from error


def _reader(store: StoreSettings) -> list[Difference]:
    own_account = store.reader_user != store.user
    account = msgspec.structs.replace(store, user=store.reader_user, password=store.reader_password)
    tables = [name for name in expected(load_migrations()).tables if name in {"calls", "attempts"}]
    try:
        with _connected(account) as reader:
            return reader_differences(reader, tables, own_account=own_account)
    except StoreRefusedError as error:
        return [Difference(state="bad", about="reader", said=str(error), advice="See store.reader.")]


def _form(store: StoreSettings) -> Form:
    try:
        return form_of(store.cluster, store.database, load_migrations())
    except SchemaError as error:
        raise StoreRefusedError(str(error)) from error


def _planned_retention(client: Client, form: Form, store: StoreSettings) -> tuple[str, ...]:
    """What would change of the tables that are there; of an empty database nothing can be said yet."""
    if not client.command("EXISTS TABLE calls"):
        return tuple(f"{table}: {'for ever' if d is None else f'{d} days'}" for table, d in store.retention.items())
    return tuple(change.said for change in retention_changes(client, form, store.retention))

"""The wiring: what each process of a Taximeter runs, and where its answers come from.

The only module that reaches the exporters. Each role imports its own libraries inside its function. That is the point
of having processes: a worker has no room for the recorder's ClickHouse driver, and nobody but the store loads a
database engine.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from proxy.child import CannotServeError, Role, live
from proxy.logs import configure
from proxy.providers import PROVIDERS
from proxy.runlock import hold_child_lock
from proxy.settings import Settings, StoreSettings

if TYPE_CHECKING:
    from exporters.moving.copying import Step
    from exporters.moving.result import CopyResult
    from exporters.recorder.ports import Sink
    from exporters.reports.writing import Format, Told
    from exporters.store.manifest import Manifest
    from exporters.store.restore import Restored
    from policies.demand import Ledger
    from proxy.core.price import Listing
    from proxy.prices.pricer import Pricer

_STORE_PATIENCE_S = 3.0
_RECORDER_GC_THRESHOLDS = (50_000, 10, 10)
_DEMO_SEED = 7
_DEMO_CALLS_PER_S = 8.0
"""At the busiest hour of the demo's day; a full picture within a minute, and a machine that stays quiet."""


async def _worker(settings: Settings, slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    from exporters.journal.names import new_instance
    from exporters.journal.room import RESERVE_BYTES, Limits
    from exporters.journal.writer import Journal
    from proxy.worker import run_worker

    journal = Journal(
        settings.journal_dir,
        new_instance(f"worker-{slot}"),
        segment_s=settings.journal_segment_s,
        segment_bytes=settings.journal_segment_bytes,
        durability=settings.journal_durability,
        limits=Limits(
            max_bytes=settings.journal_max_bytes,
            min_free_bytes=settings.journal_min_free_bytes,
            reserve_bytes=RESERVE_BYTES,
            on_full=settings.journal_on_full,
        ),
        call_later=asyncio.get_running_loop().call_later,
    )

    def open_ledger() -> "Ledger":
        from policies.ledger.leases import LeasedLedger
        from proxy.app_ledger import books_of

        return LeasedLedger(books_of(settings), journal.folder.name)

    try:
        await run_worker(settings, journal, stop, lambda _port: on_ready(), open_ledger)
    finally:
        journal.close()


async def _recorder(settings: Settings, _slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    from exporters.ledger.sink import LedgerSink
    from exporters.live.sink import LiveSink
    from exporters.prometheus.sink import PrometheusSink
    from exporters.recorder.recorder import run_recorder
    from exporters.recorder.status import RecorderStatus
    from exporters.sinks import make_sinks
    from proxy.admin.app import admin_app, serve_admin
    from proxy.admin.live import Live
    from proxy.admin.looks import Looks
    from proxy.app_alerts import alert_sinks
    from proxy.app_console import console_of
    from proxy.app_ledger import books_of
    from proxy.app_metrics import Levels, look_after, machine_source, metrics_source
    from proxy.app_status import recorder_status

    pricer = pricer_of(settings)
    known = RecorderStatus()
    recording, serving, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    levels = Levels(settings, books_of(settings)).watching()
    looks = Looks(lambda: recorder_status(settings, known, levels.drift()))
    prometheus = PrometheusSink(max_models=settings.metrics_max_models, max_teams=settings.metrics_max_teams)
    metrics = metrics_source(known, prometheus, looks, levels)
    live = Live(asyncio.get_running_loop())
    console = console_of(settings, pricer, books_of(settings), live)
    app = admin_app(looks.now, metrics=metrics, hosts=settings.admin_hosts, console=console)

    async def tell_ready() -> None:
        await recording.wait()
        await serving.wait()
        on_ready()

    async def look_after_store() -> None:
        # One recorder at a time: another may still hold the data folder.
        await recording.wait()
        await look_after(settings, known, machine_source(known, looks, levels), over)

    async with asyncio.TaskGroup() as tasks:
        # The admin port outlives the recorder's drain: that is when people look.
        tasks.create_task(serve_admin(settings.admin, app, over, serving.set))
        telling = tasks.create_task(tell_ready())
        looking = tasks.create_task(look_after_store())
        try:
            await asyncio.to_thread(_prepare_store, settings, stop)
            # A parcel is thousands of objects in no cycle, and the price library tens of thousands that stay for good.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_RECORDER_GC_THRESHOLDS)
            sinks: list[Sink] = [*make_sinks(settings), LedgerSink(books_of(settings, durable=True)), prometheus]
            sinks += [*alert_sinks(settings, known, books_of(settings), levels.drift), LiveSink(live)]
            await run_recorder(settings, pricer, sinks, stop=stop, status=known, on_ready=recording.set)
        finally:
            over.set()
            telling.cancel()
            looking.cancel()


def _prepare_store(settings: Settings, stop: asyncio.Event) -> None:
    """Wait for a moment for the store to come up with our tables in it, so that whoever is told `ready` can ask it.

    They start together, and the store takes longer. Calls go on without it: one that stays away is the recorder's
    business.
    """
    from exporters.clickhouse.sink import ClickHouseSink
    from exporters.recorder.ports import SinkUnavailableError

    sink = ClickHouseSink(settings)
    deadline_s = time.monotonic() + _STORE_PATIENCE_S
    while time.monotonic() < deadline_s and not stop.is_set():
        try:
            sink.check()
        except SinkUnavailableError:
            time.sleep(0.1)
        else:
            break
    sink.close()


async def _store(settings: Settings, _slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    from exporters.store.errors import StartError
    from exporters.store.server import serve_store

    try:
        await serve_store(settings, stop, on_ready)
    except StartError as error:
        raise CannotServeError(str(error)) from error


async def _sandbox(settings: Settings, _slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    from proxy.sandbox.server import serve_sandbox

    if settings.sandbox is None:
        raise ValueError("the settings name no sandbox")
    listen = settings.sandbox
    await serve_sandbox(listen.host, listen.port, _DEMO_SEED, stop, lambda _port: on_ready())


async def _traffic(settings: Settings, _slot: int, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    from proxy.sandbox.traffic import run_traffic

    on_ready()
    await run_traffic(settings.listen.url, _DEMO_SEED, stop, _DEMO_CALLS_PER_S)


_ROLES: dict[str, tuple[Role, Callable[[], asyncio.AbstractEventLoop] | None]] = {
    "worker": (_worker, uvloop.new_event_loop),
    "recorder": (_recorder, None),
    "store": (_store, None),
    "sandbox": (_sandbox, None),
    "traffic": (_traffic, None),
}
"""Role -> what it runs, and the event loop it runs on (None: asyncio's own)."""


def run_child(role: str, settings: Settings, slot: int) -> int:
    """Be the process of a role until told to stop; its exit status. An unknown role is a KeyError."""
    chosen, loop_factory = _ROLES[role]
    configure(f"{role}-{slot}")
    hold_child_lock(settings.run_dir)
    return live(chosen, settings, slot, loop_factory=loop_factory)


# --- what the command line and the admin port ask -------------------------------------------------------------------


def told_report(settings: Settings, asked: dict[str, Any], answer_format: "Format") -> "Told":
    """The answer to a question about the calls; what is wrong is part of the answer.

    Args:
        settings: of the Taximeter whose store is asked.
        asked: the fields of `exporters.reports.answers.Asked`.
        answer_format: how the report is to be written.
    """
    from exporters.reports.answers import Asked, Reports
    from exporters.reports.store import StoreReader
    from proxy.app_reports import budgets_of

    pricer = pricer_of(settings)

    def list_prices(provider: str, kind: str, host: str, model: str, at_ns: int) -> "Listing | None":
        return pricer.listing(kind, host, model, at_ns, provider=provider)

    reader = StoreReader(settings.store)
    try:
        reports = Reports(reader, list_prices, budgets_of(settings, reader))
        return reports.tell(Asked(**asked), answer_format, datetime.now(UTC))
    finally:
        reader.close()


def told_call(settings: Settings, call_id: str, tz: str, *, as_json: bool) -> "Told":
    """The story of a call in the time zone `tz`; what is wrong is part of the answer."""
    from proxy.app_reports import told_call as told

    return told(settings, call_id, tz, as_json=as_json)


class RefusedError(Exception):
    """What a command was asked to do cannot be done; the message is one sentence for the person."""


def back_up_store(
    settings: Settings, target: Path, *, compress: bool, progress: Callable[[str, int, int], None]
) -> "Manifest":
    """Back the running embedded store up: `exporters.store.backup.take_backup`. Raises RefusedError."""
    from exporters.store.backup import take_backup
    from exporters.store.manifest import BackupError

    try:
        return take_backup(settings, target, compress=compress, progress=progress)
    except BackupError as error:
        raise RefusedError(str(error)) from error


def restore_store(
    settings: Settings, source: Path, *, force: bool, progress: Callable[[str, int, int], None]
) -> "Restored":
    """Put a backup into the data folder: `exporters.store.restore.restore_backup`. Raises RefusedError."""
    from exporters.store.manifest import BackupError
    from exporters.store.restore import restore_backup

    try:
        return restore_backup(settings, source, force=force, progress=progress)
    except BackupError as error:
        raise RefusedError(str(error)) from error


def copy_store(
    settings: Settings,
    target: StoreSettings,
    tell: "Callable[[Step], None]",
    *,
    since: date | None = None,
    until: date | None = None,
    anew: bool = False,
) -> "CopyResult":
    """Copy the embedded store to another server: `exporters.moving.copying.copy_store`. Raises RefusedError."""
    from exporters.moving import copying
    from exporters.moving.errors import CopyError

    try:
        wish = copying.Wish(target=target, since=since, until=until, anew=anew)
        return copying.copy_store(settings, wish, tell)
    except CopyError as error:
        raise RefusedError(str(error)) from error


def pricer_of(settings: Settings) -> "Pricer":
    """What knows the prices: the price files of the settings, the book that comes along, then the library."""
    from proxy.prices.library import PriceLibrary
    from proxy.prices.load import load_book
    from proxy.prices.pricer import Pricer

    return Pricer(
        [load_book(settings.price_files), PriceLibrary()],
        host_currencies={host: code for provider in PROVIDERS for host, code in provider.currencies.items()},
        provider_currencies={p.name: p.currency for p in settings.providers if p.currency},
    )

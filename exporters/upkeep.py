"""What the recorder does for the store besides delivering.

It sets how long rows are kept, and looks once a night whether they are right; in a thread of its own, so that neither
holds up a delivery. It begins once the schema is there. A store that cannot be asked is asked again; what it says is
told in the log and in the recorder's status. What the self-check knows of every day is kept in the data folder: a
restart forgets nothing.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from exporters.clickhouse.client import brief, connect
from exporters.recorder.status import SelfCheckStatus
from exporters.schema.cluster import Form
from exporters.schema.errors import SchemaError
from exporters.schema.migrate import ON_CLUSTER_SETTINGS, form_of, migration_states
from exporters.schema.migrations import load_migrations
from exporters.schema.rollups import distrust
from exporters.schema.ttl import apply_retention
from exporters.selfcheck import QUERY_TIMEOUT_S, Findings, check_store
from proxy.settings import Settings

LOOK_S = 10.0
"""How often it looks whether there is something to do."""
RETRY_S = 600.0
"""How long it leaves a store alone after a self-check that could not be done."""
_MEMORY = "selfcheck.json"
_LOG = structlog.get_logger()


async def run_upkeep(settings: Settings, status: SelfCheckStatus, stop: asyncio.Event) -> None:
    """Look after the store until `stop` is set.

    Args:
        settings: The store, its retention and the hour of its check; the data folder.
        status: Kept true, on this loop.
        stop: Set it to end this. A query that runs is left to itself.
    """
    loop = asyncio.get_running_loop()

    def tell(change: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever would read the status
            loop.call_soon_threadsafe(change)

    upkeep = Upkeep(settings, status, tell)
    # Not one of the executor's threads: those are waited for at the end, however long their query takes.
    threading.Thread(target=upkeep.run, name="upkeep", daemon=True).start()
    try:
        await stop.wait()
    finally:
        upkeep.over.set()


class Upkeep:
    """The blocking work.

    Args:
        settings: As above.
        status: As above.
        tell: Runs a change of the status where it may be changed.
    """

    def __init__(self, settings: Settings, status: SelfCheckStatus, tell: Callable[[Callable[[], None]], None]) -> None:
        self.over = threading.Event()
        """Set to end it."""
        self._settings = settings
        self._status = status
        self._tell = tell
        self._file = settings.run_dir / _MEMORY
        self._findings = read_findings(self._file)
        self._kept = not settings.store.retention
        self._retry_at_s = float("-inf")
        self._said = ""

    def run(self) -> None:
        """Until `over` is set."""
        self._tell(partial(self._findings.tell, self._status))
        while not self.over.is_set():
            self.look(datetime.now(UTC))
            self.over.wait(LOOK_S)

    def look(self, now: datetime) -> None:
        """Do what is due. Raises nothing: what goes wrong is told, and tried again."""
        hour = self._settings.store.self_check_hour
        if not self._kept:
            said, self._said = self._said, self._trying(self._keep)
            if self._said not in {"", said}:
                _LOG.warning("how long rows are kept cannot be set", error=self._said)
        if not is_due(hour, self._findings.ran_at_ns, now) or time.monotonic() < self._retry_at_s:
            return
        if said := self._trying(self._check):
            self._retry_at_s = time.monotonic() + RETRY_S
            _LOG.warning("the self-check cannot be done", error=said)
            self._tell(partial(_could_not, self._status, said))

    def _trying(self, work: Callable[[Client, Form], None]) -> str:
        """Do it if the schema is there; what went wrong, empty when nothing did."""
        store = self._settings.store
        try:
            with contextlib.closing(
                connect(store, database=store.database, answer_timeout_s=QUERY_TIMEOUT_S + 30)
            ) as client:
                if all(state.state != "pending" for state in migration_states(client)):
                    work(client, form_of(store.cluster, store.database, load_migrations()))
        except (ClickHouseError, SchemaError, OSError) as error:
            return brief(error)
        except Exception as error:  # noqa: BLE001 - a mistake in here must not end the looking for good
            _LOG.exception("a mistake of the upkeep")
            return brief(error)
        return ""

    def _keep(self, client: Client, form: Form) -> None:
        store = self._settings.store
        settings = ON_CLUSTER_SETTINGS if store.cluster else {}
        applied = apply_retention(client, form, store.retention, stop=self.over, settings=settings)
        for said in applied.done:
            _LOG.warning("how long rows are kept has changed", change=said)
        for said in applied.left:
            _LOG.warning("how long rows are kept is being changed", table=said)
        self._kept = not applied.left

    def _check(self, client: Client, form: Form) -> None:
        found = check_store(client, form, self._findings, stop=self.over)
        if self.over.is_set():
            return
        self._findings = found
        write_findings(self._file, found)
        for line in found.said():
            _LOG.error("the self-check found something wrong", finding=line)
        # Reports take these days from the rows at once, and whoever delivers makes their sums anew.
        distrust(client, [day for day, check in found.days.items() if check.drifted])
        self._tell(partial(found.tell, self._status))


def _could_not(status: SelfCheckStatus, said: str) -> None:
    status.ok = None
    status.last_error = said


def is_due(hour: int | None, ran_at_ns: int | None, now: datetime) -> bool:
    """Whether a nightly check is due: none has come to its end since the last time the clock struck that hour (UTC)."""
    if hour is None:
        return False
    struck = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    if struck > now:
        struck -= timedelta(days=1)
    return ran_at_ns is None or ran_at_ns < struck.timestamp() * 1e9


def read_findings(file: Path) -> Findings:
    """What is known from former runs; nothing when the file cannot be read, as it only spares work."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Findings)
    except (OSError, msgspec.DecodeError):
        return Findings()


def write_findings(file: Path, found: Findings) -> None:
    """Keep what is known. Raises OSError."""
    draft = file.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.encode(found))
    draft.replace(file)

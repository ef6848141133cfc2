"""What `/metrics` tells of the machine, as rows of the table `health`.

For dashboards and alerts that have the store as their one source. It is a picture of now, so it is never kept for
later: while the store cannot be reached nothing is written. One insert every 15 s, of a bounded number of rows, in a
thread of its own: a store that hangs holds up neither a delivery nor the end of the process.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from prometheus_client.metrics_core import Metric

from exporters.clickhouse.client import INSERT_SETTINGS, brief, connect
from exporters.otlp.resource import FILE_NAME, instance_id
from proxy.settings import Settings, StoreSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

EVERY_S = 15.0
MAX_ROWS = 2000
"""Of one picture; what is beyond is left out, and that is told in the log."""
_ANSWER_TIMEOUT_S = 10
_NOT_OF_THE_MACHINE = ("_created",)
"""Endings of samples that the library adds by itself."""
_LOG = structlog.get_logger()

Tell = Callable[[], Iterable[Metric]]
"""Gives the families to write; blocks."""
Gather = Callable[[], Awaitable[Tell]]
"""Takes what the recorder's loop knows, there, and leaves the rest to be told in a thread."""


class HealthRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `health`."""

    at: int
    """Unix time in seconds."""
    instance: str
    metric: str
    labels: dict[str, str]
    value: float


def health_rows(families: Iterable[Metric], *, at_s: int, instance: str) -> list[HealthRow]:
    """One row per sample that is a number; the first `MAX_ROWS`. PURE.

    Args:
        families: As they are gathered for `/metrics`.
        at_s: Unix time.
        instance: Of the data folder.
    """
    samples = (sample for family in families for sample in family.samples)
    rows = [
        HealthRow(at=at_s, instance=instance, metric=sample.name, labels=dict(sample.labels), value=float(sample.value))
        for sample in samples
        # JSON has no word for the others, and no panel a place.
        if not sample.name.endswith(_NOT_OF_THE_MACHINE) and abs(float(sample.value)) < float("inf")
    ]
    return rows[:MAX_ROWS]


async def run_health(settings: Settings, gather: Gather, stop: asyncio.Event, *, every_s: float = EVERY_S) -> None:
    """Write a picture every so often until `stop` is set.

    Args:
        settings: The store and the data folder.
        gather: As above.
        stop: Set it to end this. An insert that runs is left to itself.
        every_s: Between two pictures.
    """
    writer = HealthWriter(settings.store, settings.run_dir / FILE_NAME)
    # Not one of the executor's threads: those are waited for at the end.
    threading.Thread(target=writer.run, name="health", daemon=True).start()
    try:
        while not stop.is_set():
            try:
                writer.offer(await gather())
            except Exception as error:  # noqa: BLE001 - a mistake in a figure must not end the recorder
                _LOG.warning("the state of this machine cannot be gathered", error=brief(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)
    finally:
        writer.end()


class HealthWriter:
    """The blocking work: one picture at a time.

    Args:
        store: Where to.
        instance_file: Holds the id of the data folder.
        now_s: The wall clock, Unix time in seconds.
    """

    def __init__(self, store: StoreSettings, instance_file: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._store = store
        self._instance_file = instance_file
        self._now_s = now_s
        self._waiting: queue.Queue[Tell | None] = queue.Queue(1)
        self._client: Client | None = None
        self._said = ""

    def offer(self, tell: Tell) -> None:
        """Have it written; left out while the one before still waits."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(tell)

    def end(self) -> None:
        """Have `run` return when it has done what it is doing."""
        with contextlib.suppress(queue.Empty):
            self._waiting.get_nowait()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)

    def run(self) -> None:
        """Until `end`."""
        while (tell := self._waiting.get()) is not None:
            self.write(tell)
        self._close()

    def write(self, tell: Tell) -> bool:
        """Write a picture; whether the store has it. Raises nothing: a new kind of trouble is told once in the log."""
        try:
            self._insert(tell())
        except (ClickHouseError, OSError) as error:
            said = brief(error)
        except Exception as error:  # noqa: BLE001 - a mistake in here must not end the pictures for good
            said = brief(error)
        else:
            self._said = ""
            return True
        self._close()
        if said != self._said:
            _LOG.warning("the state of this machine cannot be written to the store", error=said)
        self._said = said
        return False

    def _insert(self, families: Iterable[Metric]) -> None:
        rows = health_rows(families, at_s=int(self._now_s()), instance=instance_id(self._instance_file))
        if not rows:
            return
        if self._client is None:
            self._client = connect(self._store, database=self._store.database, answer_timeout_s=_ANSWER_TIMEOUT_S)
        token = f"health/{rows[0].instance}/{rows[0].at}"
        self._client.raw_insert(
            "health",
            insert_block=b"\n".join(map(msgspec.json.encode, rows)),
            fmt="JSONEachRow",
            settings={**INSERT_SETTINGS, "insert_deduplication_token": token},
        )

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

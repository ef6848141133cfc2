"""A real worker on a free port, with a journal that keeps its records in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from policies.compiled import CompiledPolicies, to_json
from policies.ledger.late_books import LateBooks
from policies.ledger.leases import LeasedLedger
from policies.ledger.sqlite_books import SqliteBooks
from proxy.core.record import CallRecord, OpenRecord
from proxy.policy_state import policies_file
from proxy.settings import Listen, ProviderSettings, Settings, StoreSettings
from proxy.worker import run_worker


class MemoryJournal:
    """Implements `proxy.handler.Journal`."""

    def __init__(self) -> None:
        self.opened: list[OpenRecord] = []
        self.closed: list[CallRecord] = []
        self.losses: list[str] = []
        self.full = ""
        self.refusing = False
        self._changed = asyncio.Event()

    def open_call(self, record: OpenRecord) -> bool:
        if self.full:
            return False
        self.opened.append(record)
        return True

    def close_call(self, record: CallRecord) -> None:
        self.closed.append(record)
        self._changed.set()

    def lose(self, reason: str) -> None:
        self.losses.append(reason)

    async def calls(self, count: int) -> list[CallRecord]:
        """The records, once there are `count` of them."""
        async with asyncio.timeout(10):
            while len(self.closed) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.closed


class RunningWorker:
    """Where it listens, and what it recorded."""

    def __init__(self, port: int, journal: MemoryJournal) -> None:
        self.port = port
        self.journal = journal

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)

    async def exchange(self, request: bytes) -> bytes:
        """Send bytes, give back everything until the proxy closes; ask for `Connection: close` in the request."""
        reader, writer = await self.connect()
        writer.write(request)
        async with asyncio.timeout(20):
            answer = await reader.read(-1)
        writer.close()
        return answer


def ledger_of(settings: Settings) -> Callable[[], LeasedLedger]:
    """What makes the ledger of a worker that is alone."""
    books = LateBooks(lambda: SqliteBooks(settings.data_dir / "ledger.sqlite"))
    return lambda: LeasedLedger(books, "worker-0")


@asynccontextmanager
async def running_worker(
    *providers: ProviderSettings,
    policies: CompiledPolicies | None = None,
    data_dir: Path = Path("/nonexistent"),
    **more: object,
) -> AsyncIterator[RunningWorker]:
    """A worker for these providers under these policies; `more` are fields of `Settings`."""
    settings = Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="", password=""),
        data_dir=data_dir,
        workers=1,
        providers=providers,
        shutdown_grace_s=0.2,
        **more,  # type: ignore[arg-type]
    )
    if policies is not None:
        settings.run_dir.mkdir(parents=True, exist_ok=True)
        policies_file(settings).write_bytes(to_json(policies))
    journal = MemoryJournal()
    stop = asyncio.Event()
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(run_worker(settings, journal, stop, ready.set_result, ledger_of(settings)))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield RunningWorker(ready.result(), journal)
    finally:
        stop.set()
        await task

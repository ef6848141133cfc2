"""The store as its HTTP interface sees it: places to work in, sessions, and statements known by their query ids."""

import asyncio
import contextlib
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from exporters.store import snapshots
from exporters.store.engine import Engine, kill_statement
from exporters.store.errors import QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, READONLY, StoreError
from exporters.store.guard import make_guard
from exporters.store.sessions import Sessions, SessionWish
from exporters.store.slots import Slots
from exporters.store.snapshots import Snapshot
from exporters.store.users import User
from exporters.store.work import Place, Terms, Work

_INSERTS = 4
"""Inserts have places of their own: a wall of dashboards must not keep the recorder from its three seconds."""
_WAITING = 200
_WAIT_S = 30.0
_SWEEP_S = 5.0
_KILL = re.compile(rb"\s*KILL\s+QUERY\s+WHERE\s+query_id\s*=\s*'([^'\\]*)'\s*(SYNC|ASYNC)?[\s;]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who asks, and under which name."""

    user: User
    query_id: str
    session: SessionWish | None
    inserts: bool


class Store:
    """One store over one open engine. Use: `start`, then `work` for every statement, at last `close`."""

    def __init__(self, engine: Engine, scratch_dir: Path, max_queries: int, snapshots_dir: Path) -> None:
        """`max_queries` statements work at once; as many inserts as there are places for come on top."""
        self.scratch_dir = scratch_dir
        self._snapshots_dir = snapshots_dir
        self._engine = engine
        max_queries = max(1, max_queries)
        self._queries = Slots(max_queries, _WAITING, _WAIT_S)
        self._inserts = Slots(_INSERTS, _WAITING, _WAIT_S)
        places = max_queries + _INSERTS
        self._calls = ThreadPoolExecutor(places, thread_name_prefix="engine")
        self._helps = ThreadPoolExecutor(places + 4, thread_name_prefix="help")
        self._sessions = Sessions(asyncio.get_running_loop().time)
        self._running: dict[str, str] = {}
        self._endings: set[asyncio.Task[Any]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._place: Place | None = None
        self._log = structlog.get_logger()

    @property
    def version(self) -> str:
        """The engine's version."""
        return self._engine.version

    @property
    def helpers(self) -> ThreadPoolExecutor:
        """Threads for short work that would hold the event loop up."""
        return self._helps

    async def start(self) -> None:
        """Learn what the engine can do, and remove what nobody needs any more. Raises StoreError."""
        connection = self._engine.connect()
        loop = asyncio.get_running_loop()
        guard = await loop.run_in_executor(self._calls, make_guard, connection)
        await loop.run_in_executor(self._calls, snapshots.drop_all, connection, self._snapshots_dir)
        connection.close()
        self._place = Place(self._engine, guard, self._calls, self._helps, self.scratch_dir)
        self._sweeper = asyncio.create_task(self._sweep())

    @contextlib.asynccontextmanager
    async def work(self, ticket: Ticket, terms: Terms) -> AsyncIterator[Work]:
        """A place for one statement. Raises StoreError: no place, the session is in use, the query id is taken."""
        if self._place is None:
            raise RuntimeError("start comes first")
        if ticket.query_id in self._running:
            detail = f"Query with id = {ticket.query_id} is already running"
            raise StoreError(QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, detail)
        tag = uuid.uuid4().hex
        self._running[ticket.query_id] = tag
        slots = self._inserts if ticket.inserts else self._queries
        try:
            session = self._sessions.acquire(ticket.user, ticket.session) if ticket.session is not None else None
        except StoreError:
            del self._running[ticket.query_id]
            raise
        try:
            await slots.acquire()
        except BaseException:  # also when the client leaves the queue
            del self._running[ticket.query_id]
            if session is not None:
                self._sessions.release(session)
            raise
        work = Work(self._place, replace(terms, tag=tag), session)
        try:
            yield work
        finally:
            ending = asyncio.create_task(self._end(work, ticket, slots))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            await asyncio.shield(ending)

    async def _end(self, work: Work, ticket: Ticket, slots: Slots) -> None:
        kept = False
        try:
            kept = await work.close()
        finally:
            if work.session is not None:
                self._sessions.release(work.session)
                if not kept:
                    self._log.warning("store session lost", session=work.session.key[1])
                    self._sessions.drop(work.session)
            slots.release()
            del self._running[ticket.query_id]

    async def snapshot(self, user: User, source: str, name: str) -> Snapshot:
        """Take a snapshot of a database; inserts wait meanwhile, for milliseconds. Raises StoreError, OSError.

        A caller who leaves does not end it half done.
        """
        if user.reads_only:
            raise StoreError(READONLY, "A snapshot is for the user who may write")
        taking = asyncio.create_task(self._snapshot(source, name))
        self._endings.add(taking)
        taking.add_done_callback(self._endings.discard)
        return await asyncio.shield(taking)

    async def _snapshot(self, source: str, name: str) -> Snapshot:
        database, logs_dir = snapshots.snapshot_database(name), self._snapshots_dir / name
        loop = asyncio.get_running_loop()
        connection = self._engine.connect()
        try:
            await loop.run_in_executor(self._helps, snapshots.prepare, connection, database, logs_dir)
            async with self._inserts.alone():
                return await loop.run_in_executor(self._helps, snapshots.take, connection, source, database, logs_dir)
        finally:
            connection.close()

    def with_known_ids(self, sql: bytes) -> bytes:
        """`KILL QUERY WHERE query_id = '...'` in the engine's terms: it does not know our clients' query ids."""
        match = _KILL.fullmatch(sql)
        tag = self._running.get(match[1].decode("utf-8", "replace")) if match else None
        if match is None or tag is None:
            return sql
        return kill_statement(tag, match[2] or b"ASYNC")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._sessions.sweep()

    async def close(self) -> None:
        """Wait for what is ending, then close the engine. No new work may come."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._endings:
            await asyncio.wait(self._endings)
        self._sessions.close()
        self._calls.shutdown(wait=True)
        self._helps.shutdown(wait=True)
        self._engine.close()
        shutil.rmtree(self.scratch_dir, ignore_errors=True)

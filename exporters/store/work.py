"""One statement at work on the engine, from its connection to its last figure.

Whatever ends it (done, failed, client gone, shutdown), the connection is given up only when the engine has let go of
it.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from exporters.store import engine as eng
from exporters.store import externals
from exporters.store.engine import Connection, Engine, Result, Verdict
from exporters.store.errors import BAD_ARGUMENTS, READONLY, StoreError
from exporters.store.externals import External
from exporters.store.guard import Guard
from exporters.store.pipes import PipeReader, PipeWriter
from exporters.store.sessions import Session
from exporters.store.statement import Insert, Shape, from_pipe, into_pipe, quoted

_KILL_FIRST_PAUSE_S = 0.02
_KILL_MOST_PAUSE_S = 1.0
_CANNOT_BE_UNDONE = frozenset({"allow_ddl", "compatibility", "profile", "readonly"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """What the works of one store share."""

    engine: Engine
    guard: Guard
    calls: Executor
    """One thread per statement: a call holds it until the statement is done."""
    helps: Executor
    """Threads for what is short: waiting for a pipe to open, stopping a statement."""
    scratch_dir: Path
    """Where the pipes are."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a statement runs."""

    tag: str = ""
    """The store's own name for the statement; also the name of its pipe."""
    reads_only: bool = False
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    bind: Mapping[str, str] = field(default_factory=dict)
    externals: Sequence[External] = ()


class Work:
    """One statement. Use: `open`, then one of `command`, `start_reading` and `start_writing`, at last `close`."""

    def __init__(self, place: Place, terms: Terms, session: Session | None) -> None:
        """The session, if any, is busy with this work and with nothing else."""
        self._place = place
        self._terms = terms
        self.session = session
        self._connection: Connection | None = None
        self._applied: dict[str, bytes] = {}
        self._busy: asyncio.Future[Any] | None = None
        self._stoppable = False
        self._reader: PipeReader | None = None
        self._writer: PipeWriter | None = None

    async def open(self, sql: bytes, form: Shape) -> Verdict:
        """Get a connection, set it up and have the engine judge the statement. Raises StoreError."""
        return await self._engine_call(lambda: self._open(sql, form))

    async def command(self, sql: bytes, form: str, *, stoppable: bool) -> Result:
        """Run a statement whose result is held in memory. Raises StoreError."""
        self._stoppable = stoppable
        connection, bind = self._open_connection, self._terms.bind

        def call() -> Result:
            self._check(sql)
            return eng.run(connection, sql, form, bind)

        return await self._engine_call(call)

    async def start_reading(self, sql: bytes, form: Shape, default_format: str) -> str | None:
        """Start a query whose result comes by `read`. Returns its format, or None if it has to be a `command`."""
        reader = self._reader = PipeReader(self._place.scratch_dir / self._terms.tag)
        for one in (form, form.without_format(sql)):
            piped = into_pipe(sql, one, str(reader.path), default_format)
            if await self._engine_call(functools.partial(self._is_piped, piped)):
                self._stoppable = True
                self._start(piped).add_done_callback(lambda _: reader.no_more_writers())
                return one.format or default_format
        reader.close()
        return None

    async def read(self) -> bytes:
        """The next piece of the result; b"" at the end. Then `finish` tells whether it is whole."""
        return await self._reader.read() if self._reader is not None else b""

    async def start_writing(self, sql: bytes, insert: Insert) -> None:
        """Start an insert and wait until the engine wants its data, or has failed: then `finish` says why."""
        writer = self._writer = PipeWriter(self._place.scratch_dir / self._terms.tag)
        self._stoppable = True
        await writer.open(self._start(from_pipe(sql, insert, str(writer.path))), self._place.helps)

    async def write(self, data: bytes) -> bool:
        """Hand data over. Returns False when the engine has ended the insert; `finish` says why."""
        return self._writer is not None and await self._writer.write(data)

    async def finish(self) -> Result:
        """Wait for the end: after the last `read`, or after the last `write`, which it seals. Raises StoreError."""
        if self._writer is not None:
            # From here on the data are whole: a client that leaves now does not undo them.
            self._stoppable = False
            self._writer.close()
        if self._busy is None:
            raise RuntimeError("finish comes after start")
        result = await asyncio.shield(self._busy)
        if not isinstance(result, Result):
            raise TypeError("finish comes after start")
        return result

    async def close(self) -> bool:
        """Stop what still runs and give everything back. Returns False if the session is lost with its connection.

        Must not be cancelled: the engine may still be using what would be taken from it.
        """
        busy = self._busy
        if self._reader is not None:
            self._reader.close()
        if busy is not None:
            if self._stoppable:
                await self._stop(busy)
            await asyncio.wait({busy})
            busy.exception()  # looked at: nobody waits for it any more
        if self._reader is not None:
            # An engine that came too late for the pipe has made a file in its place.
            self._reader.close()
        if self._writer is not None:
            await self._writer.settle()
            self._writer.close()
        return await self._engine_call(self._give_back)

    async def _stop(self, busy: asyncio.Future[Any]) -> None:
        """Stop a statement. The data of an insert must not end before it is stopped: their end would complete it."""
        pause_s = _KILL_FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while not busy.done():
            found = await loop.run_in_executor(self._place.helps, self._place.engine.kill, self._terms.tag)
            if found and self._writer is not None and self._writer.can_settle:
                await self._writer.settle()
                self._writer.close()
            await asyncio.wait({busy}, timeout=pause_s)
            pause_s = min(_KILL_MOST_PAUSE_S, pause_s * 2)

    def _is_piped(self, piped: bytes) -> bool:
        """Whether the engine finds the clause where it was put: INTO OUTFILE makes any query a CONTROL one."""
        if eng.judge(self._open_connection, piped) != Verdict("CONTROL", 1):
            return False
        self._check(piped)
        return True

    def _check(self, sql: bytes) -> None:
        """For a reader, exactly the text that is going to run."""
        if self._terms.reads_only:
            self._place.guard.check(self._open_connection, sql)

    def _open(self, sql: bytes, form: Shape) -> Verdict:
        connection = self._connect(form)
        # SET and USE only leave something behind, and what a request brought along must not be mixed into that.
        if form.first not in {"SET", "USE"}:
            if self._terms.database:
                eng.use(connection, self._terms.database)
            wanted = {name: quoted(value) for name, value in self._terms.settings.items()}
            self._applied = eng.LIKE_A_SERVER | wanted
            self._applied[eng.TAG_SETTING] = quoted(self._terms.tag)
            eng.apply(connection, self._applied)
        for external in self._terms.externals:
            externals.load(connection, external)
        verdict = eng.judge(connection, sql)
        if self._terms.reads_only:
            self._admit_reader(connection, sql, verdict)
        return verdict

    def _connect(self, form: Shape) -> Connection:
        session = self.session
        if session is None or self._terms.reads_only:
            self._connection = self._place.engine.connect()
        elif session.connection is not None:
            forbidden = _CANNOT_BE_UNDONE.intersection(self._terms.settings)
            if forbidden:
                detail = f"'{min(forbidden)}' cannot be undone after one query: SET it, or leave the session out"
                raise StoreError(BAD_ARGUMENTS, detail)
            self._connection = session.connection
        else:
            self._connection = self._place.engine.connect()
            if form.changes_session:
                session.connection = self._connection
                _remember(session, self._connection)
        return self._connection

    def _admit_reader(self, connection: Connection, sql: bytes, verdict: Verdict) -> None:
        if verdict.statements == 0:
            # Not run: the parser alone says what is wrong with it.
            eng.run(connection, b"SELECT formatQuery(" + quoted(sql.decode("utf-8", "surrogateescape")) + b")")
        if verdict != Verdict("READ_ONLY", 1):
            raise StoreError(READONLY, "Cannot execute query in readonly mode")
        eng.apply(connection, {"readonly": b"1"})

    def _give_back(self) -> bool:
        connection, session = self._connection, self.session
        if connection is None:
            return True
        if session is None or session.connection is not connection:
            connection.close()
            return True
        try:
            for external in self._terms.externals:
                externals.drop(connection, external)
            kept = session.kept_settings
            eng.apply(connection, {name: kept.get(name, b"DEFAULT") for name in self._applied})
            if self._applied:
                eng.use(connection, session.database)
            else:
                _remember(session, connection)
        except StoreError:
            return False
        return True

    def _start(self, sql: bytes) -> asyncio.Future[Result]:
        connection, bind = self._open_connection, self._terms.bind
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._place.calls, lambda: eng.run(connection, sql, "TabSeparated", bind))
        self._busy = call
        return call

    async def _engine_call(self, call: Callable[[], T]) -> T:
        """Run a call in a thread. When the caller is cancelled the call goes on, and `close` waits for it."""
        future = asyncio.get_running_loop().run_in_executor(self._place.calls, call)
        self._busy = future
        return await asyncio.shield(future)

    @property
    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("open comes first")
        return self._connection


def _remember(session: Session, connection: Connection) -> None:
    """Note what the session's connection has become, to go back to it after every request."""
    changed = b"SELECT name, value FROM system.settings WHERE changed AND name != 'database'"
    lines = eng.read_text(connection, changed, form="TSV").split("\n")
    pairs = (line.split("\t", 1) for line in lines if line)
    # A value in TSV is escaped like the inside of a literal.
    session.kept_settings = {name: f"'{value}'".encode("utf-8", "surrogateescape") for name, value in pairs}
    session.database = eng.read_text(connection, b"SELECT currentDatabase()")

"""The ClickHouse HTTP interface: one request, one statement, one answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
from aiohttp import web

from exporters.store import answering
from exporters.store.answering import Manner
from exporters.store.asking import MOST_QUERY_BYTES, Asking, read_asking, url_params
from exporters.store.codecs import decoder
from exporters.store.engine import Figures, Result
from exporters.store.errors import (
    INTO_OUTFILE_NOT_ALLOWED,
    NOT_IMPLEMENTED,
    QUERY_IS_TOO_LARGE,
    READONLY,
    SOCKET_TIMEOUT,
    SYNTAX_ERROR,
    UNKNOWN_EXCEPTION,
    UNKNOWN_TYPE_OF_QUERY,
    StoreError,
)
from exporters.store.hello import HELLO, hello_block
from exporters.store.origin import refusal
from exporters.store.snapshots import SNAPSHOT_PATH
from exporters.store.statement import Insert, Shape, insert_data, selects_from_data, shape
from exporters.store.store import Store, Ticket
from exporters.store.users import Users
from exporters.store.work import Terms

RECEIVE_TIMEOUT_S = 300.0
"""How long a client may take to send the next piece of its body."""
_MOST_HEAD_BYTES = 1024 * 1024
"""How long an INSERT may be before its data."""
_READ_BYTES = 256 * 1024
_LONG_BYTES = 16 * 1024
"""From this length on, looking a statement over would hold up everybody else."""
_OK = "Ok.\n"
_OPENING = b"SELECT version(), timezone()"
"""What clickhouse-connect asks first, before it names a session."""
_SESSION_WORDS = frozenset({"SET", "USE"})


class Interface:
    """Answers requests on a store."""

    def __init__(self, store: Store, users: Users, own_host: str) -> None:
        """`own_host` is the name in the store's own URL."""
        self._store = store
        self._users = users
        self._own_host = own_host
        self._opened_on: set[asyncio.Transport] = set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request."""
        reason = refusal(request.headers, self._own_host)
        if reason is not None:
            return web.Response(status=403, text=f"Taximeter: {reason}.\n")
        if request.path in {"/ping", "/replicas_status"}:
            return web.Response(text=_OK)
        if request.path == SNAPSHOT_PATH and request.method == "POST":
            return await self._snapshot(request)
        if request.path != "/":
            return web.Response(status=404, text=f"There is no handle {request.path}\n")
        if request.method not in {"GET", "POST"}:
            status = 200 if request.method == "HEAD" else 405
            return web.Response(status=status, headers={"Allow": "GET, POST, HEAD"})
        return await self._query(request)

    async def _query(self, request: web.BaseRequest) -> web.StreamResponse:
        params = url_params(request.raw_path)
        if request.method == "GET" and "query" not in params:
            return web.Response(text=_OK)
        query_id = params.get("query_id", "")
        asking: Asking | None = None
        with contextlib.ExitStack() as files:
            try:
                asking = await read_asking(request, self._users, self._store.scratch_dir, files)
                query_id = asking.query_id
                return await self._run(request, asking)
            except StoreError as error:
                return answering.failure(error, query_id, self._store.version)

    async def _snapshot(self, request: web.BaseRequest) -> web.StreamResponse:
        """`POST /snapshot?database=...&name=...`, by the user who may write: our own word, no server has it."""
        params = url_params(request.raw_path)
        try:
            user = self._users.recognise(request.headers, params)
            taken = await self._store.snapshot(user, params.get("database", ""), params.get("name", ""))
        except StoreError as error:
            return answering.failure(error, "", self._store.version)
        except OSError as error:
            failed = StoreError(UNKNOWN_EXCEPTION, f"The snapshot failed: {error.strerror or error}")
            return answering.failure(failed, "", self._store.version)
        return web.Response(body=msgspec.json.encode(taken), content_type="application/json")

    async def _run(self, request: web.BaseRequest, asking: Asking) -> web.StreamResponse:
        body = _body(request) if not asking.is_form else _nothing()
        text, ended = asking.text + b"\n" if asking.text else b"", False
        while (found := insert_data(text, complete=ended)) == "more":
            if len(text) > _MOST_HEAD_BYTES:
                raise StoreError(
                    QUERY_IS_TOO_LARGE, f"The INSERT is larger than {_MOST_HEAD_BYTES} bytes without its data"
                )
            piece = await anext(body, b"")
            ended = not piece
            text += piece
        if isinstance(found, Insert):
            return await self._insert(request, asking, found, text, body)
        parts, size = [text], len(text)
        async for piece in body:
            parts.append(piece)
            size += len(piece)
            if size > MOST_QUERY_BYTES:
                raise StoreError(QUERY_IS_TOO_LARGE, f"The query is larger than {MOST_QUERY_BYTES} bytes")
        return await self._statement(request, asking, b"".join(parts))

    async def _insert(
        self, request: web.BaseRequest, asking: Asking, insert: Insert, text: bytes, body: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        if request.method == "GET":
            raise _get_only_reads()
        head, rest = text[: insert.data_at], text[insert.data_at :]
        async with self._store.work(self._ticket(request, asking, inserts=True), _terms(asking)) as work:
            await work.open(head, shape(head))
            await work.start_writing(head, insert)
            taken = await work.write(rest)
            while taken and (piece := await anext(body, b"")):
                taken = await work.write(piece)
            figures = (await work.finish()).figures
        # The engine calls the rows of an insert its result; in a server's summary they are what it read.
        read = figures._replace(read_rows=figures.result_rows, read_bytes=figures.result_bytes)
        return answering.whole(self._manner(asking), None, Result(b"", read))

    async def _statement(self, request: web.BaseRequest, asking: Asking, sql: bytes) -> web.StreamResponse:
        form = shape(sql) if len(sql) < _LONG_BYTES else await asyncio.to_thread(shape, sql)
        if not form.first and not sql.strip():
            raise StoreError(SYNTAX_ERROR, "Empty query")
        if form.has_file_clause:
            raise _files_are_the_clients_own(form)
        if form.first == "INSERT" and selects_from_data(sql):
            # The embedded engine would take the statement, leave the data unread and report success.
            raise StoreError(NOT_IMPLEMENTED, "INSERT ... SELECT FROM input() is not supported by the embedded store")
        manner, sql = self._manner(asking), self._store.with_known_ids(sql)
        if sql.strip() == HELLO and asking.protocol_version and asking.default_format == "Native":
            block = hello_block(asking.protocol_version, self._store.version)
            return answering.whole(manner, "Native", Result(block, Figures(result_rows=1)))
        if sql == _OPENING and request.transport is not None:
            self._opened_on = {one for one in self._opened_on if not one.is_closing()} | {request.transport}
        ticket = self._ticket(request, asking, inserts=form.first == "INSERT")
        async with self._store.work(ticket, _terms(asking)) as work:
            verdict = await work.open(sql, form)
            if verdict.statements > 1:
                raise StoreError(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
            reads = verdict.kind == "READ_ONLY"
            if request.method == "GET" and verdict.statements and not reads and form.first not in _SESSION_WORDS:
                raise _get_only_reads()
            if reads:
                piped = await work.start_reading(sql, form, asking.default_format)
                if piped is not None:
                    return await answering.send(request, work, piped, manner)
            result = await work.command(sql, asking.default_format, stoppable=reads)
        return answering.whole(manner, _result_format(form, asking, result, reads=reads), result)

    def _ticket(self, request: web.BaseRequest, asking: Asking, *, inserts: bool) -> Ticket:
        session, link = asking.session, request.transport
        if session is not None:
            session = replace(session, link=link, opens_client=link in self._opened_on)
        return Ticket(asking.user, asking.query_id, session, inserts=inserts)

    def _manner(self, asking: Asking) -> Manner:
        return Manner(
            query_id=asking.query_id,
            version=self._store.version,
            coding=asking.coding,
            coding_level=asking.coding_level,
            waits_for_end=asking.waits_for_end,
            held_bytes=asking.held_bytes,
            scratch_dir=self._store.scratch_dir,
            threads=self._store.helpers,
        )


async def _body(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """The body, decoded, in pieces. Raises StoreError; ConnectionError when it breaks off."""
    undo = decoder(request.headers.get("Content-Encoding", ""))
    try:
        while True:
            async with asyncio.timeout(RECEIVE_TIMEOUT_S):
                data = await request.content.read(_READ_BYTES)
            if not data:
                break
            for piece in undo.feed(data):
                yield piece
    except TimeoutError:
        raise StoreError(SOCKET_TIMEOUT, "Timeout exceeded while reading the body of the request") from None
    undo.finish()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _terms(asking: Asking) -> Terms:
    return Terms(
        reads_only=asking.user.reads_only,
        database=asking.database,
        settings=asking.settings,
        bind=asking.bind,
        externals=asking.externals,
    )


def _result_format(form: Shape, asking: Asking, result: Result, *, reads: bool) -> str | None:
    return form.format or asking.default_format if reads or result.body else None


def _get_only_reads() -> StoreError:
    detail = "Cannot execute query in readonly mode. The HTTP method GET implies readonly: use POST to change anything"
    return StoreError(READONLY, detail)


def _files_are_the_clients_own(form: Shape) -> StoreError:
    if form.first == "INSERT":
        return StoreError(UNKNOWN_TYPE_OF_QUERY, "FROM INFILE is for clients that read the file themselves")
    return StoreError(INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed")

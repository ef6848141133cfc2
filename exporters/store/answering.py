"""Answers of the HTTP interface: a result held back until its beginning is known to be good, then sent as it comes.

A failure before the first byte has a status of its own. Later it can only be written into the stream, behind a tag that
the client knows from a header, and the connection breaks off: no client can take half a result for a whole one.
"""

import asyncio
import json
import secrets
import string
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from aiohttp import web

from exporters.store.codecs import Encoder, encoder
from exporters.store.engine import Figures, Result
from exporters.store.errors import SOCKET_TIMEOUT, TOO_MANY_ROWS_OR_BYTES, StoreError, stream_block

SEND_TIMEOUT_S = 300.0
"""How long a client may take to read the next piece."""
_SPOOL_BYTES = 8 * 1024 * 1024
"""A result that is waited for to its end lies in memory up to this size, then in a file."""
_MOST_SPOOL_BYTES = 4 * 1024 * 1024 * 1024
"""A larger one is refused: it would take the disk that the inserts need. It can be had as a stream."""
_PIECE_BYTES = 256 * 1024
_HEAVY_BYTES = 32 * 1024
"""From this size on packing is for a thread: it would hold up everybody else."""
_TAG_SIGNS = string.ascii_lowercase
_CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "XML": "application/xml; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
}


class Source(Protocol):
    """A query under way: `exporters.store.work.Work`."""

    async def read(self) -> bytes:
        """The next piece; b"" at the end."""

    async def finish(self) -> Result:
        """The figures. Raises StoreError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How one answer is to be given."""

    query_id: str
    version: str
    coding: str | None
    coding_level: int
    waits_for_end: bool
    held_bytes: int
    scratch_dir: Path
    threads: Executor


def head(manner: Manner, form: str | None, figures: Figures | None) -> dict[str, str]:
    """The headers that tell what the body cannot."""
    headers = {
        "X-ClickHouse-Server-Display-Name": "taximeter",
        "X-ClickHouse-Query-Id": manner.query_id,
        "X-ClickHouse-Timezone": "UTC",
        "Content-Type": _CONTENT_TYPES.get(form or "", "text/plain; charset=UTF-8"),
    }
    if form is not None:
        headers["X-ClickHouse-Format"] = form
    if figures is not None:
        headers["X-ClickHouse-Summary"] = _summary(figures)
    return headers


def whole(manner: Manner, form: str | None, result: Result) -> web.Response:
    """The answer to a statement whose result is known whole."""
    headers, body = head(manner, form, result.figures), result.body
    if manner.coding is not None and body:
        packer = encoder(manner.coding, manner.coding_level)
        headers["Content-Encoding"] = manner.coding
        body = packer.feed(body) + packer.finish()
    return web.Response(body=body, headers=headers)


def failure(error: StoreError, query_id: str, version: str) -> web.Response:
    """The answer to a statement that failed before anything of its result was sent."""
    headers = {
        "X-ClickHouse-Exception-Code": str(error.code),
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Server-Display-Name": "taximeter",
        "X-ClickHouse-Timezone": "UTC",
        "Content-Type": "text/plain; charset=UTF-8",
    }
    body = error.text(version).encode("utf-8", "replace")
    return web.Response(status=error.status, body=body, headers=headers)


async def send(request: web.BaseRequest, source: Source, form: str, manner: Manner) -> web.StreamResponse:
    """Send the result of a query. Raises StoreError only while the client has not been sent anything."""
    if manner.waits_for_end:
        return await _send_at_end(request, source, form, manner)
    held: list[bytes] = []
    size = 0
    while size <= manner.held_bytes:
        piece = await source.read()
        if not piece:
            return whole(manner, form, Result(b"".join(held), (await source.finish()).figures))
        held.append(piece)
        size += len(piece)
    tag = "".join(secrets.choice(_TAG_SIGNS) for _ in range(16))
    out = await _Out.begin(request, head(manner, form, None) | {"X-ClickHouse-Exception-Tag": tag}, manner)
    await out.write(b"".join(held))
    held.clear()
    try:
        while piece := await source.read():
            await out.write(piece)
        await source.finish()
    except StoreError as error:
        return await out.break_off(stream_block(error, tag, manner.version))
    return await out.end()


async def _send_at_end(request: web.BaseRequest, source: Source, form: str, manner: Manner) -> web.StreamResponse:
    loop = asyncio.get_running_loop()
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(manner.scratch_dir)) as spool:
        size = 0
        while piece := await source.read():
            size += len(piece)
            if size > _MOST_SPOOL_BYTES:
                detail = f"The result is larger than {_MOST_SPOOL_BYTES} bytes: ask without wait_end_of_query"
                raise StoreError(TOO_MANY_ROWS_OR_BYTES, detail)
            if size > _SPOOL_BYTES:
                await loop.run_in_executor(manner.threads, spool.write, piece)
            else:
                spool.write(piece)
        figures = (await source.finish()).figures
        spool.seek(0)
        if size <= _HEAVY_BYTES:
            return whole(manner, form, Result(spool.read(), figures))
        headers = head(manner, form, figures)
        out = await _Out.begin(request, headers, manner, size if manner.coding is None else None)
        async for piece in _pieces(spool, manner.threads):
            await out.write(piece)
        return await out.end()


async def _pieces(spool: IO[bytes], threads: Executor) -> AsyncIterator[bytes]:
    while piece := await asyncio.get_running_loop().run_in_executor(threads, spool.read, _PIECE_BYTES):
        yield piece


class _Out:
    """An answer under way, packed if the client asked for it."""

    def __init__(self, response: web.StreamResponse, packer: Encoder | None, threads: Executor) -> None:
        self._response = response
        self._packer = packer
        self._threads = threads

    @classmethod
    async def begin(
        cls, request: web.BaseRequest, headers: dict[str, str], manner: Manner, length: int | None = None
    ) -> "_Out":
        packer = encoder(manner.coding, manner.coding_level) if manner.coding is not None else None
        if manner.coding is not None:
            headers["Content-Encoding"] = manner.coding
        response = web.StreamResponse(headers=headers)
        response.content_length = length
        if length is None:
            response.enable_chunked_encoding()
        await response.prepare(request)
        return cls(response, packer, manner.threads)

    async def write(self, piece: bytes) -> None:
        if self._packer is None:
            await self._send(piece)
        elif len(piece) < _HEAVY_BYTES:
            await self._send(self._packer.feed(piece))
        else:
            packed = asyncio.get_running_loop().run_in_executor(self._threads, self._packer.feed, piece)
            await self._send(await packed)

    async def end(self) -> web.StreamResponse:
        if self._packer is not None:
            await self._send(self._packer.finish())
        await self._response.write_eof()
        return self._response

    async def break_off(self, block: bytes) -> web.StreamResponse:
        await self.write(block)
        if self._packer is not None:
            await self._send(self._packer.finish())
        # Without the last chunk: also a client that knows nothing of the block sees that the body is not whole.
        self._response.force_close()
        transport = self._response._req.transport if self._response._req is not None else None  # noqa: SLF001
        if transport is not None:
            transport.close()
        return self._response

    async def _send(self, data: bytes) -> None:
        if not data:
            return
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._response.write(data)
        except TimeoutError:
            raise ConnectionResetError(f"{SOCKET_TIMEOUT[1]}: the client does not read") from None


def _summary(figures: Figures) -> str:
    texts = {name: str(value) for name, value in figures._asdict().items()}
    return json.dumps(texts | {"total_rows_to_read": "0"}, separators=(",", ":"))

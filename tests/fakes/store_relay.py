"""Between a Taximeter and its store: it passes bytes on, or does what a network or a server in trouble does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

Mode = Literal["pass", "cut", "hang", "slow"]

_PIECE_BYTES = 64 * 1024


class StoreRelay:
    """`pass` bytes on; `cut` every connection; let them `hang` without an answer; or answer, but be `slow`."""

    def __init__(self, store_port: int, slow_s: float) -> None:
        self.port = 0
        self._store_port = store_port
        self._slow_s = slow_s
        self._mode: Mode = "pass"
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    def become(self, mode: Mode) -> None:
        """From now on; connections that are there are cut."""
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        mode, changed = self._mode, self._changed
        self._writers.add(writer)
        try:
            if mode in {"hang", "slow"}:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), None if mode == "hang" else self._slow_s)
            if mode in {"pass", "slow"} and not changed.is_set():
                await self._pass_on(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            from_store, to_store = await asyncio.open_connection("127.0.0.1", self._store_port)
            await asyncio.gather(_copy(reader, to_store), _copy(from_store, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_PIECE_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
    finally:
        writer.close()


@asynccontextmanager
async def store_relay(store_port: int, *, slow_s: float) -> AsyncIterator[StoreRelay]:
    """A relay that serves until the block ends."""
    relay = StoreRelay(store_port, slow_s)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.become("cut")

"""Named pipes between the event loop and the engine: constant memory, and a slow side holds the other one up.

Opening a pipe waits for the other side. For reading we need not wait: we open at once, with a writing end of our own
that stands in for the engine's until the engine is done. For writing a thread waits until the engine opens its end.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

CHUNK_BYTES = 256 * 1024
_PIPE_BYTES = 1024 * 1024
"""Asked of the system for a pipe; 64 KiB is the rule otherwise, which means more switches."""
_F_SETPIPE_SZ = 1031
"""Linux's number; Python's fcntl knows it by name on Linux only, other systems refuse it."""


class PipeReader:
    """The result of a query as it comes."""

    def __init__(self, path: Path) -> None:
        """Make the pipe at `path` and open it. Raises OSError."""
        os.mkfifo(path, 0o600)
        self.path = path
        self._read_end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._own_write_end = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        _widen(self._read_end)

    async def read(self) -> bytes:
        """The next piece, at most CHUNK_BYTES long; b"" once the writing ends are closed and all is read."""
        while True:
            try:
                return os.read(self._read_end, CHUNK_BYTES)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await _until(loop.add_reader, loop.remove_reader, self._read_end)

    def no_more_writers(self) -> None:
        """The engine is done: what is in the pipe is the rest."""
        self._own_write_end = _closed(self._own_write_end)

    def close(self) -> None:
        """Close and remove the pipe; a writer finds it broken. May be called again."""
        self.no_more_writers()
        self._read_end = _closed(self._read_end)
        self.path.unlink(missing_ok=True)


class PipeWriter:
    """The data of an insert on their way to the engine, which reads when it can."""

    def __init__(self, path: Path) -> None:
        """Make the pipe at `path`. Raises OSError."""
        os.mkfifo(path, 0o600)
        self.path = path
        self._opening: asyncio.Future[int] | None = None
        self._write_end = -1

    async def open(self, call: asyncio.Future[Any], threads: Executor) -> None:
        """Wait until the engine reads, or until its `call` has ended; then what is written goes nowhere."""
        loop = asyncio.get_running_loop()
        self._opening = loop.run_in_executor(threads, os.open, self.path, os.O_WRONLY)
        await asyncio.wait({call, self._opening}, return_when=asyncio.FIRST_COMPLETED)
        await self.settle()

    @property
    def can_settle(self) -> bool:
        """True unless the engine's end is still awaited."""
        return self._opening is None or self._opening.done()

    async def settle(self) -> None:
        """Have our end, also if the engine never opened its own. Only when either is the case; may be called again."""
        if self._opening is None:
            return
        stand_in = -1 if self._opening.done() else os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self._write_end = await asyncio.shield(self._opening)
        finally:
            _closed(stand_in)
        self._opening = None
        os.set_blocking(self._write_end, False)
        _widen(self._write_end)

    async def write(self, data: bytes) -> bool:
        """Write all of it. Returns False when the engine does not read any more."""
        rest = memoryview(data)
        loop = asyncio.get_running_loop()
        while rest:
            try:
                rest = rest[os.write(self._write_end, rest) :]
            except BlockingIOError:
                await _until(loop.add_writer, loop.remove_writer, self._write_end)
            except BrokenPipeError:
                return False
        return True

    def close(self) -> None:
        """The end of the data. May be called again."""
        self._write_end = _closed(self._write_end)
        self.path.unlink(missing_ok=True)


async def _until(add: Callable[..., None], remove: Callable[[int], object], end: int) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    add(end, tell)
    try:
        await ready
    finally:
        remove(end)


def _widen(end: int) -> None:
    with contextlib.suppress(OSError):  # the system gives no more; the size is a matter of speed only
        fcntl.fcntl(end, _F_SETPIPE_SZ, _PIPE_BYTES)


def _closed(end: int) -> int:
    if end >= 0:
        os.close(end)
    return -1

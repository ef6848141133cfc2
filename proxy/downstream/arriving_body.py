"""The body of a request whose head is known: it arrives in pieces, and nothing has to be parsed.

It is read like aiohttp's `StreamReader`, as far as a call reads one. It is small by its declared length, so that it
needs no way to stop the app from sending.
"""

import asyncio
from typing import Protocol


class Body(Protocol):
    """What a call asks of a request body; aiohttp's `StreamReader` is one."""

    def is_eof(self) -> bool:
        """Whether all of it is there, read or not."""

    def read_nowait(self, n: int = -1) -> bytes:
        """Everything that is there and not yet read."""

    async def readany(self) -> bytes:
        """The next bytes, as soon as there are any; b"" at the end."""

    def set_exception(self, exc: BaseException) -> None:
        """It will not be completed: whoever reads it hears why."""


class ArrivingBody:
    """A body of known length that the connection feeds."""

    __slots__ = ("_error", "_loop", "_pieces", "_waiter", "missing_bytes")

    def __init__(self, first: bytes, missing_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        self.missing_bytes = missing_bytes
        self._pieces = [first] if first else []
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None

    def feed(self, data: bytes) -> None:
        """The next bytes; never more than are missing."""
        self.missing_bytes -= len(data)
        self._pieces.append(data)
        self._wake()

    def is_eof(self) -> bool:
        """Whether all of it is there, read or not."""
        return not self.missing_bytes

    def read_nowait(self, n: int = -1) -> bytes:
        """Everything that is there and not yet read; `n` is for aiohttp's sake and has to be -1."""
        if n != -1:
            raise ValueError("an arriving body is read as it comes")
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    async def readany(self) -> bytes:
        """The next bytes, as soon as there are any; b"" at the end. Raises what `set_exception` was told."""
        while not self._pieces and self.missing_bytes and self._error is None:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._pieces:
            return self.read_nowait()
        if self._error is not None:
            raise self._error
        return b""

    def set_exception(self, exc: BaseException) -> None:
        """It will not be completed: whoever reads it hears why."""
        if self.missing_bytes and self._error is None:
            self._error = exc
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

"""Apps that call without end through a proxy that is killed under them, and remember what became of every call.

They are independent of the product: bare sockets, and no more HTTP than their answers need. Every call has a number of
its own; it is the session that the call is attributed to, and no number is ever sent twice.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

_RETRY_S = 0.02
_PATIENCE_S = 30.0


@dataclass
class Seen:
    """A call as its app saw it."""

    number: int
    streamed: bool
    call_id: str = ""
    """Empty until an answer began."""
    status: int = 0
    finished_at: float | None = None
    """Unix time of the proper end of its answer; None where that never came."""


@dataclass
class NumberedLoad:
    """The apps together."""

    url: Callable[[], str]
    calls: list[Seen] = field(default_factory=list)
    beats: int = 0
    """How often anything happened to any call: what a random instant is counted in."""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _stopping: bool = False

    @property
    def finished(self) -> list[Seen]:
        """Calls whose answer came to its proper end."""
        return [call for call in self.calls if call.finished_at is not None]

    @property
    def begun(self) -> list[Seen]:
        """Calls whose answer began and never ended."""
        return [call for call in self.calls if call.call_id and call.finished_at is None]

    async def app(self, *, streamed: bool) -> None:
        """One app: call after call on a connection that is kept as long as it lasts."""
        while not self._stopping:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._calls_on_a_connection(streamed=streamed)
            await asyncio.sleep(_RETRY_S)  # an app's own pause before it tries again: no test waits for it

    async def _calls_on_a_connection(self, *, streamed: bool) -> None:
        host, _, port = self.url().removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            while not self._stopping:
                seen = Seen(next(self._numbers), streamed)
                self.calls.append(seen)
                writer.write(_request(seen))
                self.beats += 1
                async with asyncio.timeout(_PATIENCE_S):
                    await self._answer(reader, seen)
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, seen: Seen) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        self.beats += 1
        seen.status = int(head.split(b" ", 2)[1])
        seen.call_id = _field(head, b"x-taximeter-call-id").decode()
        if length := _field(head, b"content-length"):
            await reader.readexactly(int(length))
        else:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
                self.beats += 1
            await reader.readexactly(2)
        seen.finished_at = time.time()
        self.beats += 1

    def stop(self) -> None:
        """Every app ends after the call that it is in."""
        self._stopping = True


def _request(seen: Seen) -> bytes:
    body = json.dumps({"model": "m", "stream": seen.streamed, "messages": []}).encode()
    return (
        b"POST /n/v1/chat/completions HTTP/1.1\r\nHost: proxy\r\nContent-Type: application/json\r\n"
        b"x-number: %d\r\nx-taximeter-session: %d\r\nContent-Length: %d\r\n\r\n%b"
        % (seen.number, seen.number, len(body), body)
    )


def _field(head: bytes, name: bytes) -> bytes:
    return head.partition(b"\r\n%b: " % name)[2].partition(b"\r\n")[0]


@asynccontextmanager
async def numbered_load(url: Callable[[], str], apps: int) -> AsyncIterator[NumberedLoad]:
    """So many apps with whole answers and as many with streams; at the end of the block their last calls are over."""
    load = NumberedLoad(url)
    tasks = [asyncio.create_task(load.app(streamed=streamed)) for streamed in (False, True) for _ in range(apps)]
    try:
        yield load
        load.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 2 * _PATIENCE_S)
    finally:
        for task in tasks:
            task.cancel()

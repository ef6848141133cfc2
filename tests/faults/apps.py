"""Apps that call without end through a proxy that is hurt under them, and remember what became of every call.

They are independent of the product: bare sockets, and no more HTTP than their answers need. Every call has a number of
its own; it is the session that the call is attributed to, and no number is ever sent twice.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.faults import provider
from tests.faults.provider import field as header

APPS = 12
_RETRY_S = 0.02
_PATIENCE_S = 30.0
_PLAYS = {
    provider.WHOLE: 8,
    provider.STREAM: 5,
    provider.SLOW: 1,
    provider.ERROR: 1,
    provider.BUSY: 1,
    provider.LEAVE: 1,
}
"""How often each is asked for, of so many together."""
_CHUNKS_BEFORE_LEAVING = 5
"""At most: the app leaves within the first of its stream."""


@dataclass
class Seen:
    """A call as its app saw it."""

    number: int
    play: str
    call_id: str = ""
    """Empty until an answer began."""
    status: int = 0
    over_at_s: float | None = None
    """Unix time of the proper end of its answer, or of the app's leaving; None where neither came."""
    left: bool = False
    refused: bool = False
    """Whether the proxy itself answered, with an error of its own."""

    @property
    def finished(self) -> bool:
        """Whether its answer came to its proper end."""
        return self.over_at_s is not None and not self.left and not self.refused

    @property
    def begun(self) -> bool:
        """Whether an answer began that never ended."""
        return bool(self.call_id) and self.over_at_s is None


@dataclass
class Load:
    """The apps together."""

    url: Callable[[], str]
    numbers: Iterator[int]
    dice: random.Random
    calls: list[Seen] = field(default_factory=list)
    beats: int = 0
    """How often anything happened to any call: what a random instant is counted in."""
    over: int = 0
    """Calls that ended, in whatever way their app took for an end."""
    answered: int = 0
    """Those of them that the proxy did not refuse."""
    _stopping: bool = False

    async def app(self) -> None:
        """One app: call after call on a connection that is kept as long as it lasts."""
        while not self._stopping:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._calls_on_a_connection()
            await asyncio.sleep(_RETRY_S)  # an app's own pause before it tries again: no test waits for it

    async def _calls_on_a_connection(self) -> None:
        host, _, port = self.url().removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            keeps = True
            while keeps and not self._stopping:
                (play,) = self.dice.choices(list(_PLAYS), list(_PLAYS.values()))
                seen = Seen(next(self.numbers), play)
                self.calls.append(seen)
                writer.write(_request(seen))
                self.beats += 1
                async with asyncio.timeout(_PATIENCE_S):
                    keeps = await self._answer(reader, seen)
                self.over += 1
                self.answered += not seen.refused
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, seen: Seen) -> bool:
        """Take an answer in; whether its connection can carry another."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        self.beats += 1
        seen.status = int(head.split(b" ", 2)[1])
        seen.call_id = header(head, b"x-taximeter-call-id").decode()
        if length := header(head, b"content-length"):
            body = await reader.readexactly(int(length))
            # The provider of these tests never says so.
            seen.refused = b"no answer to" not in body and seen.status >= 400
        elif not await self._stream(reader, seen):
            return False
        seen.over_at_s = time.time()
        self.beats += 1
        # Who is refused comes back after a pause.
        return header(head, b"connection") != b"close" and not seen.refused

    async def _stream(self, reader: asyncio.StreamReader, seen: Seen) -> bool:
        """Take a stream in; False when the app left it."""
        wanted = self.dice.randint(1, _CHUNKS_BEFORE_LEAVING) if seen.play == provider.LEAVE else -1
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
            self.beats += 1
            wanted -= 1
            if wanted == 0:
                seen.left, seen.over_at_s = True, time.time()
                return False
        await reader.readexactly(2)
        return True

    @property
    def stopped(self) -> bool:
        """Whether nobody calls any more."""
        return self._stopping

    def stop(self) -> None:
        """Every app ends after the call that it is in."""
        self._stopping = True


def _request(seen: Seen) -> bytes:
    streamed = seen.play in {provider.STREAM, provider.SLOW, provider.LEAVE}
    body = json.dumps({"model": "m", "stream": streamed, "messages": []}).encode()
    return (
        b"POST /n/v1/chat/completions HTTP/1.1\r\nHost: proxy\r\nContent-Type: application/json\r\n"
        b"x-number: %d\r\nx-play: %b\r\nx-taximeter-session: %d\r\nContent-Length: %d\r\n\r\n%b"
        % (seen.number, seen.play.encode(), seen.number, len(body), body)
    )


@asynccontextmanager
async def calling(load: Load) -> AsyncIterator[Load]:
    """`APPS` apps that call; at the end of the block their last calls are over."""
    tasks = [asyncio.create_task(load.app()) for _ in range(APPS)]
    try:
        yield load
        load.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 2 * _PATIENCE_S)
    finally:
        for task in tasks:
            task.cancel()

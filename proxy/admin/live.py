"""Live events for pages that are open: a bounded buffer for each, and a slow reader loses events, never our memory.

What is lost is told to the one who lost it, as an event of its own, before the next one that it gets. The stream is
Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

import asyncio
from collections import deque

import msgspec
from aiohttp import web

BUFFERED = 200
"""Events that wait for one reader."""
MAX_READERS = 32
_ALIVE_S = 15.0
"""How often a quiet stream says that it is there: proxies in between close what is silent for longer."""
_GATHER_S = 0.1
"""How long events are gathered before they are sent: a page draws them together."""
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}


class Reader:
    """What waits for one page."""

    def __init__(self, buffered: int = BUFFERED) -> None:
        self._waiting: deque[bytes] = deque(maxlen=buffered)
        self._there = asyncio.Event()
        self.lost = 0
        """Events that had no room since the last `take`."""

    def put(self, event: bytes) -> None:
        """Keep an event; the oldest one goes where there is no room."""
        if len(self._waiting) == self._waiting.maxlen:
            self.lost += 1
        self._waiting.append(event)
        self._there.set()

    async def wait(self, limit_s: float) -> bool:
        """Whether something is there within that time."""
        try:
            await asyncio.wait_for(self._there.wait(), limit_s)
        except TimeoutError:
            return False
        return True

    def take(self) -> bytes:
        """Everything that waits as the text of a stream, what was lost first; empty when there is nothing."""
        told = [_framed("lost", msgspec.json.encode({"count": self.lost}))] if self.lost else []
        told += (_framed("call", event) for event in self._waiting)
        self._waiting.clear()
        self._there.clear()
        self.lost = 0
        return b"".join(told)


class Live:
    """The pages that are open. On the event loop, but for `publish`.

    Args:
        loop: Whose pages they are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._readers: set[Reader] = set()

    @property
    def watched(self) -> bool:
        """Whether anybody looks; asked from any thread, so that nothing is made for nobody."""
        return bool(self._readers)

    def publish(self, events: list[bytes]) -> None:
        """Hand on events, each one JSON object; from any thread, and it never waits."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hand_out, events)

    def _hand_out(self, events: list[bytes]) -> None:
        for reader in self._readers:
            for event in events:
                reader.put(event)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """The handler of a page's stream; it ends with the page or with the server."""
        if len(self._readers) >= MAX_READERS:
            return web.Response(status=503, text="As many pages are open as may be.\n", headers={"Retry-After": "10"})
        response = web.StreamResponse(headers=_HEADERS)
        reader = Reader()
        self._readers.add(reader)
        try:
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n: there\n\n")
            while True:
                if await reader.wait(_ALIVE_S):
                    await asyncio.sleep(_GATHER_S)
                    await response.write(reader.take())
                else:
                    await response.write(b": there\n\n")
        except ConnectionError:
            return response  # the page is gone
        finally:
            self._readers.discard(reader)


def _framed(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)

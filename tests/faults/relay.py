"""Stands between recorder and store and does to each request what it is told: delays, refuses, cuts, keeps answers.

It speaks just enough HTTP to know where a request and an answer end, so that a harm strikes where it is meant to:
before the store has seen an INSERT, in the middle of one, or after the store has carried it out.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal

HarmKind = Literal[
    "none",
    "refuse",  # no connection
    "status",  # an error status, and the store never sees the request
    "status_after",  # an error status, though the store has carried the request out
    "cut_request",  # the connection ends after so many bytes of the body
    "cut_answer",  # it ends after so many bytes of the answer
    "swallow",  # the store has carried it out, and the connection ends without an answer
    "hold",  # likewise, and the connection stays open without an answer
    "stall",  # the connection stays open without an answer, and the store never sees the request
    "slow",  # everything is late and trickles
]
_LIMIT_BYTES = 1 << 26
_PIECE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Harm:
    """What is done to one request."""

    kind: HarmKind = "none"
    status: int = 500
    at_bytes: int = 0
    """Where it is cut."""
    delay_s: float = 0.0
    """Before the request is passed on, and again before its answer is; with `slow`, before every piece too."""


NO_HARM = Harm()
Choose = Callable[[bool], Harm]
"""`choose(is_insert)`: what is done to the next request."""


def unharmed(_is_insert: bool) -> Harm:
    """Pass everything."""
    return NO_HARM


class Relay:
    """Listens on `port` and passes on to `store_port`."""

    def __init__(self, store_port: Callable[[], int]) -> None:
        self.port = 0
        self.choose: Choose = unharmed
        self.struck: Counter[str] = Counter()
        """How often each kind of harm was done; `hold` counts once the store has carried the request out."""
        self._store_port = store_port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the recorder."""
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._one(reader, writer):
                    pass
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection is to end."""
        head = await reader.readuntil(b"\r\n\r\n")
        harm = self.choose(b"insert_deduplication_token=" in head.partition(b"\r\n")[0])
        if harm.kind != "hold":
            self.struck[harm.kind] += 1
        if harm.kind == "refuse":
            return False
        body = await _body(reader, head)
        if harm.kind == "stall":
            await reader.read(1)  # until the recorder is gone
            return False
        if harm.kind == "status":
            writer.write(_refusal(harm.status))
            await writer.drain()
            return False
        await _pause(harm)
        answer = await self._asked(head, body, harm)
        if answer is None or harm.kind == "swallow":
            return False
        if harm.kind == "hold":
            self.struck[harm.kind] += 1
            await reader.read(1)  # until the recorder gives up
            return False
        await _pause(harm)
        return await _answered(writer, answer, harm)

    async def _asked(self, head: bytes, body: bytes, harm: Harm) -> bytes | None:
        """The store's answer to a request; None when the request was cut off."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._store_port(), limit=_LIMIT_BYTES)
        try:
            if harm.kind == "cut_request":
                writer.write(head + body[: harm.at_bytes])
                await writer.drain()
                return None
            writer.write(head)
            for start in range(0, len(body), _PIECE_BYTES):
                if harm.kind == "slow":
                    await _pause(harm)
                writer.write(body[start : start + _PIECE_BYTES])
                await writer.drain()
            answer_head = await reader.readuntil(b"\r\n\r\n")
            return answer_head + await _body(reader, answer_head)
        finally:
            writer.close()  # in order: what was written is sent


async def _answered(writer: asyncio.StreamWriter, answer: bytes, harm: Harm) -> bool:
    """Give an answer, or what is to come of it; False when the connection is to end."""
    if harm.kind == "status_after":
        writer.write(_refusal(harm.status))
    elif harm.kind == "cut_answer":
        writer.write(answer[: min(harm.at_bytes, len(answer) - 1)])
    else:
        writer.write(answer)
    await writer.drain()
    return harm.kind in {"none", "slow"}


async def _pause(harm: Harm) -> None:
    if harm.delay_s:
        await asyncio.sleep(harm.delay_s)  # the harm itself: no test waits for it


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The body behind a head, with its framing."""
    lowered = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lowered:
        pieces: list[bytes] = []
        while True:
            line = await reader.readuntil(b"\r\n")
            pieces += [line, await reader.readexactly(int(line, 16) + 2)]
            if int(line, 16) == 0:
                return b"".join(pieces)
    length = lowered.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length or 0))


def _refusal(status: int) -> bytes:
    words = b"<html>a load balancer says %d</html>" % status
    return b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(words), words)


@asynccontextmanager
async def relaying(store_port: Callable[[], int]) -> AsyncIterator[Relay]:
    """One that stands there until the block ends."""
    relay = Relay(store_port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, limit=_LIMIT_BYTES)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()

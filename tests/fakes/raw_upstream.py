"""A provider made of raw sockets: it says exactly the bytes that a test wants, and keeps those it was sent."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from tests.fakes.until import turn

_LIMIT_BYTES = 1 << 24
_BACKLOG = 4096
"""A connection too many is one that its other end takes for open and this end knows nothing of."""
_ACCEPTING_TURNS = 50
"""More turns of the loop than pass between an accepted connection and its conversation."""
Play = Callable[["Conversation"], Awaitable[None]]


class Conversation:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: list[bytes]) -> None:
        self.reader = reader
        self.writer = writer
        self._log = log

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: head with its empty line, and body without its framing; raises at the end of the stream."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        body = b""
        lowered = head.lower()
        if b"\r\ntransfer-encoding: chunked" in lowered:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readuntil(b"\r\n")
        elif b"\r\ncontent-length: " in lowered:
            length = int(lowered.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
            body = await self.reader.readexactly(length)
        self._log.append(head + body)
        return head, body

    async def say(self, *pieces: bytes) -> None:
        """Send bytes, each piece in a write of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the other side has closed."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """Break off without a proper end (TCP RST)."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class RawUpstream:
    """The listening side; `requests` holds everything that was received by `Conversation.request`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def raw_upstream(play: Play, listening: socket.socket | None = None) -> AsyncIterator[RawUpstream]:
    """Serve `play` on each connection until the block ends.

    Args:
        play: what to do with a connection.
        listening: a socket that listens and outlives the block; None for a port of its own.
    """
    upstream = RawUpstream(0)
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream.connections += 1
        writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await play(Conversation(reader, writer, upstream.requests))
        writer.close()

    if listening is None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_LIMIT_BYTES, backlog=_BACKLOG)
    else:
        server = await asyncio.start_server(serve, sock=listening.dup(), limit=_LIMIT_BYTES, backlog=_BACKLOG)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for _ in range(_ACCEPTING_TURNS):
            # What was accepted just now must not stay open with nobody to serve it.
            await turn()
        for writer in writers:
            if not writer.transport.is_closing():
                writer.transport.abort()


def answers(*answers: bytes) -> Play:
    """Play that gives one answer after another on every connection, the last one again and again."""

    async def play(conversation: Conversation) -> None:
        index = 0
        while True:
            await conversation.request()
            await conversation.say(answers[min(index, len(answers) - 1)])
            index += 1

    return play

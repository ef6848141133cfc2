"""A WebSocket server and conversations of a client with it: what both ends see of them.

Every conversation is a scenario of a real client and a real server (aiohttp on both ends), to be run with and without
something in between.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

LARGE = bytes(range(256)) * 20_000
"""5 MB."""
TEXT = "Grüße, 你好, \U0001f600 " * 20_000
_PATIENCE_S = 20.0

Client = aiohttp.ClientWebSocketResponse


class Heard:
    """What came in, on one end or the other, and how it ended."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def note(self, message: aiohttp.WSMessage) -> None:
        """Keep a message; an exception by its kind alone."""
        data = type(message.data).__name__ if message.type == WSMsgType.ERROR else message.data
        self.events.append((message.type.name, data, message.extra))


class WebSocketServer:
    """Does what the query of a handshake says: `does=echo|close|abort|leave|ping|flood|refuse`."""

    def __init__(self) -> None:
        self.url = ""
        self.heard = Heard()
        self.over = asyncio.Event()
        """The last conversation is over for the server."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One conversation."""
        does = request.query.get("does", "echo")
        self.heard = Heard()
        self.over.clear()
        try:
            if does == "refuse":
                return web.json_response({"error": "no"}, status=401, headers={"WWW-Authenticate": "Bearer"})
            socket = web.WebSocketResponse(
                protocols=("realtime", "other"), compress="z" in request.query, max_msg_size=0, autoping=does != "ping"
            )
            await socket.prepare(request)
            self.heard.events.append(("protocol", socket.ws_protocol, socket.compress))
            await getattr(self, f"_{does}")(socket, request)
            self.heard.events.append(("closed", socket.close_code))
            return socket
        finally:
            self.over.set()

    async def _echo(self, socket: web.WebSocketResponse, _request: web.Request) -> None:
        async for message in socket:
            self.heard.note(message)
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await socket.send_bytes(message.data)

    async def _count(self, socket: web.WebSocketResponse, _request: web.Request) -> None:
        size = 0
        async for message in socket:
            size += len(message.data)
        self.heard.events.append(("counted", size))

    async def _close(self, socket: web.WebSocketResponse, _request: web.Request) -> None:
        await socket.send_str("bye")
        await socket.close(code=4001, message=b"that was all")

    async def _abort(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        await socket.send_str("bye")
        if request.transport is not None:
            request.transport.abort()

    async def _ping(self, socket: web.WebSocketResponse, _request: web.Request) -> None:
        await socket.ping(b"are you there")
        self.heard.note(await socket.receive())
        await socket.close()

    async def _flood(self, socket: web.WebSocketResponse, _request: web.Request) -> None:
        for _ in range(400):
            await socket.send_bytes(LARGE[:100_000])
        await socket.close()


@asynccontextmanager
async def web_socket_server() -> AsyncIterator[WebSocketServer]:
    """One that listens until the block ends."""
    server = WebSocketServer()
    app = web.Application()
    app.router.add_get("/v1/realtime", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


async def _everything(client: Client, heard: Heard) -> None:
    while not client.closed:
        heard.note(await client.receive())


async def echo(client: Client, heard: Heard) -> None:
    """Text, binary, empty and large messages, a ping with an answer, a close with a code of the client's own."""
    for text in ("hello", "", "Grüße", TEXT):
        await client.send_str(text)
        heard.note(await client.receive())
    for data in (b"\x00\xff", b"", LARGE):
        await client.send_bytes(data)
        heard.note(await client.receive())
    await client.ping(b"ping")
    await client.send_str("after the ping")
    heard.note(await client.receive())
    await client.close(code=4321, message=b"enough")


async def fragments(client: Client, heard: Heard) -> None:
    """Many small messages in a row, sent before any answer is read."""
    for number in range(2000):
        await client.send_str(f"{number} " * (number % 50))
    for _ in range(2000):
        heard.note(await client.receive())
    await client.close()


async def leaves(client: Client, _heard: Heard) -> None:
    """The client is gone in mid-conversation, without a word."""
    await client.send_str("hello")
    await client.receive()
    _transport(client).abort()


async def sends_and_leaves(client: Client, _heard: Heard) -> None:
    """The client sends much and ends the connection as soon as all is sent."""
    for _ in range(40):
        await client.send_bytes(LARGE[:250_000])
    _transport(client).close()


async def closes_at_once(client: Client, _heard: Heard) -> None:
    """The client changes its mind."""
    await client.close(code=1001)


def _transport(client: Client) -> asyncio.Transport:
    connection = client._response.connection
    assert connection is not None
    assert connection.transport is not None
    return connection.transport


SCENARIOS: dict[str, tuple[str, dict[str, Any], Callable[[Client, Heard], Awaitable[None]]]] = {
    "echo": ("?does=echo", {"protocols": ("unknown", "realtime")}, echo),
    "echo, compressed": ("?does=echo&z", {"compress": 15}, echo),
    "echo, compressed with a small window": ("?does=echo&z", {"compress": 9}, echo),
    "many messages": ("?does=echo", {}, fragments),
    "many messages, compressed": ("?does=echo&z", {"compress": 15}, fragments),
    "the server closes": ("?does=close", {}, _everything),
    "the server is gone": ("?does=abort", {}, _everything),
    "the server pings": ("?does=ping", {}, _everything),
    "the server floods": ("?does=flood", {}, _everything),
    "the client is gone": ("?does=echo", {}, leaves),
    "the client sends and leaves": ("?does=count", {}, sends_and_leaves),
    "the client closes at once": ("?does=echo", {}, closes_at_once),
}


async def run(base_url: str, server: WebSocketServer, name: str) -> tuple[list[Any], list[Any]]:
    """Have one conversation through `base_url`; what the client saw, and what the server saw."""
    query, options, script = SCENARIOS[name]
    heard = Heard()
    async with asyncio.timeout(_PATIENCE_S), aiohttp.ClientSession() as session:
        client = await session.ws_connect(f"{base_url}/v1/realtime{query}", max_msg_size=0, **options)
        heard.events.append(("protocol", client.protocol, client.compress))
        await script(client, heard)
        heard.events.append(("closed", client.close_code))
        await server.over.wait()
    return heard.events, server.heard.events

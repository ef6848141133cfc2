"""Kept connections to one provider: given out newest first, closed when idle too long, bounded in number."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohappyeyeballs

from proxy.outbox import Outbox
from proxy.settings import ProviderSettings
from proxy.upstream.connection import Connection
from proxy.upstream.errors import UpstreamError, connect_failure, no_place
from proxy.upstream.head_shapes import HeadReader

IDLE_LIMIT_S = 50.0
"""Below the 60 s after which common load balancers close an idle connection, so that we are the first to close."""
_WRITE_HIGH_WATER_BYTES = 256 * 1024
_HAPPY_EYEBALLS_DELAY_S = 0.25


class Origin:
    """Where a provider is, taken apart once: host, port, TLS, path prefix, `Host` header."""

    __slots__ = ("host", "host_header", "port", "prefix", "tls")

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self.tls = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.tls else 80)
        self.host_header = parts.netloc.rpartition("@")[2].encode("ascii")
        self.prefix = parts.path.rstrip("/").encode("ascii")


def tls_context(settings: ProviderSettings) -> ssl.SSLContext:
    """Verified TLS 1.2 or later against the system's or the operator's authorities."""
    context = ssl.create_default_context(cafile=settings.tls_ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Pool:
    """All connections to one provider."""

    def __init__(
        self, settings: ProviderSettings, loop: asyncio.AbstractEventLoop, outbox: Outbox, heads: HeadReader
    ) -> None:
        self.origin = Origin(settings.base_url)
        self._settings = settings
        self._loop = loop
        self._outbox = outbox
        self._heads = heads
        self._tls = tls_context(settings) if self.origin.tls else None
        self._idle: deque[Connection] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lookup: asyncio.Future[Any] | None = None
        self._open = 0

    def __repr__(self) -> str:
        return f"<Pool {self.origin.host} open={self._open} idle={len(self._idle)} waiting={len(self._waiting)}>"

    def take_idle(self) -> Connection | None:
        """The connection used last, if it still stands; never waits."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
            self._open -= 1
        return None

    async def acquire(self, *, fresh: bool = False) -> Connection:
        """A kept or a fresh connection; waits where the provider's limit of connections is reached.

        Args:
            fresh: never a kept one: the last kept one turned out to be stale.

        Raises:
            UpstreamError: with phase `connect`.
        """
        limit_s = self._settings.connect_timeout_s
        has_place = False
        try:
            async with asyncio.timeout(limit_s):
                kept = await self._place(fresh=fresh)
                has_place = True
                return kept if kept is not None else await self._fill_place()
        except (OSError, ssl.SSLError, TimeoutError, ValueError) as error:
            if not has_place:
                raise no_place(self.origin.host, self._settings.max_connections, limit_s) from error
            raise connect_failure(error, self.origin.host, self.origin.port, limit_s) from error

    def give_back(self, connection: Connection) -> None:
        """Return a connection after its exchange; it is kept when it can carry another."""
        if connection.reusable:
            connection.idle_since_s = self._loop.time()
            self._idle.append(connection)
            self._wake()
        else:
            connection.abort()
            self._free_place()

    def sweep(self, now_s: float) -> None:
        """Close what has been idle too long; called by the worker's timer."""
        while self._idle and (not self._idle[0].reusable or now_s - self._idle[0].idle_since_s > IDLE_LIMIT_S):
            self._idle.popleft().abort()
            self._free_place()

    def close(self) -> None:
        """Drop all idle connections."""
        while self._idle:
            self._idle.popleft().abort()
            self._free_place()

    async def _place(self, *, fresh: bool) -> Connection | None:
        """Wait for a kept connection, or for a place to make one in (None)."""
        while True:
            if not fresh and (idle := self.take_idle()) is not None:
                return idle
            if self._open < self._settings.max_connections:
                break
            if fresh and (idle := self.take_idle()) is not None:
                idle.abort()
                self._open -= 1
                break
            await self._turn()
        self._open += 1
        return None

    async def _fill_place(self) -> Connection:
        try:
            return await self._dial()
        except BaseException:  # whatever ended it, a cancellation too: the place is free again
            self._free_place()
            raise

    async def _turn(self) -> None:
        """Wait until a connection or a place is given back."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.cancelled():
                self._wake()  # the turn came as the time ran out: it is the next one's, or nobody would have it
            raise

    def _free_place(self) -> None:
        self._open -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _look_up(self) -> Sequence[aiohappyeyeballs.AddrInfoType]:
        """The addresses of the provider; calls that want to know at the same time ask once.

        The loop has four threads for such questions, for all providers together: one whose name server is silent must
        not take them all.
        """
        if self._lookup is None or self._lookup.done():
            question = self._loop.getaddrinfo(self.origin.host, self.origin.port, type=socket.SOCK_STREAM)
            self._lookup = asyncio.ensure_future(question)
            # Whoever asked may have given up by then.
            self._lookup.add_done_callback(lambda lookup: lookup.cancelled() or lookup.exception())
        found: Sequence[aiohappyeyeballs.AddrInfoType] = await asyncio.shield(self._lookup)
        return found

    async def _dial(self) -> Connection:
        origin = self.origin
        addresses = await self._look_up()
        if not addresses:
            raise UpstreamError(f"{origin.host} has no address", phase="connect")
        sock = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY_S, loop=self._loop
        )
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            transport, connection = await self._loop.create_connection(
                lambda: Connection(self._outbox, self._heads),
                sock=sock,
                ssl=self._tls,
                server_hostname=origin.host if self._tls else None,
            )
        except BaseException:  # likewise: nobody else knows this socket
            sock.close()
            raise
        transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER_BYTES)
        return connection

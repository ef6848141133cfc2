"""Connections are kept, given out newest first, never handed out dead, and bounded in number."""

import asyncio
import ssl

import pytest

from proxy.outbox import Outbox
from proxy.upstream.connection import Connection
from proxy.upstream.errors import UpstreamError
from proxy.upstream.framing import ResponseHead
from proxy.upstream.head_shapes import HeadReader
from proxy.upstream.pool import IDLE_LIMIT_S, Origin, Pool, tls_context
from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.settings import provider
from tests.fakes.until import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Waiter:
    """A sink that only waits for the end."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_interim(self, head: ResponseHead) -> None: ...

    def on_head(self, head: ResponseHead, *, more: bool) -> None: ...

    def on_data(self, raw: bytes, pieces: list[bytes] | None) -> None: ...

    def on_end(self) -> None:
        self.ended.set_result(None)

    def on_broken(self, error: Exception) -> None:
        self.ended.set_exception(error)

    def on_writable(self) -> None: ...


async def call(pool: Pool) -> Connection:
    connection = await pool.acquire()
    sink = Waiter()
    connection.begin(sink, "GET", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await sink.ended
    pool.give_back(connection)
    return connection


async def test_a_connection_is_used_again():
    async with raw_upstream(answers(OK)) as upstream:
        pool = Pool(
            provider("p", upstream.url), asyncio.get_running_loop(), Outbox(asyncio.get_running_loop()), HeadReader()
        )

        first, second = await call(pool), await call(pool)

        assert first is second
        assert upstream.connections == 1
        assert repr(pool) == "<Pool 127.0.0.1 open=1 idle=1 waiting=0>"
        pool.close()


async def test_a_connection_that_the_provider_closed_is_not_given_out():
    async def once(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(OK)

    async with raw_upstream(once) as upstream:
        pool = Pool(
            provider("p", upstream.url), asyncio.get_running_loop(), Outbox(asyncio.get_running_loop()), HeadReader()
        )
        first = await call(pool)
        await until(lambda: first.closed)

        second = await call(pool)

        assert second is not first
        pool.close()


async def test_idle_connections_are_closed_by_the_sweep():
    async with raw_upstream(answers(OK)) as upstream:
        loop = asyncio.get_running_loop()
        pool = Pool(provider("p", upstream.url), loop, Outbox(loop), HeadReader())
        await call(pool)

        pool.sweep(loop.time() + IDLE_LIMIT_S - 1)
        assert "idle=1" in repr(pool)
        pool.sweep(loop.time() + IDLE_LIMIT_S + 1)

        assert repr(pool) == "<Pool 127.0.0.1 open=0 idle=0 waiting=0>"


async def test_the_limit_of_connections_makes_the_next_call_wait_for_one():
    async with raw_upstream(answers(OK)) as upstream:
        pool = Pool(
            provider("p", upstream.url, max_connections=1),
            asyncio.get_running_loop(),
            Outbox(asyncio.get_running_loop()),
            HeadReader(),
        )
        held = await pool.acquire()
        waiting = asyncio.ensure_future(call(pool))
        await until(lambda: "waiting=1" in repr(pool))

        pool.give_back(held)

        assert await waiting is held
        pool.close()


async def test_a_turn_that_comes_too_late_for_one_is_the_next_one_s():
    async with raw_upstream(answers(OK)) as upstream:
        loop = asyncio.get_running_loop()
        pool = Pool(provider("p", upstream.url, max_connections=1), loop, Outbox(loop), HeadReader())
        held = await pool.acquire()
        late, next_one = (asyncio.ensure_future(pool.acquire()) for _ in range(2))
        await until(lambda: "waiting=2" in repr(pool))

        pool.give_back(held)
        late.cancel()

        async with asyncio.timeout(2):
            assert await next_one is held
        held.abort()


async def test_whoever_gave_up_waiting_is_passed_over():
    async with raw_upstream(answers(OK)) as upstream:
        loop = asyncio.get_running_loop()
        pool = Pool(provider("p", upstream.url, max_connections=1), loop, Outbox(loop), HeadReader())
        held = await pool.acquire()
        gone, next_one = (asyncio.ensure_future(pool.acquire()) for _ in range(2))
        await until(lambda: "waiting=2" in repr(pool))

        gone.cancel()
        pool.give_back(held)

        async with asyncio.timeout(2):
            assert await next_one is held
            with pytest.raises(asyncio.CancelledError):
                await gone
        held.abort()


async def test_whoever_gives_up_waiting_leaves_the_queue():
    async with raw_upstream(answers(OK)) as upstream:
        loop = asyncio.get_running_loop()
        pool = Pool(
            provider("p", upstream.url, max_connections=1, connect_timeout_s=0.05), loop, Outbox(loop), HeadReader()
        )
        held = await pool.acquire()

        with pytest.raises(UpstreamError):
            await pool.acquire()

        assert repr(pool) == "<Pool 127.0.0.1 open=1 idle=0 waiting=0>"
        held.abort()


async def test_waiting_for_a_connection_ends_at_the_connect_limit():
    async with raw_upstream(answers(OK)) as upstream:
        settings = provider("p", upstream.url, max_connections=1, connect_timeout_s=0.05)
        pool = Pool(settings, asyncio.get_running_loop(), Outbox(asyncio.get_running_loop()), HeadReader())
        held = await pool.acquire()

        with pytest.raises(UpstreamError, match=r"all 1 connections to 127\.0\.0\.1 were in use for 0\.05 s") as caught:
            await pool.acquire()

        assert caught.value.timed_out
        held.abort()


async def test_a_closed_port_is_reported_with_host_and_reason():
    async with raw_upstream(answers(OK)) as upstream:
        url = upstream.url
    pool = Pool(provider("p", url), asyncio.get_running_loop(), Outbox(asyncio.get_running_loop()), HeadReader())

    with pytest.raises(UpstreamError, match="cannot be reached") as caught:
        await pool.acquire()

    assert caught.value.phase == "connect"
    assert "open=0" in repr(pool)


async def test_tls_with_a_plain_server_is_reported_as_tls_trouble():
    async def silence(conversation: Conversation) -> None:
        await conversation.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with raw_upstream(silence) as upstream:
        pool = Pool(
            provider("p", upstream.url.replace("http:", "https:")),
            asyncio.get_running_loop(),
            Outbox(asyncio.get_running_loop()),
            HeadReader(),
        )

        with pytest.raises(UpstreamError, match=r"TLS|cannot be reached"):
            await pool.acquire()


def test_an_origin_takes_a_base_url_apart():
    origin = Origin("https://user@api.example.com:8443/tenant/a/")

    assert (origin.tls, origin.host, origin.port) == (True, "api.example.com", 8443)
    assert (origin.prefix, origin.host_header) == (b"/tenant/a", b"api.example.com:8443")
    assert Origin("http://x").port == 80


def test_verification_can_only_be_switched_off_by_name():
    assert tls_context(provider("p", "https://x")).verify_mode == ssl.CERT_REQUIRED
    assert tls_context(provider("p", "https://x", tls_verify=False)).verify_mode == ssl.CERT_NONE


async def test_calls_that_dial_at_the_same_time_ask_for_the_address_once(monkeypatch: pytest.MonkeyPatch):
    loop = asyncio.get_running_loop()
    ask, asked = loop.getaddrinfo, 0
    release: asyncio.Future[None] = loop.create_future()

    async def slow(*args: object, **more: object):
        nonlocal asked
        asked += 1
        await release
        return await ask(*args, **more)

    async with raw_upstream(answers(OK)) as upstream:
        pool = Pool(provider("p", upstream.url), loop, Outbox(loop), HeadReader())
        monkeypatch.setattr(loop, "getaddrinfo", slow)
        first, *others = (asyncio.ensure_future(pool.acquire()) for _ in range(5))
        await until(lambda: asked)
        first.cancel()
        release.set_result(None)

        connections = await asyncio.gather(*others)
        assert asked == 1
        assert len(set(connections)) == 4
        for connection in connections:
            connection.abort()

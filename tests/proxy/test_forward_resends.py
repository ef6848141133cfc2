"""A request is sent twice only where nobody can have worked on it: no limit of ours and no shutdown is a reason."""

import asyncio

import pytest

from tests.fakes.raw_requests import ASKS_STREAM, CHAT, OK, post
from tests.fakes.raw_upstream import Conversation, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until


async def answers_once(conversation: Conversation) -> None:
    """Answers the first request of a connection, and is silent on the second."""
    await conversation.request()
    await conversation.say(OK)
    await conversation.request()
    await conversation.gone()


async def test_a_time_limit_that_runs_out_on_a_kept_connection_is_no_reason_to_send_again():
    async with (
        raw_upstream(answers_once) as upstream,
        running_worker(provider("p", upstream.url, first_byte_timeout_s=0.1)) as worker,
    ):
        reader, writer = await worker.connect()
        writer.write(post(CHAT, b"{}", close=False))
        async with asyncio.timeout(5):
            await reader.readuntil(b"{}")
            writer.write(post(CHAT, b"{}"))
            assert (await reader.read(-1)).startswith(b"HTTP/1.1 504 ")

        assert len(upstream.requests) == 2
        assert worker.journal.closed[1].attempts[0].changes == ()


async def test_a_shutdown_is_no_reason_to_send_again():
    async with raw_upstream(answers_once) as upstream:
        async with running_worker(provider("p", upstream.url)) as worker:
            reader, writer = await worker.connect()
            writer.write(post(CHAT, b"{}", close=False))
            async with asyncio.timeout(5):
                await reader.readuntil(b"{}")
            writer.write(post(CHAT, b"{}"))
            await until(lambda: len(upstream.requests) == 2)
        writer.close()

        assert upstream.connections == 1
        assert len(upstream.requests) == 2


async def test_a_call_that_waits_for_a_connection_takes_the_one_that_is_given_back():
    release: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def play(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await release
            await conversation.say(OK)

    async with (
        raw_upstream(play) as upstream,
        running_worker(provider("p", upstream.url, max_connections=1)) as worker,
    ):
        calls = [asyncio.ensure_future(worker.exchange(post(CHAT, ASKS_STREAM))) for _ in range(2)]
        await until(lambda: len(worker.journal.opened) == 2)
        release.set_result(None)

        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in await asyncio.gather(*calls))
        assert len(upstream.requests) == 2
        assert upstream.connections == 1


async def test_the_time_that_a_call_waited_for_a_stale_connection_does_not_count(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("proxy.forward._STALE_LIMIT_S", 0.5)
    release: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    requests = 0

    async def play(conversation: Conversation) -> None:
        nonlocal requests
        await conversation.request()
        requests += 1
        if requests == 1:
            await release
        await conversation.say(OK)
        if requests == 1:
            await conversation.request()  # and closes without an answer

    async with (
        raw_upstream(play) as upstream,
        running_worker(provider("p", upstream.url, max_connections=1)) as worker,
    ):
        first = asyncio.ensure_future(worker.exchange(post(CHAT, b"{}")))
        await until(lambda: upstream.requests)
        second = asyncio.ensure_future(worker.exchange(post(CHAT, b"{}")))
        asyncio.get_running_loop().call_later(0.7, release.set_result, None)

        assert (await first).startswith(b"HTTP/1.1 200 ")
        assert (await second).startswith(b"HTTP/1.1 200 ")
        assert worker.journal.closed[1].attempts[0].changes == ("resent_on_fresh_connection",)

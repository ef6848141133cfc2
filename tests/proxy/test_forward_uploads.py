"""Uploads that stream through: a request that was not sent completely never shares its connection with another."""

import asyncio

import pytest

from tests.fakes.raw_requests import FILES, OK, get, write_until_blocked
from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until


async def test_an_answer_before_the_end_of_a_blocked_upload_costs_the_connection():
    blocked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    uploaded: list[bytes] = []

    async def play(conversation: Conversation) -> None:
        head = await conversation.reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            await conversation.say(OK)
            return
        conversation.writer.transport.pause_reading()
        await blocked
        await conversation.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
        conversation.writer.transport.resume_reading()
        while piece := await conversation.reader.read(1 << 20):
            uploaded.append(piece)

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(get(FILES, b"Content-Length: 1000000000", method=b"POST", close=False))
        await write_until_blocked(writer, b"x" * 1_000_000)
        blocked.set_result(None)
        async with asyncio.timeout(5):
            await reader.readuntil(b"no!")
            answer = await worker.exchange(get(b"/p/second"))
        writer.transport.abort()

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"GET /second" not in b"".join(uploaded)
        assert upstream.connections == 2


@pytest.mark.parametrize("line", [b"Content-Length: 1000000", b"Expect: 100-continue\r\nContent-Length: 1000000"])
async def test_an_answer_before_the_end_of_an_upload_says_that_the_app_s_connection_ends(line: bytes):
    async def play(conversation: Conversation) -> None:
        await conversation.reader.readuntil(b"\r\n\r\n")
        await conversation.say(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno!")
        await conversation.gone()

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(get(FILES, line, method=b"POST", close=False))
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"no!")
        writer.close()

        assert b"\r\nConnection: close\r\n" in answer


async def test_an_upload_that_was_taken_whole_keeps_the_connections_on_both_sides():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        async with asyncio.timeout(5):
            for _ in range(2):
                writer.write(get(FILES, b"Transfer-Encoding: chunked", method=b"POST", close=False))
                await until(lambda: upstream.connections)
                writer.write(b"4\r\nbody\r\n0\r\n\r\n")
                assert b"Connection: close" not in await reader.readuntil(b"{}")
        writer.close()

        assert [request.endswith(b"\r\n\r\nbody") for request in upstream.requests] == [True, True]

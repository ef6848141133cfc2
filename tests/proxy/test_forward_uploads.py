"""Uploads that stream through: a request that was not sent completely never shares its connection with another."""

import asyncio

from tests.fakes.raw_requests import FILES, OK, get, write_until_blocked
from tests.fakes.raw_upstream import Conversation, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider


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

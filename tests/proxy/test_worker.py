"""A worker takes calls on its port, shares it with others, and lets go of everything when it stops."""

import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

GET = b"GET /p/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_two_workers_share_one_port():
    async with raw_upstream(answers(OK)) as upstream, running_worker(provider("p", upstream.url)) as one:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

        listening.bind(("127.0.0.1", one.port))

        listening.close()
        assert (await one.exchange(GET)).endswith(b"ok")


async def test_a_stopped_worker_has_closed_its_port_and_its_connections():
    async with raw_upstream(answers(OK)) as upstream:
        async with running_worker(provider("p", upstream.url)) as worker:
            reader, writer = await worker.connect()
            writer.write(GET.replace(b"Connection: close\r\n", b""))
            await reader.readuntil(b"\r\n\r\nok")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await worker.connect()


async def test_a_worker_that_drains_lets_its_idle_connections_go_at_once():
    async def silent(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.gone()

    ended: list[str] = []

    async def hear_the_end(name: str, reader: asyncio.StreamReader) -> None:
        await reader.read()
        ended.append(name)

    async with raw_upstream(silent) as upstream:
        async with running_worker(provider("p", upstream.url)) as worker:
            busy, idle = await worker.connect(), await worker.connect()
            busy[1].write(GET)
            await until(lambda: upstream.requests)
            hearing = [
                asyncio.ensure_future(hear_the_end(name, reader))
                for name, (reader, _) in (("busy", busy), ("idle", idle))
            ]
        async with asyncio.timeout(5):
            await asyncio.gather(*hearing)
        for _, writer in (busy, idle):
            writer.close()

    assert ended == ["idle", "busy"]


@pytest.mark.parametrize("path", [b"/p/v1/chat/completions", b"/p/v1/files"], ids=["read", "streamed"])
@pytest.mark.parametrize("framing", [b"Content-Length: 8", b"Transfer-Encoding: chunked"])
async def test_a_request_that_is_still_being_sent_when_the_worker_drains_is_served(path: bytes, framing: bytes):
    parts = (b"4\r\nhalf\r\n", b"4\r\nmore\r\n0\r\n\r\n") if b"chunked" in framing else (b"half", b"more")
    drains = asyncio.Event()

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        await drains.wait()
        writer.write(parts[1])
        return await reader.read()

    async with raw_upstream(answers(OK)) as upstream:
        async with running_worker(provider("p", upstream.url)) as worker:
            idle, _ = await worker.connect()
            reader, writer = await worker.connect()
            writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % (path, framing))
            writer.write(parts[0])
            answer = asyncio.ensure_future(app(reader, writer))
            # A call after it on another connection: by then this one's head was taken up.
            await worker.exchange(GET)
            tell = asyncio.ensure_future(tell_at_the_end_of(idle, drains))
        await tell
        assert (await answer).endswith(b"ok")
        writer.close()


async def tell_at_the_end_of(reader: asyncio.StreamReader, event: asyncio.Event) -> None:
    await reader.read()
    event.set()


async def test_it_says_once_that_the_journal_is_full_and_once_that_it_has_room_again():
    async with running_worker(provider("p", "http://127.0.0.1:1")) as worker:
        with capture_logs() as said:
            worker.journal.full, worker.journal.refusing = "max_bytes", True
            await until(lambda: said)
            worker.journal.full, worker.journal.refusing = "", False
            await until(lambda: len(said) > 1)
    assert said == [
        {"event": "the journal is full", "why": "max_bytes", "calls": "are refused", "log_level": "error"},
        {"event": "the journal has room again", "log_level": "info"},
    ]

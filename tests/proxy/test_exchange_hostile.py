"""What a provider, or an app that reads slowly, may do to an answer: memory is bounded and the right side is blamed."""

import asyncio
import socket

import pytest

from tests.fakes.raw_upstream import Conversation, answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

GET = b"GET /p/v1/things HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"
OLD_GET = b"GET /p/v1/things HTTP/1.0\r\n\r\n"
UPGRADE = b"GET /p/v1/things HTTP/1.1\r\nHost: proxy\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def test_a_protocol_switch_that_nobody_asked_for_is_a_502():
    async with (
        raw_upstream(answers(SWITCHED + b"anything")) as upstream,
        running_worker(provider("p", upstream.url)) as worker,
    ):
        answer = await worker.exchange(GET)

        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"switched protocols" in answer
        assert b"anything" not in answer


async def test_interim_answers_without_end_are_a_502():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        while True:
            await conversation.say(b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 1000 + b"\r\n\r\n")

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        answer = await worker.exchange(GET)

        assert b"HTTP/1.1 502 " in answer
        assert 200_000 < len(answer) < 300_000


@pytest.mark.parametrize("framed", [b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"\r\nhello"])
async def test_a_break_is_a_reset_where_the_end_of_the_connection_is_the_end_of_the_answer(framed: bytes):
    release: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(b"HTTP/1.1 200 OK\r\n" + framed)
        await release
        conversation.reset()

    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        reader, writer = await worker.connect()
        writer.write(OLD_GET)
        async with asyncio.timeout(10):
            await reader.readuntil(b"hello")
            release.set_result(None)
            with pytest.raises(ConnectionResetError):
                await reader.read()
        writer.close()


async def test_an_app_that_reads_nothing_for_too_long_has_left_and_its_provider_is_not_blamed():
    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n", *[b"x" * 1_000_000] * 50)

    async with (
        raw_upstream(play) as upstream,
        running_worker(provider("p", upstream.url, idle_timeout_s=0.3)) as worker,
        app_that_does_not_read(worker.port),
    ):
        (call,) = await worker.journal.calls(1)

        assert (call.outcome, call.error_class, call.client_gone) == ("cancelled", "cancelled_by_client", True)
        assert 0 < call.response_bytes < 50_000_000


class app_that_does_not_read:  # noqa: N801 - reads as what it is
    """Sends `GET` and never takes a byte of the answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.socket()

    async def __aenter__(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        await loop.sock_sendall(self._socket, GET)

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()


async def test_what_an_app_sends_before_the_switch_goes_through_the_tunnel_all_of_it():
    early = bytes(range(256)) * 4096
    taken = 0

    async def play(conversation: Conversation) -> None:
        nonlocal taken
        await conversation.request()
        await released
        await conversation.say(SWITCHED)
        while piece := await conversation.reader.read(1 << 20):
            taken += len(piece)

    released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with raw_upstream(play) as upstream, running_worker(provider("p", upstream.url)) as worker:
        _, writer = await worker.connect()
        writer.write(UPGRADE + early)
        await until(lambda: upstream.requests)
        # As much as the proxy is willing to keep: it stops reading until there is a tunnel.
        released.set_result(None)
        await until(lambda: taken == len(early))
        writer.close()

        (call,) = await worker.journal.calls(1)
        assert call.request_bytes == len(early)

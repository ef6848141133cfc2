"""A thousand connections at once, each of them dropped at a random point of its exchange by one of the three sides.

Afterwards the worker serves as before: no call is left under way, no connection is left open, memory is where it was,
and every call that was admitted is on the books. TAXIMETER_DROP_SEED draws other points.
"""

import asyncio
import os
import random
from contextlib import suppress

import pytest

from proxy.core.record import CallRecord, OpenRecord
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import ASKS_STREAM, CHAT, FILES, OK, get, post
from tests.fakes.raw_upstream import answers
from tests.fakes.until import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

LIMITS = {"first_byte_timeout_s": 5.0, "idle_timeout_s": 5.0, "max_connections": 2000}
CONNECTIONS = 1000
WARM_UP = 2
WAVES = 3
SEED = int(os.environ.get("TAXIMETER_DROP_SEED", "11"))
GREW_BYTES = 20_000_000
"""What further thousands may leave behind: nothing, but the allocator keeps pages as it likes."""
PATIENCE_S = 60.0

EVENT = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n'
LARGE = b"x" * 300_000
CHUNKED = b"Transfer-Encoding: chunked"
REQUESTS = (
    post(CHAT, b'{"model":"m"}', close=False),
    post(CHAT, ASKS_STREAM, close=False),
    post(CHAT, ASKS_STREAM, b"Expect: 100-continue", close=False),
    post(CHAT, b'{"model":"m","x":"' + LARGE + b'"}', close=False),
    post(FILES, LARGE, close=False),
    get(FILES, CHUNKED, method=b"POST", close=False) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE),
    get(FILES, close=False) * 3,
    get(FILES, b"Connection: Upgrade", b"Upgrade: websocket", close=False),
    get(b"/nobody/x", close=False),
    b"nonsense\r\n\r\n",
)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\n"
ANSWERS = (
    OK,
    HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(LARGE), LARGE),
    HEAD + b"Content-Type: text/event-stream\r\n%b\r\n\r\n%b0\r\n\r\n" % (CHUNKED, chunk(EVENT) * 50),
    HEAD + b"%b\r\n\r\n%b0\r\n\r\n" % (CHUNKED, chunk(LARGE)),
    HEAD + b"\r\n" + LARGE,
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK,
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + LARGE,
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno",
    b"\x00garbage\r\n\r\n",
)


class Dice:
    """What goes wrong, drawn from a seed."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def request(self):
        return self._random.choice(REQUESTS)

    def answer(self):
        return self._random.choice(ANSWERS)

    def part(self, data):
        """All of it, or a beginning of any length, most often a short one."""
        if self._random.random() < 0.4:
            return data
        return data[: int(len(data) * self._random.random() ** 2)]

    def pieces(self, data):
        """The same bytes, in up to four pieces."""
        cuts = sorted(self._random.randrange(len(data) + 1) for _ in range(self._random.randrange(4)))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def wanted_bytes(self):
        """After how many bytes of an answer an app has had enough."""
        return self._random.choice((0, 1, 50, 200, 5_000, 100_000, 10**9))

    def often(self):
        return self._random.random() < 0.7


async def careless_provider(conversation, dice):
    """Answers a request that it may not have read, with part of an answer, and then closes, resets or stays."""
    while True:
        if dice.often():
            await conversation.request()
        elif not await conversation.reader.read(100):
            return
        answer = dice.answer()
        said = dice.part(answer)
        await conversation.say(*dice.pieces(said))
        if said != answer or not dice.often():
            break
    if dice.often():
        conversation.reset()
    elif dice.often():
        await conversation.gone()


async def careless_app(worker, dice, all_connected):
    """Sends part of a request, takes part of the answer, and closes or resets."""
    reader, writer = await worker.connect()
    await all_connected.wait()
    with suppress(ConnectionError, TimeoutError):
        for piece in dice.pieces(dice.part(dice.request())):
            writer.write(piece)
            await writer.drain()
        left = dice.wanted_bytes()
        async with asyncio.timeout(1.0):
            while left > 0 and (data := await reader.read(min(left, 65536))):
                left -= len(data)
    if dice.often():
        writer.transport.abort()
    else:
        writer.close()


async def wave(worker, upstream_that, dice):
    """A thousand connections, all of them open before the first byte is sent."""

    async def play(conversation):
        await careless_provider(conversation, dice)

    async with upstream_that(play):
        all_connected = asyncio.Barrier(CONNECTIONS)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(careless_app(worker, dice, all_connected) for _ in range(CONNECTIONS)))


async def test_a_thousand_dropped_connections_leave_nothing_behind(worker, upstream_that):
    dice = Dice(SEED)
    for _ in range(WARM_UP):
        await wave(worker, upstream_that, dice)
    before = worker.rss_bytes
    for _ in range(WAVES):
        await wave(worker, upstream_that, dice)

    assert worker.rss_bytes - before < GREW_BYTES
    async with upstream_that(answers(OK)) as upstream:
        for _ in range(20):
            answer = read_answer(await worker.exchange(post(CHAT, b'{"model":"m"}')))
            assert (answer.status, answer.payload) == (200, b"{}")
        assert len(upstream.requests) == 20

    lines = worker.lines()
    opened = [line.call_id for line in lines if isinstance(line, OpenRecord)]
    closed = [line.call_id for line in lines if isinstance(line, CallRecord)]
    assert len(opened) == len(set(opened)) > CONNECTIONS
    assert len(closed) == len(set(closed))
    assert set(opened) <= set(closed)
    outcomes = {line.outcome for line in lines if isinstance(line, CallRecord)}
    assert outcomes == {"ok", "error", "broken", "cancelled", "refused"}
    assert not {500, 501} & {line.status for line in lines if isinstance(line, CallRecord)}
    await until(lambda: worker.sockets <= worker.idle_sockets)

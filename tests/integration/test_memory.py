"""Constant memory: however much passes, and whatever it unpacks to, a worker holds only so much of it.

The worker is a real process and is measured from outside. TAXIMETER_BIG_MB sets how much passes (200 by default).
"""

import asyncio
import hashlib
import json
import os
import zlib
from contextlib import suppress

import aiohttp
import pytest

from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import ASKS_STREAM, CHAT, FILES, OK, get, post, write_until_blocked
from tests.fakes.raw_upstream import raw_upstream
from tests.fakes.until import until
from tests.fakes.whole import CONFIG, serving, taximeter

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

MB = 1_000_000
BIG = int(os.environ.get("TAXIMETER_BIG_MB", "200"))
BLOCK = bytes(range(250)) * (MB // 250)
PATIENCE_S = 300.0
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ASKS = b'{"model":"m"}'
ASKS_USAGE = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'
PASSING_MB = 30
"""What a worker may grow by while anything passes."""
SLOW = 10
"""How many are slow at once."""
STUCK_S = 0.5
READING_MB = 110
"""And while something is read: an event of 16 MiB or a body of 32 MiB, and a copy of it."""


class Growth:
    """How much a worker grew at most since this was made."""

    def __init__(self, worker):
        worker.forget_peak()
        self._worker = worker
        self._before = worker.rss_bytes

    @property
    def mb(self):
        return (self._worker.peak_bytes - self._before) / MB


async def sent(worker, head, blocks=()):
    """Send a request, count and hash the answer as it comes."""
    reader, writer = await worker.connect()

    async def send():
        writer.write(head)
        for block in blocks:
            writer.write(block)
            await writer.drain()

    async def take():
        start, digest, size = b"", hashlib.sha256(), 0
        while piece := await reader.read(MB):
            start = start or piece[:2000]
            digest.update(piece)
            size += len(piece)
        return start, size, digest.hexdigest()

    async with asyncio.timeout(PATIENCE_S):
        _, taken = await asyncio.gather(send(), take())
    writer.close()
    return taken


def says(head, blocks=(), end=b""):
    """A provider that takes a request of any size and says this."""

    async def play(conversation):
        await take_request(conversation, lambda _piece: None)
        await conversation.say(head, *blocks, end)

    return play


async def take_request(conversation, on_piece):
    head = (await conversation.reader.readuntil(b"\r\n\r\n")).lower()
    if b"\r\nexpect: " in head:
        await conversation.say(b"HTTP/1.1 100 Continue\r\n\r\n")
    if b"transfer-encoding: chunked" in head:
        while size := int(await conversation.reader.readuntil(b"\r\n"), 16):
            on_piece((await conversation.reader.readexactly(size + 2))[:-2])
        await conversation.reader.readexactly(2)
        return
    left = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
    while left:
        piece = await conversation.reader.read(min(left, MB))
        assert piece
        on_piece(piece)
        left -= len(piece)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("head", "block", "end"),
    [
        (b"Content-Length: %d\r\n\r\n" % (BIG * MB), BLOCK, b""),
        (CHUNKED + b"\r\n", chunk(BLOCK), b"0\r\n\r\n"),
        (b"\r\n", BLOCK, b""),
    ],
    ids=["length", "chunks", "until close"],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_download_passes_in_constant_memory(worker, upstream_that, version, head, block, end):
    play = says(b"HTTP/1.1 200 OK\r\n" + head, [block] * BIG, end)
    async with upstream_that(play):
        growth = Growth(worker)
        start, size, _ = await sent(worker, get(FILES).replace(b"1.1", version))

        assert start.startswith(b"HTTP/1.1 200 OK\r\n")
        assert size > BIG * MB
        assert growth.mb < PASSING_MB
        assert (await worker.ended(read_answer(start).call_id)).response_bytes == BIG * MB


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_an_upload_passes_in_constant_memory(worker, upstream_that, chunked):
    boundary = b"--x\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n", b"\r\n--x--\r\n"
    blocks = [boundary[0], *[BLOCK] * BIG, boundary[1]]
    length = sum(map(len, blocks))
    wanted, got = hashlib.sha256(), hashlib.sha256()
    for block in blocks:
        wanted.update(block)
    framing = CHUNKED[:-2] if chunked else b"Content-Length: %d" % length
    head = get(b"/openai/v1/files", b"Content-Type: multipart/form-data; boundary=x", framing, method=b"POST")

    async def play(conversation):
        await take_request(conversation, got.update)
        await conversation.say(OK)

    async with upstream_that(play):
        growth = Growth(worker)
        start, _, _ = await sent(worker, head, [*map(chunk, blocks), b"0\r\n\r\n"] if chunked else blocks)

        assert read_answer(start).status == 200
        assert got.hexdigest() == wanted.hexdigest()
        assert growth.mb < PASSING_MB
        assert (await worker.ended(read_answer(start).call_id)).request_bytes == length


@pytest.mark.parametrize(
    ("start", "filler", "end"),
    [(b'{"model":"m","x":"', b"x", b'"}'), (b"", b"x", b""), (b"", b"[", b"")],
    ids=["json", "no json", "brackets"],
)
async def test_a_chat_of_100_mb_is_held_twice_at_most_and_let_go(worker, upstream_that, start, filler, end):
    body = start + filler * (100 * MB) + end
    async with upstream_that(says(OK)):
        growth, before = Growth(worker), worker.rss_bytes
        answer, _, _ = await sent(worker, post(CHAT, body))

        assert read_answer(answer).status == 200
        assert growth.mb < 2 * 100 + PASSING_MB
        await until(lambda: worker.rss_bytes - before < PASSING_MB * MB)


@pytest.mark.parametrize("path", [CHAT, FILES])
async def test_requests_that_break_off_leave_nothing_in_memory(worker, upstream_that, path):
    async with upstream_that(says(OK)):
        before = worker.rss_bytes
        for number in range(5):
            session = f"breaks-off-{path}-{number}"
            _, writer = await worker.connect()
            line = b"x-taximeter-session: " + session.encode()
            writer.write(get(path, line, b"Content-Length: %d" % (50 * MB), method=b"POST"))
            for _ in range(49):
                writer.write(BLOCK)
                await writer.drain()
            writer.transport.abort()
            await worker.ended_of(session)

        await until(lambda: worker.rss_bytes - before < PASSING_MB * MB)
        assert worker.alive


def bomb(times):
    """Gzip that unpacks to `times` times 64 MB, a thousand times its size; of members, as a long body may be."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    member = packer.compress(bytes(64 * MB)) + packer.flush()
    return member * times


BOMB = bomb(160)
"""10 MB that become 10 GB."""


async def test_a_bomb_in_a_request_passes_unread(worker, upstream_that):
    received = bytearray()

    async def play(conversation):
        await take_request(conversation, received.extend)
        await conversation.say(OK)

    async with upstream_that(play):
        growth = Growth(worker)
        answer, _, _ = await sent(worker, post(CHAT, BOMB, b"Content-Encoding: gzip"))

        assert read_answer(answer).status == 200
        assert received == BOMB
        assert growth.mb < READING_MB
        await worker.lost("request_too_large")


# name -> what is asked, what is answered, how the metering gives up (None: it need not)
ENDLESS = {
    "a body without end": (ASKS, JSON + CHUNKED + b"\r\n" + chunk(b"{"), chunk(BLOCK), "body_too_large"),
    "a body of brackets": (ASKS, JSON + CHUNKED + b"\r\n" + chunk(b"{"), chunk(b"[" * MB), "body_too_large"),
    "a text": (ASKS, JSON + CHUNKED + b"\r\n", chunk(b"x" * MB), "body_too_large"),
    "a list": (ASKS, JSON + CHUNKED + b"\r\n" + chunk(b'[{"a":"'), chunk(b"x" * MB), "body_too_large"),
    "an event, read": (ASKS_USAGE, STREAM + CHUNKED + b"\r\n" + chunk(b"data: {"), chunk(b"x" * MB), "event_too_long"),
    "an event, edited": (
        ASKS_STREAM,
        STREAM + CHUNKED + b"\r\n" + chunk(b"data: {"),
        chunk(b"x" * MB),
        "event_too_long",
    ),
    "an event of many lines": (
        ASKS_STREAM,
        STREAM + CHUNKED + b"\r\n",
        chunk(b"data: " + b"x" * 1000 + b"\n") * 1000,
        "event_too_long",
    ),
    "a comment": (ASKS_STREAM, STREAM + CHUNKED + b"\r\n" + chunk(b": "), chunk(b"x" * MB), None),
    "blank lines": (ASKS_STREAM, STREAM + CHUNKED + b"\r\n", chunk(b"\n" * 10_000), None),
    "carriage returns": (ASKS_USAGE, STREAM + CHUNKED + b"\r\n", chunk(b"\r" * 10_000), None),
}


@pytest.mark.parametrize(("asked", "head", "block", "reason"), ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_without_end_passes_and_the_metering_gives_up_in_fixed_memory(
    worker, upstream_that, asked, head, block, reason
):
    async with upstream_that(says(head, [block] * BIG, b"0\r\n\r\n")):
        growth = Growth(worker)
        start, size, _ = await sent(worker, post(CHAT, asked))

        payload = len(read_answer(head + block + b"0\r\n\r\n").payload)
        first = len(read_answer(head + b"0\r\n\r\n").payload)
        call = await worker.ended(read_answer(start).call_id)
        assert call.response_bytes == first + (payload - first) * BIG
        assert size > call.response_bytes
        assert growth.mb < READING_MB
        assert not reason or call.attempts[0].unread == reason


@pytest.mark.parametrize(
    ("asked", "head"), [(ASKS, JSON), (ASKS_USAGE, STREAM)], ids=["whole", "a stream that is only read"]
)
async def test_a_bomb_in_an_answer_passes_and_the_metering_gives_up(worker, upstream_that, asked, head):
    said = head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
    async with upstream_that(says(said, [BOMB])):
        growth = Growth(worker)
        start, _, digest = await sent(worker, post(CHAT, asked))

        head_bytes = len(start.partition(b"\r\n\r\n")[0]) + 4
        assert digest == hashlib.sha256(start[:head_bytes] + BOMB).hexdigest()
        assert growth.mb < READING_MB
        call = await worker.ended(read_answer(start).call_id)
        assert (call.outcome, call.attempts[0].unread) == ("ok", "too_large")


async def test_a_bomb_in_a_stream_that_has_to_be_edited_breaks_off(worker, upstream_that):
    # It would have to be unpacked and packed again, all 10 GB of it: there is nothing that could be passed instead.
    said = STREAM + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
    async with upstream_that(says(said, [BOMB])):
        growth = Growth(worker)
        start, _, _ = await sent(worker, post(CHAT, ASKS_STREAM))

        assert not read_answer(start).complete
        assert growth.mb < READING_MB
        call = await worker.ended(read_answer(start).call_id)
        assert (call.outcome, call.attempts[0].unread) == ("broken", "too_large")


async def test_an_app_that_reads_nothing_holds_up_its_provider_and_not_the_worker(worker, upstream_that):
    said, stuck = 0, []

    async def play(conversation):
        nonlocal said
        await take_request(conversation, lambda _piece: None)
        await conversation.say(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(STUCK_S):
                    await conversation.say(BLOCK)
                said += len(BLOCK)
        stuck.append(conversation)
        await conversation.gone()

    async with upstream_that(play):
        growth = Growth(worker)
        apps = [await worker.connect() for _ in range(SLOW)]
        for reader, writer in apps:
            reader._transport.pause_reading()
            writer.write(get(FILES))
        await until(lambda: len(stuck) == SLOW, limit_s=PATIENCE_S)
        for _, writer in apps:
            writer.transport.abort()

        assert 0 < said < SLOW * BIG * MB
        assert growth.mb < PASSING_MB


async def test_a_provider_that_reads_nothing_holds_up_its_apps_and_not_the_worker(worker, upstream_that):
    async def play(conversation):
        await conversation.reader.readuntil(b"\r\n\r\n")
        conversation.writer.transport.pause_reading()
        await over.wait()

    over = asyncio.Event()
    async with upstream_that(play):
        growth = Growth(worker)
        apps = [await worker.connect() for _ in range(SLOW)]
        for _, writer in apps:
            writer.write(get(FILES, b"Content-Length: %d" % (BIG * MB), method=b"POST"))
        await asyncio.gather(*(write_until_blocked(writer, BLOCK) for _, writer in apps))
        for _, writer in apps:
            writer.transport.abort()
        over.set()

        assert growth.mb < PASSING_MB


async def test_what_the_metering_gave_up_is_on_the_books_and_told_by_doctor(tmp_path):
    said = says(JSON + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), [BOMB])
    async with raw_upstream(said) as upstream:
        config = f"{CONFIG}providers:\n  p: {{kind: openai, base_url: '{upstream.url}'}}\n"
        async with serving(tmp_path, config=config) as whole, aiohttp.ClientSession(auto_decompress=False) as session:
            async with session.post(f"{whole.url}/p/v1/chat/completions", data=ASKS) as answer:
                assert await answer.read() == BOMB
            sql = "SELECT unread, outcome FROM attempts FORMAT JSONEachRow"
            async with asyncio.timeout(PATIENCE_S):
                while not (output := (await taximeter(tmp_path, "sql", sql))[1]):
                    pass
            assert json.loads(output) == {"unread": "too_large", "outcome": "ok"}
            _, output, _ = await taximeter(tmp_path, "doctor", "--format", "json")
            losses = next(found for found in json.loads(output)["findings"] if found["about"] == "losses")
            assert "too_large" in str(losses)

"""What bad input gets from a real worker process: the bytes pass, metering gives up with a counted reason, memory stays."""

import asyncio
import gzip
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.raw_upstream import Conversation, raw_upstream
from tests.fakes.whole import CONFIG, Whole, serving, taximeter

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

MB = 1024 * 1024
TRANSFER_MB = int(os.environ.get("TAXIMETER_TRANSFER_MB", "200"))
"""Of one upload and one download; 1024 for the gigabyte of the promise."""
BLOCK = b"x" * MB


def post(path: str, length: int, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


class Worker:
    """The worker of a running Taximeter, as it looks from outside."""

    def __init__(self, whole: Whole) -> None:
        self._whole = whole
        self._proc = Path(f"/proc/{whole.pid('worker-0')}")
        self.before_bytes = self._memory("VmRSS")
        (self._proc / "clear_refs").write_text("5")  # the peak is counted from here on

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self._whole.state["listen"]["port"], limit=1 << 24)

    @property
    def grown_bytes(self) -> int:
        return self._memory("VmHWM") - self.before_bytes

    def _memory(self, name: str) -> int:
        lines = (self._proc / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024

    async def row(self, columns: str) -> dict:
        """The row of the only call, once it is there."""
        async with asyncio.timeout(30):
            while True:
                sql = f"SELECT {columns} FROM attempts FORMAT JSONEachRow"
                _, output, _ = await taximeter(self._whole.folder, "sql", sql)
                if output:
                    return json.loads(output)

    async def losses(self) -> dict:
        _, output, _ = await taximeter(self._whole.folder, "doctor", "--format", "json")
        return next(found for found in json.loads(output)["findings"] if found["about"] == "losses")


@asynccontextmanager
async def worker_before(play, folder: Path):
    async with raw_upstream(play) as upstream:
        config = f"{CONFIG}workers: 1\nproviders:\n  openai: {{base_url: '{upstream.url}'}}\n"
        async with serving(folder, config=config) as whole:
            yield Worker(whole)


async def drained(reader: asyncio.StreamReader) -> int:
    """Bytes until the end, thrown away."""
    count = 0
    while data := await reader.read(MB):
        count += len(data)
    return count


async def test_a_large_download_and_a_large_upload_take_constant_memory(tmp_path):
    async def play(conversation: Conversation) -> None:
        head = await conversation.reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            left = TRANSFER_MB * MB
            while left:
                left -= len(await conversation.reader.read(min(left, MB)))
            await conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        await conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (TRANSFER_MB * MB))
        for _ in range(TRANSFER_MB):
            await conversation.say(BLOCK)

    async with worker_before(play, tmp_path) as worker:
        reader, writer = await worker.connect()
        writer.write(b"GET /openai/v1/files/f/content HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert await drained(reader) > TRANSFER_MB * MB
        writer.close()
        reader, writer = await worker.connect()
        writer.write(post("/openai/v1/files", TRANSFER_MB * MB))
        for _ in range(TRANSFER_MB):
            writer.write(BLOCK)
            await writer.drain()
        assert (await reader.read(-1)).endswith(b"ok")
        writer.close()

        assert worker.grown_bytes < 40 * MB


async def test_a_chat_body_of_100_mb_reaches_the_provider_whole(tmp_path):
    body = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 100 * MB + b'"}]}'

    async def play(conversation: Conversation) -> None:
        _, got = await conversation.request()
        assert got == body
        await conversation.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")

    async with worker_before(play, tmp_path) as worker:
        reader, writer = await worker.connect()
        writer.write(post("/openai/v1/chat/completions", len(body)) + body)
        answer = await reader.read(-1)
        writer.close()

        assert answer.startswith(b"HTTP/1.1 413 Too Large")
        assert await worker.row("model_requested, error_class") == {
            "model_requested": "m",
            "error_class": "request_too_large",
        }


@pytest.mark.parametrize(
    ("head", "make", "reason"),
    [
        (b"Content-Type: text/event-stream", lambda: [b"data: ", *[BLOCK] * 100], "event_too_long"),
        (b"Content-Type: application/json", lambda: [b'{"a":"', *[BLOCK] * 100], "body_too_large"),
        (
            b"Content-Type: application/json\r\nContent-Encoding: gzip",
            lambda: [gzip.compress(b"0" * (400 * MB))],
            "too_large",
        ),
    ],
    ids=["endless event", "endless body", "gzip bomb"],
)
async def test_an_answer_without_measure_passes_and_metering_gives_up_in_fixed_memory(tmp_path, head, make, reason):
    pieces = make()
    size = sum(map(len, pieces))

    async def play(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nContent-Length: %d\r\n\r\n" % size, *pieces)

    async with worker_before(play, tmp_path) as worker:
        reader, writer = await worker.connect()
        writer.write(post("/openai/v1/chat/completions", 13) + b'{"model":"m"}')
        assert await drained(reader) > size
        writer.close()

        assert worker.grown_bytes < 120 * MB
        assert await worker.row("unread, outcome") == {"unread": reason, "outcome": "ok"}
        assert reason in str(await worker.losses())

"""A provider whose every answer says which request it answers: the number is the usage that it states.

A request carries its number in the header `x-number`. Whole answers take a moment, streams come in pieces with pauses,
so that there is always something under way.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.raw_upstream import Conversation, raw_upstream

PIECES = 12
"""Events with content in a stream."""
OUTPUT_TOKENS = 7
_WHOLE_S = 0.08
_PIECE_S = 0.02
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class NumberedProvider:
    """What it was asked: number -> how often."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: Counter[int] = Counter()

    async def play(self, conversation: Conversation) -> None:
        """Answer one request after the other."""
        while True:
            head, body = await conversation.request()
            number = int(head.lower().partition(b"\r\nx-number: ")[2].partition(b"\r\n")[0])
            self.asked[number] += 1
            answer = _stream if json.loads(body)["stream"] else _whole
            await answer(conversation, number)


async def _whole(conversation: Conversation, number: int) -> None:
    await asyncio.sleep(_WHOLE_S)  # its own pace: no test waits for it
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
    body = json.dumps({"id": f"c-{number}", "model": "m", "choices": [choice], "usage": _usage(number)}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    await conversation.say(head + body)


async def _stream(conversation: Conversation, number: int) -> None:
    await conversation.say(_STREAM_HEAD)
    for piece in range(PIECES):
        await asyncio.sleep(_PIECE_S)  # likewise
        delta = {"index": 0, "delta": {"content": f"{piece} "}, "finish_reason": None}
        await conversation.say(_event({"id": f"c-{number}", "model": "m", "choices": [delta], "usage": None}))
    finish = {"index": 0, "delta": {}, "finish_reason": "stop"}
    await conversation.say(
        _event({"id": f"c-{number}", "model": "m", "choices": [finish], "usage": None}),
        _event({"id": f"c-{number}", "model": "m", "choices": [], "usage": _usage(number)}),
        _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n",
    )


def _usage(number: int) -> dict[str, int]:
    return {"prompt_tokens": number, "completion_tokens": OUTPUT_TOKENS, "total_tokens": number + OUTPUT_TOKENS}


def _event(chunk: dict[str, object]) -> bytes:
    return _chunk(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def numbered_provider() -> AsyncIterator[NumberedProvider]:
    """One that answers until the block ends."""
    provider = NumberedProvider()
    async with raw_upstream(provider.play) as upstream:
        provider.url = upstream.url
        yield provider

"""A provider whose every answer says which request it answers: the number is the usage that it states.

A request carries its number in the header `x-number` and what it wants in `x-play`: see `PLAYS`.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.raw_upstream import Conversation, raw_upstream

WHOLE, STREAM, SLOW, ERROR, BUSY, LEAVE = "whole", "stream", "slow", "error", "busy", "leave"
PLAYS = (WHOLE, STREAM, SLOW, ERROR, BUSY, LEAVE)
"""A whole answer, a stream, a long stream, a 500, a 429, and a stream that its app leaves in the middle."""
STATUSES = {ERROR: 500, BUSY: 429}
OUTPUT_TOKENS = 7
_PIECES = 12
_WHOLE_S = 0.06
_PIECE_S = {STREAM: 0.02, SLOW: 0.1, LEAVE: 0.05}
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Provider:
    """What it was asked: number -> how often."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: Counter[int] = Counter()

    async def play(self, conversation: Conversation) -> None:
        """Answer one request after the other."""
        while True:
            head, _ = await conversation.request()
            number, play = int(field(head.lower(), b"x-number")), field(head.lower(), b"x-play").decode()
            self.asked[number] += 1
            if play in _PIECE_S:
                await _stream(conversation, number, _PIECE_S[play])
            else:
                await _whole(conversation, number, STATUSES.get(play, 200))


def field(head: bytes, name: bytes) -> bytes:
    """The value of a header in a head of small letters; empty when it is not there."""
    return head.partition(b"\r\n%b: " % name)[2].partition(b"\r\n")[0]


async def _whole(conversation: Conversation, number: int, status: int) -> None:
    await asyncio.sleep(_WHOLE_S)  # its own pace: no test waits for it
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
    answer: dict[str, object] = {"id": f"c-{number}", "model": "m", "choices": [choice], "usage": _usage(number)}
    if status != 200:
        answer = {"error": {"message": f"no answer to {number}", "type": "server_error", "code": None}}
    body = json.dumps(answer).encode()
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    await conversation.say(head + body)


async def _stream(conversation: Conversation, number: int, piece_s: float) -> None:
    await conversation.say(_STREAM_HEAD)
    for piece in range(_PIECES):
        await asyncio.sleep(piece_s)  # likewise
        await conversation.say(_event(number, {"content": f"{piece} "}))
    await conversation.say(
        _event(number, {}, finish="stop"),
        _chunk({"id": f"c-{number}", "model": "m", "choices": [], "usage": _usage(number)}),
        b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
    )


def _event(number: int, delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _chunk({"id": f"c-{number}", "model": "m", "choices": [choice], "usage": None})


def _chunk(event: dict[str, object]) -> bytes:
    data = b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def _usage(number: int) -> dict[str, int]:
    return {"prompt_tokens": number, "completion_tokens": OUTPUT_TOKENS, "total_tokens": number + OUTPUT_TOKENS}


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """One that answers until the block ends."""
    answering = Provider()
    async with raw_upstream(answering.play) as upstream:
        answering.url = upstream.url
        yield answering

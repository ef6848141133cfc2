"""A provider that replays recorded answers: the case is named by a header, and the bytes go out as they were recorded."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.raw_upstream import Conversation, RawUpstream, raw_upstream
from tests.fakes.wire import Case

CASE_HEADER = "x-wire-case"


@asynccontextmanager
async def replay(recorded: list[Case]) -> AsyncIterator[RawUpstream]:
    """Serve these cases until the block ends."""
    known = {case.id: case for case in recorded}

    async def play(conversation: Conversation) -> None:
        while True:
            head, _ = await conversation.request()
            name = head.lower().partition(CASE_HEADER.encode() + b": ")[2].partition(b"\r\n")[0].decode()
            await _answer(conversation, known[name])

    async with raw_upstream(play) as upstream:
        yield upstream


async def _answer(conversation: Conversation, case: Case) -> None:
    headers = dict(case.meta["response"]["headers"])
    streamed = headers.get("content-type", "").startswith("text/event-stream")
    framing = {"transfer-encoding": "chunked"} if streamed else {"content-length": str(len(case.stored))}
    lines = [f"HTTP/1.1 {case.status} X", *(f"{name}: {value}" for name, value in (headers | framing).items())]
    await conversation.say("\r\n".join([*lines, "", ""]).encode())
    pieces = list(_pieces(case))
    if streamed:
        await conversation.say(*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece), b"0\r\n\r\n")
    else:
        await conversation.say(*pieces)


def _pieces(case: Case):
    """The stored body, cut at the offsets of the case, else in four."""
    size = len(case.stored)
    offsets = case.meta["split_offsets"] if case.stored == case.body else None
    bounds = [0, *(offsets or [size // 4, size // 2, size * 3 // 4]), size]
    for start, end in itertools.pairwise(bounds):
        yield case.stored[start:end]

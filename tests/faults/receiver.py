"""The receiving end of a webhook: it remembers the calls that it took, and can be away."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.raw_upstream import Conversation, raw_upstream


class Receiver:
    """What a webhook brings."""

    def __init__(self) -> None:
        self.url = ""
        self.is_up = True
        self.calls: set[str] = set()
        """Ids of calls that it said it has taken."""

    async def play(self, conversation: Conversation) -> None:
        """Answer one message after the other."""
        while True:
            _, body = await conversation.request()
            if self.is_up:
                self.calls |= {call["call_id"] for call in json.loads(body)["data"]["calls"]}
            status = b"200 OK" if self.is_up else b"503 Unavailable"
            await conversation.say(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """One that answers until the block ends."""
    answering = Receiver()
    async with raw_upstream(answering.play) as upstream:
        answering.url = upstream.url
        yield answering

"""A process of apps that call without end through proxies that are killed under them.

`python tests/overshoot/apps.py JSON` is that process. It is independent of the product: bare sockets, and no more HTTP
than answers need. It ends at the end of its stdin, when the calls under way are over, and says what it counted.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

GENERATION_S = 2.0
"""After so long the apps call in the name of others, who have spent nothing yet."""
PATIENCE_S = 20.0
OWN_KEY = "sk-of-an-app-0123456789"
"""What callers have who have no virtual key: it goes to the provider as it is, and to no other."""


class Apps:
    """All apps of the process.

    Args:
        order: `name`, `seed`, `apps` (how many), `began_s` (Unix time), `round`, `states` (files that say where the
            proxies listen).
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.dice = random.Random(order["seed"])
        self.counts: Counter[str] = Counter()
        self.stopping = asyncio.Event()
        self.number = 0

    async def run(self) -> None:
        """Until stdin ends."""
        asyncio.get_running_loop().add_reader(0, self.stop)
        await asyncio.gather(*(self.app(number) for number in range(self.order["apps"])))
        sys.stdout.write(json.dumps(self.counts))

    def stop(self) -> None:
        """Every app ends after the call that it is in."""
        asyncio.get_running_loop().remove_reader(0)
        self.stopping.set()

    async def app(self, number: int) -> None:
        """One app: call after call, on a connection that is kept as long as it lasts."""
        states = self.order["states"]
        while not self.stopping.is_set():
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ValueError, KeyError):
                await self.calls_on_a_connection(Path(states[number % len(states)]))
            await asyncio.sleep(0.05 + 0.1 * self.dice.random())

    async def calls_on_a_connection(self, state: Path) -> None:
        """Where the proxy listens now is asked for each connection: it may have been started anew."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port(state))
        try:
            keeps = True
            while keeps and not self.stopping.is_set():
                leaves_after = self.dice.randint(0, 6) if self.dice.random() < 0.1 else -1
                self.counts["sent"] += 1
                writer.write(self.request(virtual_key(state) if self.dice.random() < 0.7 else OWN_KEY))
                async with asyncio.timeout(PATIENCE_S):
                    keeps = await self.answer(reader, leaves_after)
        finally:
            writer.transport.abort()

    def request(self, key: str) -> bytes:
        """A call of a random size, in a random name."""
        dice, order = self.dice, self.order
        self.number += 1
        number = f"{order['name']}-{self.number}"
        generation = int((time.time() - order["began_s"]) / GENERATION_S)
        org = f"r{order['round']}g{generation}"
        team = f"{org}t{dice.randrange(2)}"
        project = f"{team}p{dice.randrange(2)}"
        user = f"{project}u{dice.randrange(2)}"
        if dice.random() < 0.1:
            return picture_bytes(number, key, (org, team, project, user), dice.randint(1, 3))
        provider, model = dice.choice((("n1", "over-a"), ("n2", "over-b"), ("n1", "both"), ("n1", "race")))
        max_tokens = int(10 ** (1 + 2.5 * dice.random()))
        return request_bytes(
            number, key, (org, team, project, user), provider, model, max_tokens, streamed=dice.random() < 0.4
        )

    async def answer(self, reader: asyncio.StreamReader, leaves_after: int) -> bool:
        """Take an answer in, or leave in the middle; whether its connection can carry another call."""
        if leaves_after == 0:
            self.counts["left"] += 1
            await asyncio.sleep(0.1 * self.dice.random())
            return False
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        refused = b"x-taximeter-error: budget_exceeded" in head
        if length := field(head, b"content-length"):
            body = await reader.readexactly(int(length))
            refused |= b"budget_exceeded" in body
        else:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
                leaves_after -= 1
                if leaves_after == 0:
                    self.counts["left"] += 1
                    return False
            await reader.readexactly(2)
        self.counts["refused" if refused else f"status {status}"] += 1
        if refused:
            await asyncio.sleep(0.05 + 0.1 * self.dice.random())
        return field(head, b"connection") != b"close"


def virtual_key(state: Path) -> str:
    """The virtual key that the Taximeter of a state file knows."""
    return (state.parents[2] / "virtual-key").read_text()


def port(state: Path) -> int:
    """Where the Taximeter of a state file listens."""
    found: int = json.loads(state.read_text())["listen"]["port"]
    return found


def request_bytes(
    number: str, key: str, scopes: tuple[str, ...], provider: str, model: str, max_tokens: int, *, streamed: bool
) -> bytes:
    """A call of a chat."""
    asked = {
        "model": model,
        "max_tokens": max_tokens,
        "stream": streamed,
        "messages": [{"role": "user", "content": "Where is the taxi?"}],
    }
    return _request(f"/{provider}/v1/chat/completions", number, key, scopes, asked)


def picture_bytes(number: str, key: str, scopes: tuple[str, ...], pictures: int) -> bytes:
    """A call that is paid by the picture, on a path that no dialect reads."""
    asked = {"model": "over-pics", "prompt": "a taxi in the rain", "n": pictures}
    return _request("/n1/v1/images/generations", number, key, scopes, asked)


def _request(target: str, number: str, key: str, scopes: tuple[str, ...], asked: dict[str, Any]) -> bytes:
    """What it says of itself goes through to the provider as well."""
    org, team, project, user = scopes
    body = json.dumps(asked).encode()
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: proxy",
        "Content-Type: application/json",
        f"Authorization: Bearer {key}",
        f"x-number: {number}",
        f"x-scopes: {'/'.join(scopes)}",
        f"x-taximeter-session: {number}",
        f"x-taximeter-team: {team}",
        f"x-taximeter-project: {project}",
        f"x-taximeter-user: {user}",
        f"x-taximeter-tags: org={org}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def field(head: bytes, name: bytes) -> bytes:
    """The value of a header in a head of small letters; empty when it is not there."""
    return head.partition(b"\r\n%b: " % name)[2].partition(b"\r\n")[0]


async def _main() -> None:
    await Apps(json.loads(sys.argv[1])).run()


if __name__ == "__main__":
    asyncio.run(_main())

"""kill -9 of any of the processes at any moment: no finished call is lost, none is doubled.

An independent client counts the calls that finished for it; the store is asked for them at the end. The number of rounds
is TAXIMETER_KILL_ROUNDS; each round kills children one after the other under load, and at last the supervisor.
"""

import asyncio
import json
import os
import random
import signal

import aiohttp
import pytest

from tests.fakes.raw_upstream import Conversation, raw_upstream
from tests.fakes.until import until
from tests.fakes.whole import CONFIG, serving, taximeter

ROUNDS = int(os.environ.get("TAXIMETER_KILL_ROUNDS", "2"))
KILLS_A_ROUND = 4
CLIENTS = 4
STORED = "SELECT call_id, outcome FROM calls"
pytestmark = [pytest.mark.real, pytest.mark.timeout(120 + 60 * ROUNDS)]

WHOLE = b'{"id":"x","model":"gpt-4o-mini","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
EVENTS = [
    b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n',
    b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n',
    b"data: [DONE]\n\n",
]


async def answer(conversation: Conversation) -> None:
    """A provider that answers at once, streamed where it is asked to."""
    while True:
        _, body = await conversation.request()
        if b'"stream":true' in body:
            chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS]
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            await conversation.say(head, *chunks, b"0\r\n\r\n")
        else:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(WHOLE)
            await conversation.say(head + WHOLE)


class Load:
    """Clients that call without a pause, and what finished for them."""

    def __init__(self) -> None:
        self.finished: set[str] = set()
        self.broken = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, url: str) -> None:
        self._tasks = [asyncio.create_task(self._calls(url, number % 2 == 0)) for number in range(CLIENTS)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _calls(self, url: str, streamed: bool) -> None:
        body = b'{"model":"gpt-4o-mini","messages":[]%b}' % (b',"stream":true' if streamed else b"")
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.post(f"{url}/openai/v1/chat/completions", data=body) as got:
                        text = await got.read()
                        if got.status == 200 and text.endswith((b"[DONE]\n\n", b"}")):
                            self.finished.add(got.headers["x-taximeter-call-id"])
                except aiohttp.ClientError:
                    self.broken += 1


async def kill_children(whole, load: Load, dice: random.Random) -> int:
    """Kill one child after another, each at a random number of calls after the last was well again."""
    for _ in range(KILLS_A_ROUND):
        target = len(load.finished) + dice.randint(5, 150)
        await until(lambda target=target: len(load.finished) >= target, 60)
        children = {child["name"]: child["pid"] for child in whole.state["processes"]}
        victims = list(children) if dice.random() < 0.2 else [dice.choice(list(children))]
        for name in victims:
            os.kill(children[name], signal.SIGKILL)
        await until(
            lambda victims=victims, children=children: all(
                child["state"] == "ready" and (child["name"] not in victims or child["pid"] != children[child["name"]])
                for child in whole.state["processes"]
            ),
            60,
        )
    return KILLS_A_ROUND


async def rows(folder, sql: str):
    status, output, errors = await taximeter(folder, "sql", sql + " FORMAT JSONEachRow")
    assert status == 0, errors
    return [json.loads(line) for line in output.splitlines()]


async def test_no_finished_call_is_lost_and_none_is_doubled_whatever_is_killed(tmp_path):
    dice = random.Random(os.environ.get("TAXIMETER_KILL_SEED", "1"))
    load = Load()
    kills = 0
    async with raw_upstream(answer) as upstream:
        config = f"{CONFIG}workers: 2\nproviders:\n  openai: {{base_url: '{upstream.url}'}}\n"
        for _ in range(ROUNDS):
            async with serving(tmp_path, config=config) as whole:
                load.start(whole.url)
                kills += await kill_children(whole, load, dice)
                whole.process.kill()
                kills += 1
                await whole.ends()
                await load.stop()
        async with serving(tmp_path, config=config):
            async with asyncio.timeout(60):
                stored = await rows(tmp_path, STORED)
                while load.finished - {row["call_id"] for row in stored}:
                    stored = await rows(tmp_path, STORED)
            tries = await rows(tmp_path, "SELECT count() AS n, uniqExact(call_id, attempt) AS u FROM attempts")

    ids = [row["call_id"] for row in stored]
    outcomes = {row["call_id"]: row["outcome"] for row in stored}
    assert kills == ROUNDS * (KILLS_A_ROUND + 1)
    assert load.finished
    assert load.finished - set(ids) == set(), "lost"
    assert len(ids) == len(set(ids)), "doubled"
    assert tries[0]["n"] == tries[0]["u"], "an attempt is doubled"
    assert {outcomes[call_id] for call_id in load.finished} <= {"ok", "interrupted"}
    print(f"{kills} kills, {len(load.finished)} calls finished, {len(ids)} rows, lost 0, doubled 0")  # noqa: T201

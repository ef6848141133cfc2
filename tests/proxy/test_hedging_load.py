"""Many hedged calls at once against providers that do anything: each app gets one whole answer, and all is settled."""

import asyncio
import random

import pytest
from msgspec.structs import replace

from policies.ledger.sqlite_books import SqliteBooks
from policies.routes_compiled import BreakerRule, HedgeRule, RetryRule
from tests.fakes.growing_calls import HOLD, RATE, budget
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.raw_upstream import raw_upstream
from tests.fakes.routes import ASK_STREAM, CHAT, STREAM_HEAD, answer, chunks, delta, routed, streamed, two_targets
from tests.fakes.running_worker import running_worker

KEY = b"Authorization: Bearer app-key-00001"
BUSY = answer(b'{"error":{"message":"busy"}}', b"529 Busy")
CALLS = 60


def fickle(chance, name):
    """Silent, busy, cut short before its content, or good, as chance will have it; the app is told which provider."""

    async def play(conversation):
        while True:
            await conversation.request()
            kind = chance.randrange(5)
            if kind == 0:
                await conversation.gone()
                return
            if kind == 1:
                await conversation.say(BUSY)
            elif kind == 2:
                await conversation.say(STREAM_HEAD + chunks(delta(None), ends=False))
                conversation.reset()
                return
            else:
                whole = chunks(streamed(*[f"{name} "] * 40))
                for start in range(0, len(whole), 700):
                    await conversation.say((STREAM_HEAD if not start else b"") + whole[start : start + 700])

    return play


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_app_gets_one_answer_and_every_hold_is_settled(tmp_path, seed):
    chance = random.Random(seed)
    route = routed(
        ("a", None),
        ("b", "other"),
        ("a", "again"),
        hedge=HedgeRule(after_ms=3, most=2),
        retry=RetryRule(tries_each=2, tries_most=6, first_byte_ms=150, backoff_first_ms=1, backoff_most_ms=1),
        breaker=BreakerRule(failures_in_row=0, error_share=0),
    )
    rates = tuple(replace(RATE, provider=one, models=("m", "other", "again")) for one in ("a", "b"))
    policies = replace(route, budgets=(budget(limit=CALLS * 9 * HOLD),), rates=rates)

    async def app(worker, leaves):
        if not leaves:
            return read_answer(await worker.exchange(post(CHAT, ASK_STREAM, KEY)))
        _, writer = await worker.connect()
        writer.write(post(CHAT, ASK_STREAM, KEY))
        await writer.drain()
        writer.transport.abort()
        return None

    async with (
        raw_upstream(fickle(chance, "a")) as a,
        raw_upstream(fickle(chance, "b")) as b,
        running_worker(*two_targets(a.url, b.url), policies=policies, data_dir=tmp_path) as worker,
    ):
        gate = asyncio.Semaphore(12)

        async def gated(leaves):
            async with gate:
                return await app(worker, leaves)

        got = await asyncio.gather(*(gated(chance.random() < 0.1) for _ in range(CALLS)))
        calls = await worker.journal.calls(CALLS)
    for one in got:
        if one is None or one.status != 200:
            continue
        assert one.complete
        assert (one.payload.count(b"a "), one.payload.count(b"b ")) in {(40, 0), (0, 40)}
        assert one.payload.count(b"[DONE]") == 1
    assert sum(one is not None and one.status == 200 for one in got) > CALLS // 2
    assert len({call.call_id for call in calls}) == len(calls) == CALLS
    for call in calls:
        assert sorted(one.attempt for one in call.attempts) == list(range(1, len(call.attempts) + 1))
        assert sum(one.outcome == "ok" for one in call.attempts) <= 1
    assert any(one.rule == "way:hedge" for call in calls for one in call.attempts)
    (level,) = SqliteBooks(tmp_path / "ledger.sqlite").recorded()
    assert level.leased + level.spent == sum(call.draws[0].set_aside for call in calls if call.draws)
    assert worker.journal.losses == []

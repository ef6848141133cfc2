"""Streams that outlive their hold, over real sockets: what is held goes up in steps, and is settled once."""

import asyncio
import random
from decimal import Decimal

import msgspec
import pytest

from exporters.recorder.interrupted import close_interrupted
from policies.demand import Admitted, Demand, Refused
from policies.ledger.leases import LeasedLedger
from policies.ledger.sqlite_books import SqliteBooks
from policies.settling import Settler
from proxy.core.money import Money
from proxy.core.record import OpenRecord
from tests.fakes.growing_calls import ASK, ASSUMED, HOLD, MOST_USED, RATE, STEP, USD, budget, calling, leased, policies
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.raw_upstream import raw_upstream
from tests.fakes.routes import ASK_STREAM, STREAM_HEAD, USAGE, chunks, delta, event, streamed
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until


async def test_a_stream_that_goes_on_holds_one_step_after_the_other_and_settles_what_it_used(tmp_path):
    async with calling(tmp_path, budget()) as call:
        call.stage.say(STREAM_HEAD, chunks(MOST_USED, ends=False))
        await call.held_is(HOLD, HOLD + STEP)
        call.stage.say(chunks(delta("ab" * 200), ends=False))
        await call.held_is(HOLD, HOLD + STEP, HOLD + 3 * STEP)
        call.stage.say(chunks(streamed("end")))
        answer = read_answer(await call.rest())
        record = await call.record()

    assert answer.complete
    usage = event({"id": "x", "model": "m", "choices": [], "usage": USAGE})
    assert answer.payload == MOST_USED + delta("ab" * 200) + streamed("end").replace(usage, b"")
    assert record.outcome == "ok"
    assert f"budget:b:extended={(HOLD + 3 * STEP) / USD:g}USD" in record.reasons
    assert call.journal.opened[-1].hold.output_tokens == 4 * ASSUMED
    assert call.journal.losses == []


async def test_a_stream_that_stays_within_its_hold_is_left_alone(tmp_path):
    async with calling(tmp_path, budget(limit=HOLD)) as call:
        call.stage.say(STREAM_HEAD, chunks(delta("ab" * 80), streamed("")))
        answer = read_answer(await call.rest())

    assert answer.complete
    assert call.held == [HOLD]


async def test_a_call_with_a_bound_is_never_looked_at(tmp_path):
    data = post(b"/p/v1/chat/completions", ASK_STREAM.replace(b'"stream"', b'"max_tokens":100,"stream"'))
    async with calling(tmp_path, budget(limit=HOLD), data=data) as call:
        call.stage.say(STREAM_HEAD, chunks(delta("ab" * 5000), ends=False))
        call.stage.say(chunks(streamed("end")))
        answer = read_answer(await call.rest())
        record = await call.record()

    assert answer.complete
    assert record.outcome == "ok"
    assert call.held == [HOLD]


async def test_finish_lets_it_go_on_and_all_that_it_spent_is_on_the_books(tmp_path):
    full = budget(unit="output_tokens", limit=ASSUMED, cuts=False)
    roomy = budget(name="c", unit="output_tokens", limit=10**6)
    usage = {"prompt_tokens": 10, "completion_tokens": 4000, "total_tokens": 4010}
    async with calling(tmp_path, full, roomy) as call:
        call.stage.say(STREAM_HEAD, chunks(delta("ab" * 5000), ends=False))
        await until(lambda: [line.draws[1].held for line in call.journal.opened] == [100, 6300])
        call.stage.say(chunks(event({"id": "x", "choices": [], "usage": usage}), event(b"[DONE]")))
        answer = read_answer(await call.rest())
        record = await call.record()

    assert answer.complete
    assert record.outcome == "ok"
    assert "budget:b:finish" in record.reasons
    assert [(draw.held, draw.set_aside) for draw in record.draws] == [(100, 4000), (6300, 4000)]


async def test_after_a_crash_a_call_is_booked_at_what_it_held_last(tmp_path):
    async with calling(tmp_path, budget()) as call:
        call.stage.say(STREAM_HEAD, chunks(delta("ab" * 290), ends=False))
        await call.held_is(HOLD, HOLD + 3 * STEP)
        line = msgspec.json.encode(call.journal.opened[-1])
    opened = msgspec.json.decode(line, type=OpenRecord)
    interrupted = close_interrupted(opened, last_sign_ns=opened.started_at_ns)
    settler = Settler([RATE], host_currencies={}, provider_currencies={})

    assert interrupted.attempts[0].usage.output_tokens == 4 * ASSUMED
    assert interrupted.attempts[0].held_cost == Money(Decimal(HOLD + 3 * STEP) / USD, "USD")
    assert settler.amounts(interrupted.draws, interrupted) == [HOLD + 3 * STEP]


async def test_what_is_observed_only_says_that_it_would_have_ended_it(tmp_path):
    looks = budget(limit=HOLD, enforce="observe")
    shadow = budget(name="s", limit=HOLD, shadow=True)
    async with calling(tmp_path, looks, shadow) as call:
        call.stage.say(STREAM_HEAD, chunks(delta("ab" * 290), ends=False))
        await call.held_is(HOLD, HOLD + 3 * STEP)
        call.stage.say(chunks(streamed("end")))
        answer = read_answer(await call.rest())
        record = await call.record()

    assert answer.complete
    assert {"budget:b:would_cut", "shadow:budget:s:would_cut"} <= set(record.reasons)


async def test_a_call_elsewhere_that_ends_makes_room_before_the_hold_is_used_up(tmp_path):
    async with calling(tmp_path, budget(unit="output_tokens", limit=2 * ASSUMED)) as call:
        await call.held_is(ASSUMED)
        other = LeasedLedger(SqliteBooks(tmp_path / "ledger.sqlite"), "other")
        demand = Demand(
            counter="budget:b", family="budget:b", policy="budget:b", unit="output_tokens", amount=ASSUMED,
            limit=2 * ASSUMED, stated=2 * ASSUMED, top_ups=True,
        )  # fmt: skip
        assert isinstance(await other.admit("x", [demand], 0), Admitted)
        call.stage.say(STREAM_HEAD, chunks(MOST_USED, ends=False))
        async with asyncio.timeout(10):
            await call.reader.readuntil(MOST_USED)
        assert isinstance(await other.extend("x", [1], 0), Refused)
        other.release("x", 0)
        await call.held_is(ASSUMED, 2 * ASSUMED)
        call.stage.say(chunks(streamed("end")))
        record = await call.record()
        await other.close()

    assert record.outcome == "ok"


async def test_an_app_that_leaves_in_mid_stream_gives_nothing_back_of_what_was_extended(tmp_path):
    async with calling(tmp_path, budget()) as call:
        call.stage.say(STREAM_HEAD, chunks(MOST_USED, ends=False))
        await call.held_is(HOLD, HOLD + STEP)
        call.writer.transport.abort()
        record = await call.record()

    assert record.outcome == "cancelled"
    assert record.draws[0].held == record.draws[0].set_aside == HOLD + STEP
    assert leased(tmp_path) == HOLD + STEP


async def test_a_shutdown_settles_what_was_held_last(tmp_path):
    async with calling(tmp_path, budget()) as call:
        call.stage.say(STREAM_HEAD, chunks(MOST_USED, ends=False))
        await call.held_is(HOLD, HOLD + STEP)
    record = await call.record()

    assert record.draws[0].set_aside == HOLD + STEP
    assert leased(tmp_path) == HOLD + STEP
    assert len(call.journal.closed) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_however_many_streams_grow_at_once_a_hard_cap_is_never_passed(tmp_path, seed):
    chance = random.Random(seed)
    rule = budget(unit="output_tokens", limit=9 * ASSUMED + chance.randrange(6) * ASSUMED)

    async def play(conversation):
        await conversation.request()
        await conversation.say(STREAM_HEAD)
        for _ in range(chance.randrange(1, 12)):
            await conversation.say(chunks(delta("ab" * chance.randrange(1, 90)), ends=False))
            await until(lambda: True)
        if chance.random() < 0.3:
            await conversation.say(chunks(streamed("end")))
        else:
            await conversation.gone()

    async with (
        raw_upstream(play) as upstream,
        running_worker(
            provider("p", upstream.url, idle_timeout_s=2.0), policies=policies(rule), data_dir=tmp_path
        ) as worker,
    ):
        data = await asyncio.gather(*(worker.exchange(ASK) for _ in range(9)))
        records = await worker.journal.calls(9)
        books = SqliteBooks(tmp_path / "ledger.sqlite")
        assert sum(one.spent + one.leased for one in books.recorded()) <= rule.limit

    last = {line.call_id: line.draws[0].held for line in worker.journal.opened}
    assert sum(record.draws[0].set_aside for record in records) <= rule.limit
    assert len(last) == len(records) == 9
    for record in records:
        assert record.draws[0].held == last[record.call_id]
        assert record.draws[0].set_aside <= record.draws[0].held
        assert (record.outcome == "interrupted") == ("budget:b:cut" in record.reasons)
    cut = [record for record in records if "budget:b:cut" in record.reasons]
    assert cut
    assert len(cut) == sum(b"budget_exceeded" in answer for answer in data)
    assert worker.journal.losses == []

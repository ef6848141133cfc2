"""Streams that outlive their hold, over real sockets: what is held goes up in steps, and is settled once."""

from policies.ledger.sqlite_books import SqliteBooks
from tests.fakes.growing_calls import ASSUMED, HOLD, MOST_USED, STEP, USD, budget, calling, leased
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.routes import ASK_STREAM, STREAM_HEAD, USAGE, chunks, delta, event, streamed
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
    async with calling(tmp_path, budget(limit=HOLD, cuts=False)) as call:
        call.stage.say(STREAM_HEAD, chunks(delta("ab" * 5000), ends=False))
        await until(lambda: call.journal.opened)
        await until(lambda: SqliteBooks(tmp_path / "ledger.sqlite").recorded())
        call.stage.say(chunks(streamed("end")))
        answer = read_answer(await call.rest())
        record = await call.record()

    assert answer.complete
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

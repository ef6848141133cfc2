"""Hedged calls over real sockets: one answer reaches the app, the other is broken off, and both are on the books."""

import asyncio

import pytest
from msgspec.structs import replace

from exporters.recorder.interrupted import close_interrupted
from policies.pace import LEAST
from policies.routes_compiled import HedgeRule, RetryRule
from tests.fakes.growing_calls import ASSUMED, HOLD, RATE, budget
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.routes import (
    ASK,
    ASK_STREAM,
    CHAT,
    STREAM_HEAD,
    answer,
    chunks,
    delta,
    routed,
    said,
    streamed,
    two_targets,
)
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

KEY = b"Authorization: Bearer app-key-00001"
AT_ONCE = HedgeRule(after_ms=1)
GOOD = answer(said("good"))
GOOD_STREAM = STREAM_HEAD + chunks(streamed("good"))
BUSY = answer(b'{"error":{"message":"busy"}}', b"529 Busy")
ROLE_ALONE = STREAM_HEAD + chunks(delta(None), ends=False)


class Signals:
    """What the two providers tell each other, so that nothing depends on time."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        """The second one has the request."""
        self.closed = asyncio.Event()
        """The loser's connection was closed."""


def waits_for_the_other(signals, then):
    """Answers as soon as the other provider was asked, too."""

    async def play(conversation):
        await conversation.request()
        await signals.asked.wait()
        await conversation.say(then)
        await conversation.gone()

    return play


def silent(signals, first=b""):
    """Says no more than that, until it is left."""

    async def play(conversation):
        await conversation.request()
        signals.asked.set()
        await conversation.say(first)
        await conversation.gone()
        signals.closed.set()

    return play


async def exchanged(tmp_path, first, second, ask=ASK, **fields):
    policies = fields.pop("policies", None) or routed(**{"hedge": AT_ONCE} | fields)
    async with (
        raw_upstream(first) as a,
        raw_upstream(second) as b,
        running_worker(*two_targets(a.url, b.url), policies=policies, data_dir=tmp_path) as worker,
    ):
        data = await worker.exchange(post(CHAT, ask, KEY))
        (call,) = await worker.journal.calls(1)
    return read_answer(data), call, a.requests, b.requests, worker.journal


@pytest.mark.parametrize(
    ("ask", "start", "good"), [(ASK, b"", GOOD), (ASK_STREAM, b"", GOOD_STREAM), (ASK_STREAM, ROLE_ALONE, GOOD_STREAM)]
)
async def test_a_second_target_answers_for_a_slow_one(tmp_path, ask, start, good):
    signals = Signals()
    got, call, first, second, _ = await exchanged(tmp_path, silent(signals, start), answers(good), ask)

    assert got.complete
    assert got.fields[b"x-taximeter-target"] == b"b/other"
    assert got.fields[b"x-taximeter-attempts"] == b"2"
    assert b"good" in got.payload
    assert (len(first), len(second)) == (1, 1)
    assert "route:r:hedge=b/other" in call.reasons
    await signals.closed.wait()
    lost, won = call.attempts
    assert (lost.attempt, lost.target, lost.outcome, lost.rule) == (1, "a/*", "cancelled", "way:hedge")
    assert (won.attempt, won.target, won.outcome, won.usage.output_tokens) == (2, "b/other", "ok", 20)
    assert (call.outcome, call.status) == ("ok", 200)


async def test_what_the_loser_cost_is_estimated_where_its_answer_had_not_told(tmp_path):
    _, call, *_ = await exchanged(tmp_path, silent(Signals()), answers(GOOD))

    usage = call.attempts[0].usage
    assert call.attempts[0].in_doubt
    assert (usage.input_tokens, usage.source, usage.origin) == (-(-len(ASK) // 4), "estimated", "hedge")


async def test_a_first_target_that_is_fast_again_wins_and_the_second_is_broken_off(tmp_path):
    signals = Signals()
    got, call, *_ = await exchanged(
        tmp_path, waits_for_the_other(signals, GOOD_STREAM), silent(signals, ROLE_ALONE), ASK_STREAM
    )

    assert got.complete
    assert got.payload.endswith(b"data: [DONE]\n\n")
    assert got.fields[b"x-taximeter-target"] == b"a/*"
    await signals.closed.wait()
    lost, won = call.attempts
    assert [(one.attempt, one.target, one.outcome) for one in (lost, won)] == [
        (2, "b/other", "cancelled"),
        (1, "a/*", "ok"),
    ]


async def test_a_target_that_is_fast_enough_stays_alone(tmp_path):
    got, call, _, second, journal = await exchanged(
        tmp_path, answers(GOOD), answers(GOOD), hedge=HedgeRule(after_ms=60_000)
    )

    assert (got.payload, second, len(call.attempts)) == (said("good"), [], 1)
    assert [line.beside for line in journal.opened] == [()]


async def test_an_error_of_the_second_target_does_not_end_the_first(tmp_path):
    signals = Signals()

    async def fails(conversation):
        await conversation.request()
        await conversation.say(BUSY)
        signals.asked.set()
        await conversation.gone()

    got, call, *_ = await exchanged(tmp_path, waits_for_the_other(signals, GOOD), fails)

    assert got.payload == said("good")
    assert [(one.target, one.outcome) for one in call.attempts] == [("b/other", "error"), ("a/*", "ok")]
    assert call.outcome == "ok"


async def test_where_both_fail_the_call_goes_on_to_the_next_target(tmp_path):
    signals = Signals()

    async def fails(conversation):
        await conversation.request()
        signals.asked.set()
        await conversation.say(BUSY)
        await conversation.gone()

    policies = routed(("a", None), ("b", "other"), ("b", "third"), hedge=AT_ONCE)

    async def second(conversation):
        while True:
            _, body = await conversation.request()
            signals.asked.set()
            await conversation.say(GOOD if b"third" in body else BUSY)

    got, call, *_ = await exchanged(tmp_path, waits_for_the_other(signals, BUSY), second, policies=policies)

    assert got.payload == said("good")
    assert got.fields[b"x-taximeter-target"] == b"b/third"
    assert {one.target for one in call.attempts} == {"a/*", "b/other", "b/third"}
    assert sorted(one.attempt for one in call.attempts) == [1, 2, 3]
    assert call.attempts[-1].outcome == "ok"


async def test_an_app_that_leaves_ends_both(tmp_path):
    first, second = Signals(), Signals()
    async with (
        raw_upstream(silent(first)) as a,
        raw_upstream(silent(second)) as b,
        running_worker(*two_targets(a.url, b.url), policies=routed(hedge=AT_ONCE), data_dir=tmp_path) as worker,
    ):
        _, writer = await worker.connect()
        writer.write(post(CHAT, ASK, KEY))
        await until(lambda: a.requests and b.requests)
        writer.transport.abort()
        (call,) = await worker.journal.calls(1)
        await asyncio.wait_for(asyncio.gather(first.closed.wait(), second.closed.wait()), 5)

    assert (call.client_gone, call.outcome) == (True, "cancelled")
    assert [one.outcome for one in call.attempts] == ["cancelled", "cancelled"]


async def test_a_provider_that_falls_silent_is_left_by_its_own_limit_while_another_one_runs(tmp_path):
    async with (
        raw_upstream(silent(Signals())) as a,
        raw_upstream(silent(Signals())) as b,
        running_worker(
            provider("a", a.url, first_byte_timeout_s=0.1),
            provider("b", b.url, first_byte_timeout_s=0.1, api_key="operator-key-2"),
            policies=routed(hedge=AT_ONCE),
            data_dir=tmp_path,
        ) as worker,
    ):
        got = read_answer(await worker.exchange(post(CHAT, ASK, KEY)))
        (call,) = await worker.journal.calls(1)

    assert (got.status, len(a.requests), len(b.requests)) == (504, 1, 1)
    assert [one.error.error_class for one in call.attempts] == ["timeout", "timeout"]


async def test_a_shutdown_ends_both_and_books_both(tmp_path):
    async with raw_upstream(silent(Signals())) as a, raw_upstream(silent(Signals())) as b:
        async with running_worker(
            *two_targets(a.url, b.url), policies=routed(hedge=AT_ONCE), data_dir=tmp_path
        ) as worker:
            _, writer = await worker.connect()
            writer.write(post(CHAT, ASK, KEY))
            await until(lambda: a.requests and b.requests)
        (call,) = await worker.journal.calls(1)
        writer.close()

    assert sorted((one.target, one.outcome) for one in call.attempts) == [
        ("a/*", "interrupted"),
        ("b/other", "interrupted"),
    ]


async def test_both_stand_in_the_journal_before_the_second_begins_and_are_booked_after_a_crash(tmp_path):
    *_, journal = await exchanged(tmp_path, silent(Signals()), answers(GOOD))

    alone, both = journal.opened
    assert (alone.running.target, alone.beside) == ("a/*", ())
    assert (both.running.target, [one.target for one in both.beside]) == ("b/other", ["a/*"])
    closed = close_interrupted(both, last_sign_ns=both.started_at_ns + 1)
    assert [(one.attempt, one.target, one.outcome) for one in closed.attempts] == [
        (1, "a/*", "interrupted"),
        (2, "b/other", "interrupted"),
    ]
    assert all(one.usage.source == "estimated" for one in closed.attempts)


def with_budget(limit):
    base = routed(hedge=AT_ONCE, retry=RetryRule(tries_each=1, first_byte_ms=200))
    rates = tuple(replace(RATE, provider=one) for one in ("a", "b"))
    return replace(base, budgets=(budget(limit=limit),), rates=rates)


async def test_where_a_budget_has_no_room_for_a_second_target_there_is_none(tmp_path):
    _, call, _, second, _ = await exchanged(
        tmp_path, silent(Signals()), answers(GOOD), policies=with_budget(HOLD + HOLD // 2)
    )

    assert (second, len(call.attempts)) == ([], 1)
    assert "route:r:hedge=budget" in call.reasons


async def test_each_target_is_held_for_and_what_both_cost_is_settled(tmp_path):
    _, call, *_, journal = await exchanged(tmp_path, silent(Signals()), answers(GOOD), policies=with_budget(9 * HOLD))

    (draw,) = call.draws
    alone, both = (line.draws[0].held for line in journal.opened)
    assert (draw.held, both) == (2 * alone, 2 * alone)
    lost, won = call.attempts
    assert (lost.usage.output_tokens, won.usage.output_tokens) == (ASSUMED, 20)
    assert lost.held_cost == journal.opened[0].hold.cost
    assert draw.set_aside == draw.held  # what the loser cost nobody knows, and never takes for less than it may be


async def test_no_more_tries_are_made_than_the_route_allows(tmp_path):
    retry = RetryRule(tries_each=1, tries_most=1, first_byte_ms=50)
    _, call, _, second, _ = await exchanged(tmp_path, silent(Signals()), answers(GOOD), retry=retry)

    assert (second, len(call.attempts)) == ([], 1)


async def test_once_it_is_known_the_targets_own_95th_percentile_counts(tmp_path):
    hedge = HedgeRule(after_ms=60_000, use_p95=True)
    signals = Signals()

    async def play(conversation):
        for _ in range(LEAST):
            await conversation.request()
            await conversation.say(GOOD)
        await conversation.request()
        await conversation.gone()
        signals.closed.set()

    async with (
        raw_upstream(play) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(*two_targets(a.url, b.url), policies=routed(hedge=hedge), data_dir=tmp_path) as worker,
    ):
        for _ in range(LEAST):
            await worker.exchange(post(CHAT, ASK, KEY))
        assert b.requests == []
        got = read_answer(await worker.exchange(post(CHAT, ASK, KEY)))
        await worker.journal.calls(LEAST + 1)

    assert got.fields[b"x-taximeter-target"] == b"b/other"
    assert len(b.requests) == 1

"""Routed calls over real sockets: which target answers, what the app sees, what stands on the rows."""

import json

import pytest
from msgspec.structs import replace

from policies.compiled import CompiledPolicies
from policies.routes_compiled import BreakerRule, OutcomeRule, RetryRule, Routing
from proxy.settings import ProviderKey
from proxy.target_files import write_order
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
    event,
    routed,
    said,
    streamed,
    two_targets,
)
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider
from tests.fakes.until import until

KEY = b"Authorization: Bearer app-key-00001"
GOOD = answer(said("good"))
GOOD_STREAM = STREAM_HEAD + chunks(streamed("good"))


async def exchanged(first, second, ask=ASK, policies=None, tmp_path=None, **more):
    """One call through a route from `a` to `b`: the answer, the record, what each of them was sent."""
    async with (
        raw_upstream(first) as a,
        raw_upstream(second) as b,
        running_worker(*two_targets(a.url, b.url, **more), policies=policies or routed(), data_dir=tmp_path) as worker,
    ):
        data = await worker.exchange(post(CHAT, ask, KEY))
        (call,) = await worker.journal.calls(1)
    return read_answer(data), call, a.requests, b.requests, worker.journal


async def test_an_error_of_the_first_target_is_never_seen_where_the_second_is_good(tmp_path):
    busy = answer(b'{"error":{"message":"busy"}}', b"529 Busy")
    got, call, first, second, journal = await exchanged(answers(busy), answers(GOOD), tmp_path=tmp_path)

    assert (got.status, got.payload) == (200, said("good"))
    assert got.fields[b"x-taximeter-target"] == b"b/other"
    assert got.fields[b"x-taximeter-attempts"] == b"2"
    assert got.fields[b"x-taximeter-changes"] == b"model_replaced"
    assert json.loads(second[0].partition(b"\r\n\r\n")[2])["model"] == "other"
    lost, won = call.attempts
    assert (lost.target, lost.provider, lost.outcome, lost.error.error_class) == ("a/*", "a", "error", "overloaded")
    assert (won.target, won.provider, won.outcome, won.rule, won.usage.output_tokens) == (
        "b/other",
        "b",
        "ok",
        "ok",
        20,
    )
    assert (call.outcome, call.status, call.provider) == ("ok", 200, "a")
    assert len(journal.closed) == 1
    assert [one.running.target for one in journal.opened] == ["a/*", "b/other"]
    assert [len(one.ended) for one in journal.opened] == [0, 1]
    assert len(first) == 1


async def test_a_key_of_the_apps_own_never_goes_to_another_provider(tmp_path):
    _, _, first, second, _ = await exchanged(answers(answer(b"{}", b"500 Oops")), answers(GOOD), tmp_path=tmp_path)

    assert b"app-key-00001" in first[0]
    assert b"app-key-00001" not in second[0]
    assert b"Bearer operator-key-2" in second[0]


async def test_a_target_for_which_there_is_no_key_is_passed_over_and_the_reason_is_stated(tmp_path):
    oops = answer(b'{"error":{"message":"no"}}', b"500 Oops")
    got, call, _, second, _ = await exchanged(answers(oops), answers(GOOD), tmp_path=tmp_path, key=None)

    assert (got.status, got.payload) == (500, b'{"error":{"message":"no"}}')
    assert second == []
    assert "route:r:skip=b/other:no_provider_key" in call.reasons


async def test_an_error_inside_a_good_answer_falls_back(tmp_path):
    inside = answer(b'{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"},"choices":null}')
    got, call, *_ = await exchanged(answers(inside), answers(GOOD), tmp_path=tmp_path)

    assert got.payload == said("good")
    assert [one.outcome for one in call.attempts] == ["error", "ok"]


@pytest.mark.parametrize(
    ("pieces", "ends"),
    [
        ((delta(None), event({"error": {"message": "overloaded", "code": 529}})), True),
        ((delta(None),), False),
        ((), True),
        ((delta(None),), True),
    ],
    ids=["error event", "broken off", "empty", "no end marker"],
)
async def test_a_stream_that_fails_before_its_first_content_falls_back(tmp_path, pieces, ends):
    async def play(conversation):
        await conversation.request()
        await conversation.say(STREAM_HEAD + chunks(*pieces, ends=ends))

    got, call, *_ = await exchanged(play, answers(GOOD_STREAM), ASK_STREAM, tmp_path=tmp_path)

    assert got.complete
    assert b"good" in got.payload
    assert got.payload.endswith(b"data: [DONE]\n\n")
    assert b"usage" not in got.payload
    assert len(call.attempts) == 2
    assert call.attempts[1].usage.output_tokens == 20
    assert call.outcome == "ok"


async def test_after_the_first_content_a_broken_stream_ends_broken_with_an_error_event(tmp_path):
    async def play(conversation):
        await conversation.request()
        await conversation.say(STREAM_HEAD + chunks(delta("half"), ends=False))
        conversation.writer.close()

    got, call, _, second, _ = await exchanged(play, answers(GOOD_STREAM), ASK_STREAM, tmp_path=tmp_path)

    assert not got.complete
    assert got.payload.startswith(delta("half"))
    assert json.loads(got.payload.removeprefix(delta("half")).removeprefix(b"data: "))["error"]["message"]
    assert second == []
    assert (call.outcome, len(call.attempts)) == ("broken", 1)


async def test_a_stream_that_ends_without_its_end_marker_does_not_end_cleanly(tmp_path):
    cut = STREAM_HEAD + chunks(delta("half"))
    got, call, *_ = await exchanged(answers(cut), answers(GOOD_STREAM), ASK_STREAM, tmp_path=tmp_path)

    assert not got.complete
    assert b'"error"' in got.payload
    assert call.attempts[0].rule == "stream:truncated"


async def test_a_whole_good_answer_passes_byte_for_byte(tmp_path):
    got, call, *_ = await exchanged(answers(GOOD), answers(GOOD), tmp_path=tmp_path)

    assert got.payload == said("good")
    assert got.fields[b"x-taximeter-target"] == b"a/*"
    assert b"x-taximeter-changes" not in got.fields
    assert (call.attempts[0].rule, call.attempts[0].target) == ("ok", "a/*")


async def test_a_rule_of_the_operators_gives_the_outcome(tmp_path):
    rule = OutcomeRule(name="teapot", statuses=((418, 418),), outcome="overloaded")
    got, call, *_ = await exchanged(
        answers(answer(b"{}", b"418 Teapot")), answers(GOOD), policies=routed(outcomes=(rule,)), tmp_path=tmp_path
    )

    assert got.payload == said("good")
    assert (call.attempts[0].rule, call.attempts[0].error.error_class) == ("rule:teapot", "overloaded")


async def test_a_target_is_tried_again_as_often_as_its_rule_says(tmp_path):
    retry = RetryRule(tries_each=2, backoff_first_ms=1, backoff_most_ms=1)
    got, call, first, *_ = await exchanged(
        answers(answer(b"{}", b"500 Oops")), answers(GOOD), policies=routed(retry=retry), tmp_path=tmp_path
    )

    assert got.payload == said("good")
    assert len(first) == 2
    assert [one.attempt for one in call.attempts] == [1, 2, 3]


async def test_a_silent_target_is_left_after_its_limit(tmp_path):
    async def play(conversation):
        await conversation.request()
        await conversation.gone()

    retry = RetryRule(tries_each=1, first_byte_ms=50)
    got, call, *_ = await exchanged(play, answers(GOOD), policies=routed(retry=retry), tmp_path=tmp_path)

    assert got.payload == said("good")
    assert call.attempts[0].error.error_class == "timeout"
    assert call.attempts[0].rule == "way:first_byte"


async def test_a_target_that_keeps_failing_is_left_alone(tmp_path):
    breaker = BreakerRule(failures_in_row=2)
    async with (
        raw_upstream(answers(answer(b"{}", b"500 Oops"))) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(*two_targets(a.url, b.url), policies=routed(breaker=breaker), data_dir=tmp_path) as worker,
    ):
        for _ in range(3):
            await worker.exchange(post(CHAT, ASK, KEY))
        calls = await worker.journal.calls(3)

    assert [len(call.attempts) for call in calls] == [2, 2, 1]
    assert calls[2].attempts[0].target == "b/other"


async def test_a_call_that_no_route_is_for_goes_as_it_always_did(tmp_path):
    async with (
        raw_upstream(answers(GOOD)) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(*two_targets(a.url, b.url), policies=routed(), data_dir=tmp_path) as worker,
    ):
        data = await worker.exchange(post(b"/a/v1/files", b"x", KEY))
        (call,) = await worker.journal.calls(1)

    assert b"x-taximeter-target" not in data
    assert call.attempts[0].target == ""


async def test_another_key_of_the_same_provider_is_tried_before_another_provider(tmp_path):
    async def play(conversation):
        while True:
            head, _ = await conversation.request()
            refused = b"key-number-1" in head
            await conversation.say(answer(b'{"error":{"message":"no"}}', b"401 No") if refused else GOOD)

    keys = (ProviderKey(name="one", key="key-number-1"), ProviderKey(name="two", key="key-number-2"))
    async with (
        raw_upstream(play) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(
            provider("a", a.url, api_keys=keys),
            provider("b", b.url, api_key="operators"),
            policies=routed(),
            data_dir=tmp_path,
        ) as worker,
    ):
        got = read_answer(await worker.exchange(post(CHAT, ASK, KEY)))
        (call,) = await worker.journal.calls(1)

    assert got.fields[b"x-taximeter-target"] == b"a/*"
    assert b.requests == []
    assert [one.changes for one in call.attempts] == [("provider_key=one",), ("provider_key=two",)]


async def test_an_app_that_leaves_between_two_tries_is_not_waited_for(tmp_path):
    retry = RetryRule(tries_each=2, backoff_first_ms=60_000, backoff_most_ms=60_000, call_ms=None)
    async with (
        raw_upstream(answers(answer(b"{}", b"503 Busy", b"application/json", b"Retry-After: 9"))) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(*two_targets(a.url, b.url), policies=routed(retry=retry), data_dir=tmp_path) as worker,
    ):
        _, writer = await worker.connect()
        writer.write(post(CHAT, ASK, KEY))
        await until(lambda: a.requests)
        writer.transport.abort()
        (call,) = await worker.journal.calls(1)

    assert (call.client_gone, len(call.attempts)) == (True, 1)
    assert b.requests == []


async def test_a_provider_that_refuses_our_usage_option_is_asked_again_without_it(tmp_path):
    async def play(conversation):
        while True:
            _, body = await conversation.request()
            if b"stream_options" in body:
                await conversation.say(answer(b'{"error":{"message":"unknown stream_options"}}', b"400 Bad Request"))
            else:
                await conversation.say(GOOD_STREAM)

    got, call, first, second, journal = await exchanged(play, answers(GOOD_STREAM), ASK_STREAM, tmp_path=tmp_path)

    assert got.complete
    assert (len(first), second) == (2, [])
    assert [one.outcome for one in call.attempts] == ["error", "ok"]
    assert "usage_option_refused" in journal.losses


async def test_heads_are_not_held_where_the_route_says_so(tmp_path):
    empty = STREAM_HEAD + chunks(delta(None))
    got, call, *_ = await exchanged(
        answers(empty), answers(GOOD_STREAM), ASK_STREAM, policies=routed(hold_head=False), tmp_path=tmp_path
    )

    assert not got.complete
    assert got.payload.startswith(delta(None))
    assert len(call.attempts) == 1


async def test_a_head_is_held_no_longer_than_its_bound(tmp_path):
    async def play(conversation):
        await conversation.request()
        await conversation.say(STREAM_HEAD + chunks(delta(None), ends=False))
        await conversation.gone()

    async with (
        raw_upstream(play) as a,
        raw_upstream(answers(GOOD_STREAM)) as b,
        running_worker(*two_targets(a.url, b.url), policies=routed(hold_head_ms=20), data_dir=tmp_path) as worker,
    ):
        reader, writer = await worker.connect()
        writer.write(post(CHAT, ASK_STREAM, KEY))
        head = await reader.readuntil(delta(None))
        writer.close()

    assert head.startswith(b"HTTP/1.1 200")


async def test_an_answer_with_which_nobody_falls_back_any_more_reaches_the_app(tmp_path):
    busy = answer(b'{"error":{"message":"both busy"}}', b"529 Busy")
    got, call, *_ = await exchanged(answers(busy), answers(busy), tmp_path=tmp_path)

    assert (got.status, got.payload) == (529, b'{"error":{"message":"both busy"}}')
    assert got.fields[b"x-taximeter-target"] == b"b/other"
    assert (call.outcome, len(call.attempts)) == ("error", 2)


async def test_where_every_target_is_drained_the_app_is_told_and_nothing_is_held(tmp_path):
    write_order(tmp_path / "run", "a/*", "drain", 1)
    write_order(tmp_path / "run", "b/other", "drain", 1)
    async with (
        raw_upstream(answers(GOOD)) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(*two_targets(a.url, b.url), policies=routed(), data_dir=tmp_path) as worker,
    ):
        # Orders are heard of once a second.
        await until(lambda: list((tmp_path / "run" / "targets").glob("*.json")))
        got = read_answer(await worker.exchange(post(CHAT, ASK, KEY)))
        (call,) = await worker.journal.calls(1)

    assert (got.status, got.code) == (503, "no_target")
    assert (call.outcome, call.attempts) == ("refused", ())
    assert a.requests == b.requests == []


async def test_an_alias_is_asked_for_by_what_it_stands_for(tmp_path):
    policies = CompiledPolicies(routing=Routing(aliases={"fast": "b/real-model"}), hash="aliases")
    got, call, first, second, _ = await exchanged(
        answers(GOOD), answers(GOOD), ASK.replace(b'"m"', b'"Fast"'), policies=policies, tmp_path=tmp_path
    )

    assert got.status == 200
    assert first == []
    assert json.loads(second[0].partition(b"\r\n\r\n")[2])["model"] == "real-model"
    assert (call.model_requested, call.attempts[0].target) == ("Fast", "b/real-model")


async def test_no_target_of_a_route_is_sent_an_alias(tmp_path):
    base = routed(("a", None), ("b", "other"))
    policies = replace(base, routing=replace(base.routing, aliases={"m": "a/real-model"}))
    _, _, first, *_ = await exchanged(answers(GOOD), answers(GOOD), policies=policies, tmp_path=tmp_path)

    assert json.loads(first[0].partition(b"\r\n\r\n")[2])["model"] == "real-model"

"""One try at a target: what it takes with it, and how its limits end it."""

import pytest

from policies.routes_compiled import OutcomeRule, RetryRule, TextMatch
from tests.fakes.raw_upstream import answers
from tests.fakes.routes import ASK, ASK_STREAM, STREAM_HEAD, answer, chunks, delta, routed, said, streamed
from tests.proxy.test_routed import GOOD, GOOD_STREAM, exchanged


@pytest.mark.parametrize(
    ("limit", "words"),
    [("first_content_ms", "first content"), ("attempt_ms", "attempt")],
)
async def test_each_limit_of_the_route_ends_a_try_that_brings_nothing(tmp_path, limit, words):
    async def play(conversation):
        await conversation.request()
        await conversation.say(STREAM_HEAD + chunks(delta(None), ends=False))
        await conversation.gone()

    retry = RetryRule(tries_each=1, **{limit: 60})
    got, call, *_ = await exchanged(
        play, answers(GOOD_STREAM), ASK_STREAM, policies=routed(retry=retry), tmp_path=tmp_path
    )

    assert got.complete
    assert call.attempts[0].error.error_class == "timeout"
    assert words in call.attempts[0].error.message


async def test_a_rule_that_looks_at_the_body_sees_it(tmp_path):
    rule = OutcomeRule(name="sorry", body=TextMatch(contains=("cannot",)), outcome="server_error")
    got, call, *_ = await exchanged(
        answers(answer(said("I cannot"))), answers(GOOD), policies=routed(outcomes=(rule,)), tmp_path=tmp_path
    )

    assert got.payload == said("good")
    assert call.attempts[0].rule == "rule:sorry"


async def test_usage_that_only_we_asked_for_is_taken_off_again(tmp_path):
    got, call, first, *_ = await exchanged(
        answers(STREAM_HEAD + chunks(streamed("good"))), answers(GOOD_STREAM), ASK_STREAM, tmp_path=tmp_path
    )

    assert b"include_usage" in first[0]
    assert b"usage" not in got.payload
    assert call.attempts[0].usage.output_tokens == 20
    assert call.attempts[0].changes == ("usage_requested",)


async def test_headers_of_one_provider_do_not_go_to_another(tmp_path):
    _, _, first, second, _ = await exchanged(answers(answer(b"{}", b"500 Oops")), answers(GOOD), ASK, tmp_path=tmp_path)

    assert b"traceparent" in second[0].lower()
    assert b"/v1/chat/completions" in second[0]
    assert first[0].count(b"Authorization") == second[0].lower().count(b"authorization") == 1

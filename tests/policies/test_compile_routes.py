"""Routes and outcome rules come out of a file as they are written."""

import pytest

from policies.load import load_policies
from policies.routes_compiled import HedgeRule, RetryRule, RouteTarget

GOOD = """\
version: 1
defaults:
  routes: {retry: {each: 1, most: 3}, timeouts: {call: 2m}, hold_head: {time: 5s}}
aliases: {Fast: quick, quick: minimax/MiniMax-M3}
routes:
  chat:
    match: {dialect: openai.chat, model: "MiniMax-*"}
    targets:
      - weights: {minimax/MiniMax-M3: 95, minimax/MiniMax-M2: 5}
      - [minimax#eu, {provider: openai, model: gpt-5, weight: 3, strict: true}]
      - openai/gpt-5-mini
    sticky: tag:job
    retry: {most: 5, on: [unknown]}
    fall_back: {on: [context_length]}
    timeouts: {first_byte: 200ms}
    breaker: {failures_in_row: 3, slow_start: 0}
    hedge: {after: 2s, p95: true}
    continue: never
outcomes:
  out-of-money:
    when: {status: 200, json: {base_resp.status_code: 1008}, headers: {X-A: {not: b}}, stream_end: [eof]}
    is: billing
    fall_back: yes
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(GOOD)
    return file


def test_a_route_comes_out_as_it_is_written(file):
    (route,) = load_policies([file]).routing.routes

    assert [(one.id, one.tier, one.weight) for one in route.targets] == [
        ("minimax/MiniMax-M3", 0, 95),
        ("minimax/MiniMax-M2", 0, 5),
        ("minimax#eu", 1, 1),
        ("openai/gpt-5", 1, 3),
        ("openai/gpt-5-mini", 2, 1),
    ]
    assert route.targets[2] == RouteTarget(id="minimax#eu", provider="minimax", key="eu", tier=1)
    assert route.targets[3].strict
    assert (route.sticky, route.continue_marked) == ("tag:job", False)
    assert (route.hold_head, route.hold_head_ms) == (True, 5_000)
    assert route.hedge == HedgeRule(after_ms=2_000, use_p95=True)
    assert (route.breaker.failures_in_row, route.breaker.slow_start_ms) == (3, 0)
    assert route.place.endswith("p.yaml:6")


def test_a_route_says_more_than_the_defaults_of_its_file_and_less_is_left_as_it_is(file):
    (route,) = load_policies([file]).routing.routes

    assert route.retry == RetryRule(
        tries_each=1,
        tries_most=5,
        retry_on=("unknown",),
        fall_back_on=("context_length",),
        first_byte_ms=200,
        call_ms=120_000,
    )


def test_an_outcome_rule_comes_out_as_it_is_written(file):
    (rule,) = load_policies([file]).routing.outcomes

    assert (rule.statuses, rule.stream_ends, rule.outcome, rule.fallback) == (((200, 200),), ("eof",), "billing", "yes")
    assert (rule.json[0].path, rule.json[0].text.values) == (("base_resp", "status_code"), ("1008",))
    assert (rule.headers[0].name, rule.headers[0].text.negated) == ("x-a", True)

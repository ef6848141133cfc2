"""A call is tried again where it may be, after a while, and not too often."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.outcome_facts import Outcome
from policies.retrying import (
    LONGEST_MS,
    NS_PER_S,
    Progress,
    RetryBudget,
    limits,
    may_fall_back,
    may_retry,
    next_step,
    retry_after_ms,
    wait_before,
)
from policies.routes_compiled import RetryRule
from proxy.core.errors import REMEDIES

RULE = RetryRule()
NOW_NS = 1_795_000_000 * NS_PER_S


def outcome(name, *, final=False):
    if name == "ok":
        return Outcome(outcome="ok", rule="ok")
    remedy = REMEDIES[name]
    return Outcome(
        outcome=name, rule="r", retry_same=remedy.retry_same, fallback=remedy.fallback, fault=remedy.fault, final=final
    )


def progress(**more):
    return Progress(**{"tries": 1, "tries_here": 1, "targets_left": 1, "elapsed_ms": 0} | more)


def step(name="overloaded", rule=RULE, random=0.5, budget=None, *, final=False, **more):
    one = budget or RetryBudget(rule, 0)
    found = next_step(outcome(name, final=final), rule, progress(**more), random, one)
    return found.where, found.reason


def test_a_good_outcome_ends_the_call():
    assert step("ok") == ("nowhere", "good")


def test_a_passing_trouble_is_tried_again_then_another_target_then_nothing():
    assert step(tries=1, tries_here=1) == ("same", None)
    assert step(tries=2, tries_here=2) == ("next", None)
    assert step(tries=3, tries_here=2, targets_left=0) == ("nowhere", "tries_used_up")


@pytest.mark.parametrize("name", ["auth", "permission", "billing", "quota_exhausted"])
def test_what_waiting_does_not_cure_goes_to_another_target_at_once(name):
    assert step(name) == ("next", None)
    assert step(name, targets_left=0) == ("nowhere", "targets_used_up")


@pytest.mark.parametrize("name", ["invalid_request", "cancelled_by_client"])
def test_what_would_fail_everywhere_is_not_tried_again(name):
    assert step(name) == ("nowhere", "not_allowed")


@pytest.mark.parametrize("name", ["context_length", "model_not_found", "content_filter", "request_too_large"])
def test_what_is_for_the_policy_falls_back_where_the_policy_says_so(name):
    assert step(name) == ("nowhere", "not_allowed")
    assert step(name, RetryRule(fall_back_on=(name,))) == ("next", None)


def test_a_rule_can_forbid_what_the_class_allows():
    rule = RetryRule(retry_not_on=("overloaded",), fall_back_not_on=("overloaded",))

    assert step("overloaded", rule) == ("nowhere", "not_allowed")
    assert step("server_error", rule) == ("same", None)


def test_nothing_is_tried_again_once_content_was_sent():
    rule = RetryRule(retry_on=("stream_truncated",), fall_back_on=("stream_truncated",))

    assert step("stream_truncated", rule) == ("same", None)
    assert step("stream_truncated", rule, final=True) == ("nowhere", "not_allowed")


def test_all_tries_of_a_call_have_a_limit():
    assert step("auth", RetryRule(tries_most=2), tries=2) == ("nowhere", "tries_used_up")


def test_the_time_of_a_call_has_a_limit_that_counts_the_wait():
    rule = RetryRule(call_ms=1000, backoff_first_ms=200)

    assert step(rule=rule, elapsed_ms=1000) == ("nowhere", "time_used_up")
    assert step(rule=rule, elapsed_ms=950) == ("next", None)
    assert step(rule=rule, elapsed_ms=950, targets_left=0) == ("nowhere", "time_used_up")
    assert step(rule=rule, elapsed_ms=800) == ("same", None)


def test_a_provider_that_asks_for_too_long_a_wait_is_left():
    assert step("rate_limit", retry_after_ms=10_001) == ("next", None)
    assert step("rate_limit", retry_after_ms=10_001, targets_left=0) == ("nowhere", "wait_too_long")
    assert step("rate_limit", retry_after_ms=10_000) == ("same", None)


def test_an_outage_is_not_answered_with_more_calls_than_the_budget_allows():
    rule = RetryRule(budget_per_s=0, budget_share=0)

    assert step(rule=rule) == ("next", None)
    assert step(rule=rule, targets_left=0) == ("nowhere", "retry_budget_used_up")


def test_only_a_retry_takes_from_the_budget():
    budget = RetryBudget(RULE, 0)
    held = budget.held
    step("auth", budget=budget)
    assert budget.held == held
    step("overloaded", budget=budget)
    assert budget.held == held - 10_000


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True), st.none() | st.integers(0, 20_000))
def test_a_wait_is_never_shorter_than_was_asked_for_and_never_much_longer(tries_here, random, asked_ms):
    waited = wait_before(RULE, progress(tries_here=tries_here, retry_after_ms=asked_ms), random)

    assert (asked_ms or 0) <= waited <= (asked_ms or 0) + RULE.backoff_most_ms


@given(st.integers(1, 60))
def test_the_longest_wait_doubles_up_to_its_limit(tries_here):
    once = wait_before(RULE, progress(tries_here=tries_here), 1.0)
    again = wait_before(RULE, progress(tries_here=tries_here + 1), 1.0)

    assert again == min(2 * once, RULE.backoff_most_ms)


@pytest.mark.parametrize(
    ("headers", "asked_ms"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2000),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "1.5"}, 1500),
        ({"retry-after": "0.0001"}, 1),
        ({"retry-after-ms": "270", "retry-after": "1"}, 270),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1000),
        ({"retry-after": "999999999999"}, LONGEST_MS),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": formatdate(NOW_NS / NS_PER_S + 7, usegmt=True)}, 7000),
        ({"retry-after": formatdate(NOW_NS / NS_PER_S - 7, usegmt=True)}, 0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_MS),
        ({"retry-after": "Fri, 99 Dec 2026 23:59:59 GMT"}, None),
    ],
)
def test_a_provider_says_when_to_come_back_in_seconds_or_as_a_date(headers, asked_ms):
    assert retry_after_ms(headers, NOW_NS) == asked_ms


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_the_reading(one, other):
    asked = retry_after_ms({"retry-after": one, "retry-after-ms": other}, NOW_NS)

    assert asked is None or 0 <= asked <= LONGEST_MS


STEPS = st.lists(st.tuples(st.integers(0, 3 * NS_PER_S), st.booleans()), max_size=60)


@given(STEPS, st.integers(0, 10_000), st.integers(0, 5), st.integers(0, 20))
def test_retries_never_exceed_the_share_of_calls_and_the_minimum(steps, share, per_s, most):
    rule = RetryRule(budget_share=share, budget_per_s=per_s, budget_most=most)
    budget, now_ns, calls, retries = RetryBudget(rule, 0), 0, 0, 0
    for passed_ns, is_call in steps:
        now_ns += passed_ns
        budget.refill(now_ns)
        if is_call:
            calls += 1
            budget.note_call()
        retries += budget.take()

    assert retries * 10_000 <= calls * share + (now_ns * per_s * 10_000) // NS_PER_S + per_s * 10_000


def test_a_quiet_target_can_be_retried_at_its_minimum_pace_however_often_it_is_asked():
    budget = RetryBudget(RetryRule(budget_share=0, budget_per_s=1), 0)
    budget.take()
    for now_ns in range(0, NS_PER_S + 1, 1000 * 1000):
        budget.refill(now_ns)

    assert budget.take()
    assert not budget.take()


def test_a_clock_that_goes_back_gives_nothing_and_breaks_nothing():
    budget = RetryBudget(RetryRule(budget_share=0, budget_per_s=1), NS_PER_S)
    budget.take()
    budget.refill(0)

    assert not budget.take()


def test_no_part_of_an_attempt_lasts_longer_than_its_call():
    found = limits(RetryRule(connect_ms=500, idle_ms=5000, attempt_ms=4000, call_ms=6000), elapsed_ms=3000)

    assert (found.connect_ms, found.first_byte_ms, found.idle_ms, found.attempt_ms) == (500, 3000, 3000, 3000)
    assert limits(RetryRule(), 10**9).attempt_ms is None
    assert limits(RetryRule(call_ms=10), 20).attempt_ms == 0


@pytest.mark.parametrize("name", sorted(REMEDIES))
def test_without_a_rule_the_class_alone_decides(name):
    assert may_retry(outcome(name), RULE) == (REMEDIES[name].retry_same == "yes")
    assert may_fall_back(outcome(name), RULE) == (REMEDIES[name].fallback == "yes")

from decimal import Decimal

import msgspec
import pytest

from exporters.recorder.interrupted import close_interrupted
from proxy.core.money import Money
from proxy.core.record import AttemptRecord, CallRecord, Hold, OpenRecord
from proxy.core.usage import NO_USAGE
from tests.fakes.records import STARTED_NS, opened

LAST_SIGN_NS = STARTED_NS + 5_000_000_000


def test_an_interrupted_call_is_the_call_that_was_opened():
    before = opened(7, max_output_tokens=50, streaming=True)
    after = close_interrupted(before, last_sign_ns=LAST_SIGN_NS)
    shared = set(OpenRecord.__struct_fields__) & set(CallRecord.__struct_fields__)
    assert {name: getattr(after, name) for name in shared} == {name: getattr(before, name) for name in shared}
    assert (after.outcome, after.status, after.duration_ns) == ("interrupted", 0, 5_000_000_000)


def test_its_one_attempt_went_where_the_call_was_meant_to_go():
    (attempt,) = close_interrupted(opened(7), last_sign_ns=LAST_SIGN_NS).attempts
    assert (attempt.provider, attempt.kind, attempt.host) == ("openai", "openai", "api.openai.com")
    assert (attempt.outcome, attempt.model, attempt.status) == ("interrupted", "gpt-4.1-mini", 0)


def test_the_usage_is_an_estimate_that_says_so():
    record = close_interrupted(opened(7, request_bytes=4001, max_output_tokens=50), last_sign_ns=LAST_SIGN_NS)
    usage = record.attempts[0].usage
    assert (usage.input_tokens, usage.output_tokens) == (1001, 50)
    assert (usage.source, usage.complete) == ("estimated", False)


def test_output_without_a_limit_is_not_made_up():
    usage = close_interrupted(opened(7), last_sign_ns=LAST_SIGN_NS).attempts[0].usage
    assert usage.output_tokens is None


@pytest.mark.parametrize(
    "more",
    [{"request_bytes": 0}, {"request_bytes": 5_000_000}, {"model_requested": ""}, {"dialect": ""}],
    ids=["no body", "more than text", "no model", "bytes only"],
)
def test_what_nobody_can_know_is_not_estimated(more):
    assert close_interrupted(opened(7, **more), last_sign_ns=LAST_SIGN_NS).attempts[0].usage == NO_USAGE


def test_the_same_call_is_closed_the_same_way_and_another_with_another_span():
    first, again = (close_interrupted(opened(7), last_sign_ns=LAST_SIGN_NS) for _ in range(2))
    other = close_interrupted(opened(8), last_sign_ns=LAST_SIGN_NS)
    assert msgspec.json.encode(first) == msgspec.json.encode(again)
    assert first.attempts[0].span_id != other.attempts[0].span_id
    assert len(first.attempts[0].span_id) == 16


def test_a_clock_that_went_back_makes_no_negative_time():
    assert close_interrupted(opened(7), last_sign_ns=STARTED_NS - 1).duration_ns == 0


def test_what_was_reserved_is_the_estimate_where_something_was():
    hold = Hold(input_tokens=70, output_tokens=900, units={"images": Decimal(2)}, cost=Money(Decimal("0.12"), "USD"))
    (attempt,) = close_interrupted(opened(7, hold=hold, max_output_tokens=50), last_sign_ns=LAST_SIGN_NS).attempts
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens, attempt.usage.units) == (70, 900, hold.units)
    assert (attempt.usage.source, attempt.usage.origin, attempt.usage.complete) == ("estimated", "hold", False)
    assert attempt.held_cost == hold.cost


def test_a_reservation_of_money_alone_makes_up_no_usage():
    hold = Hold(cost=Money(Decimal("0.12"), "USD"))
    (attempt,) = close_interrupted(opened(7, hold=hold), last_sign_ns=LAST_SIGN_NS).attempts
    assert attempt.usage == NO_USAGE
    assert attempt.held_cost == hold.cost


def test_a_call_that_died_on_its_way_to_another_target_keeps_what_was_over_and_what_ran():
    first = AttemptRecord(
        attempt=1, span_id="a", started_at_ns=STARTED_NS, duration_ns=9, provider="one", kind="openai", host="a.example"
    )
    running = msgspec.structs.replace(
        first, attempt=2, provider="two", host="b.example", started_at_ns=STARTED_NS + 1, duration_ns=0, target="two/m"
    )
    record = close_interrupted(opened(7, ended=(first,), running=running), last_sign_ns=LAST_SIGN_NS)

    over, cut = record.attempts
    assert over == first
    assert (cut.provider, cut.target, cut.outcome) == ("two", "two/m", "interrupted")
    assert cut.duration_ns == 5_000_000_000 - 1


def test_attempts_that_ran_against_each_other_are_booked_each():
    hold = Hold(input_tokens=70, output_tokens=900, cost=Money(Decimal("0.12"), "USD"))
    first = AttemptRecord(
        attempt=1, span_id="a", started_at_ns=STARTED_NS, duration_ns=0, provider="one", kind="openai", host="a.example"
    )
    second = msgspec.structs.replace(first, attempt=2, span_id="b", provider="two", started_at_ns=STARTED_NS + 1)
    record = close_interrupted(opened(7, beside=(first,), running=second, hold=hold), last_sign_ns=LAST_SIGN_NS)

    assert [(one.attempt, one.provider, one.outcome) for one in record.attempts] == [
        (1, "one", "interrupted"),
        (2, "two", "interrupted"),
    ]
    assert [one.held_cost for one in record.attempts] == [hold.cost, hold.cost]
    assert [one.usage.output_tokens for one in record.attempts] == [900, 900]
    assert [one.duration_ns for one in record.attempts] == [5_000_000_000, 5_000_000_000 - 1]

"""Records that are begun before there is a call."""

from msgspec.structs import replace

from proxy.blanks import NO_TRACE, NOBODY, blank_attempt, blanks
from proxy.core.record import RECORD_VERSION, AttemptRecord, Caller, CallRecord, OpenRecord

LINES = blanks(
    provider="openai",
    kind="openai",
    host="api.openai.com",
    dialect="openai.chat",
    operation="chat",
    method="POST",
    path="/v1/chat/completions",
    billable=True,
)


def test_a_blank_that_is_filled_in_is_the_record_that_would_have_been_built() -> None:
    caller = Caller(key_id="k_1", team="search")
    assert replace(LINES.opened, call_id="c", started_at_ns=1, caller=caller) == OpenRecord(
        v=RECORD_VERSION,
        call_id="c",
        started_at_ns=1,
        trace=NO_TRACE,
        caller=caller,
        provider="openai",
        kind="openai",
        host="api.openai.com",
        dialect="openai.chat",
        operation="chat",
        method="POST",
        path="/v1/chat/completions",
    )
    assert replace(LINES.closed, call_id="c", started_at_ns=1, duration_ns=2, status=200) == CallRecord(
        v=RECORD_VERSION,
        call_id="c",
        started_at_ns=1,
        duration_ns=2,
        trace=NO_TRACE,
        caller=NOBODY,
        provider="openai",
        dialect="openai.chat",
        operation="chat",
        method="POST",
        path="/v1/chat/completions",
        status=200,
    )
    attempt = blank_attempt(provider="mine", kind="openai", host="localhost")
    assert replace(attempt, attempt=1, span_id="s", started_at_ns=1, duration_ns=2) == AttemptRecord(
        attempt=1, span_id="s", started_at_ns=1, duration_ns=2, provider="mine", kind="openai", host="localhost"
    )


def test_filling_one_in_leaves_the_blank_for_the_next_call() -> None:
    replace(LINES.closed, call_id="c", reasons=("seen",))
    assert LINES.closed.call_id == ""
    assert LINES.closed.reasons == ()


def test_what_calls_of_a_place_do_not_pay_is_said_on_both_lines() -> None:
    free = blanks(
        provider="openai",
        kind="openai",
        host="api.openai.com",
        dialect="",
        operation="models",
        method="GET",
        path="/" + "m" * 5000,
        billable=False,
    )
    assert not free.opened.billable
    assert not free.closed.billable
    assert len(free.opened.path) == len(free.closed.path) == 2048

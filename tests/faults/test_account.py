import pytest

from tests.faults.account import CallRow, Known, Told, account
from tests.faults.apps import Seen

AT_S = 1000.0


def seen(number, *, play="whole", status=200, over_at_s=AT_S, **more):
    return Seen(number, play, call_id=f"id-{number}", status=status, over_at_s=over_at_s, **more)


def row(number, *, call_id=None, outcome="ok", status=200, attempt=1, tokens=True, streaming=False):
    return CallRow(
        call_id=call_id or f"id-{number}",
        session=str(number),
        outcome=outcome,
        status=status,
        attempt=attempt,
        streaming=streaming,
        input_tokens=number if tokens else None,
        output_tokens=7 if tokens else None,
    )


def known(*rows, attempts=None, **more):
    return Known(
        calls=list(rows), attempts=attempts or [(r.call_id, n + 1) for r in rows for n in range(r.attempt)], **more
    )


def told(calls, store, asked=None, **more):
    return account("f", calls, asked or {call.number: 1 for call in calls}, store, **more)


def test_all_is_well_when_each_call_has_its_row():
    made = told([seen(1), seen(2, play="stream")], known(row(1), row(2, streaming=True)))
    assert made.holds
    assert (made.sent, made.finished, made.rows, made.table) == (2, 2, 2, {"finished": {"ok": 2}})


def test_a_finished_call_without_a_row_is_lost():
    made = told([seen(1), seen(2)], known(row(1)))
    assert (made.lost, made.holds) == (1, False)


@pytest.mark.parametrize("over_at_s", [None, AT_S])
def test_a_call_that_the_provider_saw_is_lost_without_a_row_whatever_its_app_saw(over_at_s):
    call = Seen(1, "whole", over_at_s=over_at_s)
    assert told([call], known()).lost == 1


def test_a_call_that_nobody_saw_was_never_admitted():
    made = told([Seen(1, "whole")], known(), asked={2: 1})
    assert (made.lost, made.never_admitted, made.unanswered, made.holds) == (0, 1, 1, True)


@pytest.mark.parametrize(
    "store",
    [
        known(row(1), row(1), attempts=[("id-1", 1)]),
        known(row(1), row(1, call_id="another")),
        known(row(1), attempts=[("id-1", 1), ("id-1", 1)]),
        known(row(1), rollups={"calls_minute": 2}),
    ],
    ids=["call", "number", "attempt", "sums"],
)
def test_whatever_is_there_twice_is_doubled(store):
    made = told([seen(1)], store)
    assert (made.doubled, made.holds) == (1, False)


@pytest.mark.parametrize(
    "store",
    [known(row(1, attempt=2), attempts=[("id-1", 1)]), known(row(1), rollups={"calls_minute": 0})],
    ids=["attempt", "sums"],
)
def test_an_attempt_or_a_sum_that_is_not_there_is_lost(store):
    assert told([seen(1)], store).lost == 1


def test_attempts_without_their_call_are_lost_calls():
    assert told([], known(attempts=[("id-9", 1)])).lost == 1


@pytest.mark.parametrize(
    "wrong",
    [
        row(1, call_id="another"),
        row(1, outcome="error"),
        row(1, status=500),
        row(1, tokens=False),
        row(1, streaming=True),
        row(1, outcome="interrupted"),
    ],
    ids=["id", "outcome", "status", "tokens", "streaming", "interrupted"],
)
def test_a_row_that_says_something_else_than_the_app_saw_is_wrong(wrong):
    made = told([seen(1)], known(wrong))
    assert (len(made.wrong), made.holds) == (1, False)


def test_an_end_that_came_just_before_the_worker_died_may_be_unwritten():
    calls, store = [seen(1)], known(row(1, outcome="interrupted"))
    assert told(calls, store, deaths_s=[AT_S + 0.5]).holds
    assert told(calls, store, deaths_s=[AT_S + 0.5]).late == 1
    assert not told(calls, store, deaths_s=[AT_S - 1.0, AT_S + 60]).holds


def test_an_end_that_its_app_read_just_after_the_worker_died_may_be_unwritten():
    assert told([seen(1)], known(row(1, outcome="interrupted")), deaths_s=[AT_S - 0.2]).holds


def test_a_call_that_the_product_counts_as_not_written_is_told_not_lost():
    calls = [seen(1), seen(2), seen(3)]
    store = known(row(1), row(2, outcome="interrupted"))
    made = told(calls, store, told=Told(calls=2))
    assert (made.told, made.lost, made.holds) == (1, 0, True)


@pytest.mark.parametrize("counted", [1, 3])
def test_the_product_must_count_what_it_could_not_write_exactly(counted):
    calls = [seen(1), seen(2), seen(3)]
    store = known(row(1), row(2, outcome="interrupted"))
    assert not told(calls, store, told=Told(calls=counted)).holds


def test_only_the_calls_that_were_destroyed_may_be_absent():
    made = told([seen(1), seen(2)], known(), told=Told(destroyed=frozenset({1})))
    assert (made.told, made.lost) == (1, 1)


def test_a_call_that_was_destroyed_may_leave_its_attempts_behind_and_no_other():
    store = known(row(2), attempts=[("id-1", 1), ("id-2", 1)])
    assert told([seen(1), seen(2)], store, told=Told(destroyed=frozenset({1}))).holds
    assert not told([seen(2)], store, told=Told(destroyed=frozenset({1}))).holds


def test_a_request_that_reached_the_provider_twice_is_wrong():
    assert not told([seen(1)], known(row(1)), asked={1: 2}).holds


def test_an_error_of_the_provider_is_as_good_a_call_as_any():
    call = seen(1, play="error", status=500)
    assert told([call], known(row(1, outcome="error", status=500, tokens=False))).holds
    assert not told([call], known(row(1))).holds


def test_a_call_whose_last_line_was_destroyed_may_be_interrupted_and_no_other():
    calls, store = [seen(1), seen(2)], known(row(1, outcome="interrupted"), row(2))
    assert told(calls, store, told=Told(broken=frozenset({1}))).holds
    assert not told(calls, store, told=Told(broken=frozenset({2}))).holds


@pytest.mark.parametrize(("counted", "holds"), [(None, True), (1, True), (0, False), (2, False)])
def test_refusals_without_a_record_are_counted_exactly(counted, holds):
    calls = [Seen(1, "whole", status=503, over_at_s=AT_S, refused=True)]
    assert told(calls, known(), asked={2: 1}, told=Told(refused=counted)).holds == holds

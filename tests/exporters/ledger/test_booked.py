"""One rule for the ledger and for the rows of the store."""

from decimal import Decimal

from exporters.clickhouse.build import call_row
from exporters.ledger.booked import booked
from exporters.ledger.sink import pages_of
from exporters.recorder.ports import Batch, PricedCall
from proxy.core.pricing import Priced
from proxy.core.record import AttemptRecord, Caller, CallRecord, Draw, TraceIds

DRAWS = (
    Draw(counter="budget:usd", unit="USD", held=9, set_aside=5),
    Draw(counter="budget:calls", unit="calls", held=1, set_aside=1),
    Draw(counter="budget:usd", unit="USD", held=7, set_aside=6),
)


def priced(*draws):
    attempt = AttemptRecord(
        attempt=1, span_id="s", started_at_ns=1, duration_ns=1, provider="openai", kind="openai", host="h", status=200
    )
    call = CallRecord(
        v=1, call_id="c", started_at_ns=1, duration_ns=1, trace=TraceIds(trace_id="t", span_id="s"),
        caller=Caller(), provider="openai", attempts=(attempt,), draws=draws,
    )  # fmt: skip
    return PricedCall(call, (Priced(amount=Decimal("0.0000000011"), currency="USD"),), "worker-1", 7)


def test_what_is_booked_is_what_the_row_says():
    row = call_row(priced(*DRAWS))

    assert row.draws == booked(priced(*DRAWS)) == {"budget:usd": 4, "budget:calls": 1}
    assert (row.journal, row.segment) == ("worker-1", 7)
    (page,) = pages_of(Batch(instance="worker-1", number=7, token="t", calls=[priced(*DRAWS)]))
    assert {one.counter: (one.spent, one.set_aside) for one in page.postings} == {
        "budget:usd": (4, 11),
        "budget:calls": (1, 1),
    }


def test_a_call_that_draws_on_nothing_says_nothing():
    row = call_row(priced())

    assert (booked(priced()), row.draws, row.journal, row.segment) == ({}, {}, "", 0)

"""What is booked is what the priced records say, once."""

from decimal import Decimal

import pytest

from exporters.ledger.sink import LedgerSink, pages_of
from exporters.recorder.ports import Batch, PricedCall, SinkUnavailableError
from policies.ledger.books import Page, Posting
from policies.ledger.sqlite_books import SqliteBooks
from proxy.core.pricing import Priced
from proxy.core.record import AttemptRecord, Caller, CallRecord, Draw, TraceIds


def priced(instance, *draws, amount="0.001", segment=1):
    attempt = AttemptRecord(
        attempt=1, span_id="s", started_at_ns=1, duration_ns=1, provider="openai", kind="openai", host="h", status=200
    )
    call = CallRecord(
        v=1, call_id="c", started_at_ns=1, duration_ns=1, trace=TraceIds(trace_id="t", span_id="s"),
        caller=Caller(), provider="openai", attempts=(attempt,), draws=draws,
    )  # fmt: skip
    return PricedCall(call, (Priced(amount=Decimal(amount), currency="USD"),), instance, segment)


def batch(*calls, token="t1"):
    return Batch(instance="w", number=1, token=token, calls=list(calls))


def usd(held=9, set_aside=None):
    return Draw(counter="b", unit="USD", held=held, set_aside=set_aside)


def test_calls_of_one_segment_are_booked_together_and_apart_from_those_of_others():
    first, second = priced("w1", usd(set_aside=5)), priced("w1", usd())
    found = pages_of(batch(priced("w2", usd(), usd()), first, second, priced("w1", usd(), segment=2)))

    assert found == (
        Page("w1", 1, (Posting("b", "USD", 2_000_000, 14),)),
        Page("w1", 2, (Posting("b", "USD", 1_000_000, 9),)),
        Page("w2", 1, (Posting("b", "USD", 2_000_000, 18),)),
    )


def test_a_batch_that_comes_again_is_not_booked_again(tmp_path):
    books = SqliteBooks(tmp_path / "ledger.sqlite", durable=True)
    sink = LedgerSink(books)

    assert sink.deliver(batch(priced("w", usd()))) == {"calls": 1}
    assert sink.deliver(batch(priced("w", usd()))) == {"calls_again": 1}
    assert [one.spent for one in books.recorded()] == [1_000_000]


def test_calls_that_draw_on_nothing_touch_no_ledger(tmp_path):
    books = SqliteBooks(tmp_path / "ledger.sqlite")
    books.close()

    assert LedgerSink(books).deliver(batch(priced("w"))) == {}


def test_a_ledger_that_does_not_answer_is_tried_again(tmp_path):
    books = SqliteBooks(tmp_path / "ledger.sqlite")
    books.close()
    sink = LedgerSink(books)

    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch(priced("w", usd())))
    with pytest.raises(SinkUnavailableError):
        sink.forget("w")

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.clickhouse.sink import ClickHouseSink
from exporters.recorder.ports import Batch, PricedCall
from policies.compiled import Budget, CompiledPolicies, ModelRate, Window
from proxy import app_replay
from proxy.app_replay import MOST_ROWS, ReplayError, period_of, replay, slices, stored_call
from tests.fakes.otlp_settings import settings
from tests.fakes.report_store import running_store
from tests.fakes.sinks import FixedPrices
from tests.fakes.synthetic import synthetic_calls

HOUR_NS = 3600 * 10**9
COUNT = 3000


def test_slices_hold_hours_together_and_cut_busy_ones():
    hours = [(0, 10), (HOUR_NS, 10), (2 * HOUR_NS, 3 * MOST_ROWS), (3 * HOUR_NS, 1)]
    assert list(slices(hours, -5, 4 * HOUR_NS)) == [
        (-5, 2 * HOUR_NS),
        (2 * HOUR_NS, 2 * HOUR_NS + HOUR_NS // 3),
        (2 * HOUR_NS + HOUR_NS // 3, 2 * HOUR_NS + HOUR_NS * 2 // 3),
        (2 * HOUR_NS + HOUR_NS * 2 // 3, 3 * HOUR_NS),
        (3 * HOUR_NS, 4 * HOUR_NS),
    ]
    assert list(slices([], 0, 1)) == []


@given(
    st.dictionaries(st.integers(0, 50), st.integers(1, 4 * MOST_ROWS), max_size=12),
    st.integers(0, HOUR_NS - 1),
    st.integers(1, HOUR_NS),
)
def test_slices_lie_edge_to_edge_over_the_whole_period(counts, into_ns, more_ns):
    hours = [(hour * HOUR_NS, count) for hour, count in sorted(counts.items())]
    if not hours:
        return
    since_ns, until_ns = hours[0][0] + into_ns, hours[-1][0] + into_ns + more_ns
    found = list(slices(hours, since_ns, until_ns))
    assert found[0][0] == since_ns
    assert found[-1][1] == until_ns
    assert all(one[1] == two[0] for one, two in pairwise(found))
    assert all(start < end for start, end in found)


def row(**more):
    fields = {
        "at_ns": 5,
        "duration_ms": 1.5,
        "provider": "p",
        "operation": "chat",
        "dialect": "openai.chat",
        "streaming": False,
        "billable": True,
        "key_id": "ci",
        "team": "t",
        "project": "",
        "user": "u",
        "session": "",
        "tags": {"a": "b"},
        "model": "m",
        "outcome": "ok",
        "input_tokens": 10,
        "output_tokens": None,
        "units": {},
        "costs": {"USD": Decimal("0.1")},
    }
    return tuple((fields | more).values())


def test_a_row_is_a_call_with_what_it_used_as_its_bounds():
    made = stored_call(row(), {"p": "CNY"})
    assert (made.at_ns, made.duration_ns, made.was_refused) == (5, 1_500_000, False)
    assert (made.facts.key, made.facts.caller.team, made.facts.currency) == ("ci", "t", "CNY")
    assert (made.facts.inputs.text_bytes, made.facts.request.max_output_tokens) == (10, 0)


def test_the_fingerprint_of_an_app_s_own_key_is_no_virtual_key():
    made = stored_call(row(key_id="k_0123", outcome="refused", provider="gone"), {})
    assert (made.facts.key, made.facts.caller.key_id, made.was_refused, made.facts.currency) == (
        "",
        "k_0123",
        True,
        "USD",
    )


def test_a_period_that_cannot_be_read_is_told():
    with pytest.raises(ReplayError, match="period"):
        period_of("2026-11-02", "2026-11-01", "UTC")


def test_a_store_that_does_not_answer_is_told(tmp_path):
    with pytest.raises(ReplayError, match="No store answers"):
        replay(settings(tmp_path), period_of("1d", None, "UTC"), CompiledPolicies(), CompiledPolicies())


@pytest.mark.real
def test_the_calls_of_a_store_are_replayed_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(app_replay, "MOST_ROWS", 500)
    calls = list(synthetic_calls(COUNT))
    prices = FixedPrices()
    priced = [PricedCall(one, tuple(prices.price(each, one) for each in one.attempts)) for one in calls]
    paid = sum((price.amount for one in priced for price in one.prices if price.amount), Decimal(0))
    rate = {"id": "all", "models": ("*",), "currency": "USD", "input_nano": 1, "output_nano": 1}
    providers = sorted({one.provider for one in calls})
    rates = tuple(ModelRate(provider=name, **rate) for name in providers)
    rule = Budget(name="b", policy="budget:b", unit="USD", limit=10**9, window=Window(shape="day"))
    done = []
    with running_store(tmp_path / "store") as store:
        own = settings(tmp_path, store=store)
        sink = ClickHouseSink(own)
        sink.check()
        sink.deliver(Batch(instance="w", number=1, token="t", calls=priced))
        sink.close()
        found = replay(
            own,
            period_of("2026-10-01", "2026-12-01", "UTC"),
            CompiledPolicies(),
            CompiledPolicies(budgets=(rule,), rates=rates),
            progress=lambda *step: done.append(step),
        )
    refused_then = sum(one.outcome == "refused" for one in calls)
    assert (found.now.calls, found.new.calls) == (COUNT, COUNT)
    assert (found.now.refused, found.now.costs) == (0, {"USD": paid})
    assert found.new.left_out["refused_then"] == refused_then
    curve = found.new.budgets["budget:b"]
    assert curve.fullest_spent == "1"
    assert sum(map(Decimal, curve.by_day.values())) + found.new.saved["USD"] == paid
    assert found.new.refused == found.new.rules["budget:b"].refused > 0
    assert done[0] == (0, COUNT)
    assert done[-1] == (COUNT, COUNT)
    assert len(done) > 5

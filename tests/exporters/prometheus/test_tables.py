from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exporters.prometheus.labels import OTHER
from exporters.prometheus.tables import CounterTable, HistogramTable, Sets

S_NS = 10**9


def samples(table):
    return {(s.name, *s.labels.values()): s.value for s in table.family().samples}


def test_a_counter_adds_up_by_label_set():
    table = CounterTable("taximeter_x", "said", ("provider",))
    table.add(("a",))
    table.add(("a",), 2)
    table.add(("b",), 5)
    assert samples(table) == {("taximeter_x_total", "a"): 3.0, ("taximeter_x_total", "b"): 5.0}


def test_a_counter_without_labels_is_told_from_zero_on():
    assert samples(CounterTable("taximeter_x", "said")) == {("taximeter_x_total",): 0.0}


def test_money_is_added_up_exactly():
    table = CounterTable("taximeter_cost", "said", ("currency",))
    for _ in range(10):
        table.add(("USD",), Decimal("0.1"))
    # As floats the ten tenths would come to 0.9999999999999999.
    assert samples(table) == {("taximeter_cost_total", "USD"): 1.0}


def test_a_bucket_holds_its_upper_bound_and_everything_below():
    table = HistogramTable("taximeter_x_seconds", "said", (), (S_NS // 10, S_NS))
    for took_ns in (0, S_NS // 10, S_NS // 10 + 1, S_NS, 5 * S_NS):
        table.observe((), took_ns)
    assert samples(table) == {
        ("taximeter_x_seconds_bucket", "0.1"): 2,
        ("taximeter_x_seconds_bucket", "1.0"): 4,
        ("taximeter_x_seconds_bucket", "+Inf"): 5,
        ("taximeter_x_seconds_count",): 5,
        ("taximeter_x_seconds_sum",): 6.200000001,
    }


def test_the_last_trace_of_a_bucket_is_its_example():
    table = HistogramTable("taximeter_x_seconds", "said", (), (S_NS,))
    table.observe((), 5, "first")
    table.observe((), S_NS // 2, "second")
    table.observe((), 2 * S_NS)
    buckets = [sample for sample in table.family().samples if sample.name.endswith("_bucket")]
    assert [b.exemplar and (b.exemplar.labels, b.exemplar.value) for b in buckets] == [
        ({"trace_id": "second"}, 0.5),
        None,
    ]


def test_a_full_table_gives_up_what_people_make_up_and_then_everything():
    sets = Sets(("provider", "model"), max_sets=2)
    assert sets.bounded(("p", "a")) == ("p", "a")
    assert sets.bounded(("p", "b")) == ("p", "b")
    assert sets.bounded(("p", "c")) == ("p", OTHER)
    assert sets.bounded(("q", "c")) == ("q", OTHER)
    assert sets.bounded(("r", "c")) == (OTHER, OTHER)
    assert sets.bounded(("p", "a")) == ("p", "a")
    assert sets.overflows == 3


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=80))
def test_no_mixture_of_values_makes_a_table_long(asked):
    sets = Sets(("provider", "model"), max_sets=4)
    assert len({sets.bounded(labels) for labels in asked}) <= 2 * 4 + 1

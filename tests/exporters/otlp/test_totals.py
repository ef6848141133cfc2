from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.otlp import totals as totals_module
from exporters.otlp.measures import MEASURES, Measured
from exporters.otlp.totals import OVERFLOW, Series, Totals

BY_MODEL = (("gen_ai.request.model", "m"), ("server.port", 443))


def duration(value=0.5, attributes=BY_MODEL):
    return Measured("operation_duration", attributes, value)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "run" / "totals.json"


@given(st.lists(st.floats(0, 1000), min_size=1))
def test_a_histogram_holds_every_figure_in_its_bucket(values):
    series = Series(word="operation_duration", attributes=(), since_ns=0)
    for value in values:
        series.add(value)
    bounds = MEASURES["operation_duration"].bounds
    assert sum(series.buckets) == series.count == len(values)
    assert (series.least, series.most) == (min(values), max(values))
    assert series.total == pytest.approx(sum(values))
    for index, bound in enumerate(bounds):
        assert sum(series.buckets[: index + 1]) == sum(value <= bound for value in values)


@given(st.lists(st.decimals(0, 10, places=18), min_size=1))
def test_money_is_added_up_exactly(amounts):
    series = Series(word="cost", attributes=(), since_ns=0)
    for amount in amounts:
        series.add(amount)
    assert series.total == sum(amounts)


def test_the_same_batch_counts_once_and_over_a_restart_too(file):
    first = Totals(file, "cumulative", "1.41")
    first.add("t-1", [duration()])
    first.add("t-1", [duration()])
    first.save()
    again = Totals(file, "cumulative", "1.41")
    again.add("t-1", [duration()])
    again.add("t-2", [duration()])
    (series,) = again.series
    assert series.count == 2
    assert series.since_ns == first.series[0].since_ns


def test_what_was_kept_comes_back_as_it_was(file):
    kept = Totals(file, "cumulative", "1.41")
    kept.add("t-1", [duration(), Measured("cost", BY_MODEL, Decimal("0.000000000000000001"))])
    kept.add("t-2", [Measured("token_usage", BY_MODEL, 7)])
    kept.save()
    back = Totals(file, "cumulative", "1.41").series
    assert back == kept.series
    assert [type(series.total) for series in back] == [float, Decimal, int]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"version":1}'])
def test_a_file_that_cannot_be_read_is_begun_anew(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    assert Totals(file, "cumulative", "1.41").series == []


def test_figures_of_another_kind_are_begun_anew(file):
    kept = Totals(file, "cumulative", "1.41")
    kept.add("t-1", [duration()])
    kept.save()
    assert Totals(file, "delta", "1.41").series == []
    assert Totals(file, "cumulative", "genai-dev").series == []
    assert len(Totals(file, "cumulative", "1.41").series) == 1


def test_totals_go_on_after_they_were_sent(file):
    totals = Totals(file, "cumulative", "1.41")
    totals.add("t-1", [duration()])
    since_ns = totals.series[0].since_ns
    totals.sent(totals.series, since_ns + 10)
    totals.add("t-2", [duration()])
    (series,) = totals.series
    assert (series.count, series.since_ns) == (2, since_ns)


def test_deltas_begin_where_the_last_ones_ended(file):
    totals = Totals(file, "delta", "1.41")
    totals.add("t-1", [duration()])
    at_ns = totals.series[0].since_ns + 10
    totals.sent(totals.series, at_ns)
    assert totals.series == []
    totals.add("t-2", [duration()])
    (series,) = totals.series
    assert (series.count, series.since_ns) == (1, at_ns)


def test_series_are_bounded_and_nothing_is_lost_by_that(file, monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_SERIES", 3)
    totals = Totals(file, "cumulative", "1.41")
    crowded = totals.add("t-1", [duration(attributes=(("m", str(number)),)) for number in range(10)])
    assert crowded == 7
    assert [series.count for series in totals.series] == [1, 1, 1, 7]
    assert totals.series[-1].attributes == OVERFLOW
    totals.save()
    assert Totals(file, "cumulative", "1.41").add("t-2", [duration(attributes=(("m", "new"),))]) == 1


def test_one_crowded_metric_takes_no_room_from_another(file, monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_SERIES", 1)
    totals = Totals(file, "cumulative", "1.41")
    totals.add("t-1", [duration(attributes=(("m", "1"),)), duration(attributes=(("m", "2"),))])
    assert totals.add("t-2", [Measured("cost", (("m", "3"),), Decimal(1))]) == 0

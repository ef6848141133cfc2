from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from exporters.reports import course
from exporters.reports.period import Period
from exporters.reports.question import Question

UNTIL = datetime(2026, 11, 8, 12, tzinfo=UTC)


def question(length, limit=None, **more):
    return Question(period=Period(since=UNTIL - length, until=UNTIL, tz="Asia/Shanghai"), limit=limit, **more)


@pytest.mark.parametrize(
    ("length", "limit", "step_s"),
    [(timedelta(hours=1), None, 60), (timedelta(hours=1), 30, 120), (timedelta(days=1), None, 900),
     (timedelta(days=30), None, 21600), (timedelta(days=3650), None, 86400), (timedelta(seconds=5), 1, 60)],
)  # fmt: skip
def test_steps_are_as_long_as_it_takes_and_never_shorter_than_a_minute(length, limit, step_s):
    assert course.step_s(question(length, limit)) == step_s


def test_whole_minutes_come_from_the_roll_up_and_the_rest_from_the_rows():
    asked = question(timedelta(hours=1, seconds=20), unrolled=frozenset())
    sql = course.query(asked).sql
    assert "FROM calls_by_minute" in sql
    assert "FROM calls WHERE" in sql
    assert "by_day" not in sql
    assert "by_minute" not in course.query(question(timedelta(hours=1))).sql


def test_a_row_is_on_the_clock_of_the_reader_and_the_quantile_of_nothing_is_unknown():
    at_s = int(UNTIL.timestamp()) - 60
    report = course.build(question(timedelta(hours=1)), [(at_s, 5, 2, 1, [100.04, 900.0], [float("nan")] * 2)])
    (record,) = report.records(report.rows)
    assert record["time"].isoformat() == "2026-11-08T19:59:00+08:00"
    assert (record["calls"], record["errors"], record["refused"]) == (5, 2, 1)
    assert (record["latency_p50"], record["latency_p95"]) == (Decimal("100.0"), Decimal("900.0"))
    assert record["ttft_p50"] is None

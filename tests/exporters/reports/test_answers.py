from datetime import UTC, datetime

import pytest

from exporters.reports import REPORTS
from exporters.reports.answers import Reports
from exporters.reports.errors import BadQuestionError, EmptyStoreError
from exporters.reports.period import Period, unix_ns
from exporters.reports.question import Question

PERIOD = Period(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 11, 8, tzinfo=UTC), tz="Asia/Shanghai")
QUESTION = Question(period=PERIOD)


class Answering:
    """A store that has nothing in the period, and so many calls in all."""

    def __init__(self, calls, latest_ns):
        self.latest = (calls, latest_ns)

    def rows(self, query):
        return [self.latest] if query.sql.startswith("SELECT count()") else []


def reports(calls, latest_ns=0):
    return Reports(Answering(calls, latest_ns), lambda *_: None)


@pytest.mark.parametrize("name", [kind.name for kind in REPORTS])
def test_an_empty_period_is_a_report_that_says_when_the_latest_call_was(name):
    latest_ns = unix_ns(datetime(2026, 10, 30, 16, tzinfo=UTC))
    report = reports(3, latest_ns).answer(name, QUESTION)
    assert report.rows == ()
    assert report.notes[-1].endswith("the latest call of the store started at 2026-10-31 00:00:00 CST.")


def test_a_store_that_never_saw_a_call_says_so():
    with pytest.raises(EmptyStoreError, match="holds no calls yet"):
        reports(0).answer("costs", QUESTION)


def test_a_report_that_does_not_exist_is_refused_with_the_list():
    with pytest.raises(BadQuestionError, match="choose from costs, calls, providers"):
        reports(1).answer("profits", QUESTION)

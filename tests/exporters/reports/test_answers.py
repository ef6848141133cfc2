import json
from datetime import UTC, datetime

import msgspec
import pytest

from exporters.reports import REPORTS
from exporters.reports.answers import Asked, Reports
from exporters.reports.errors import BadQuestionError, EmptyStoreError
from exporters.reports.period import Period, unix_ns
from exporters.reports.question import Question

PERIOD = Period(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 11, 8, tzinfo=UTC), tz="Asia/Shanghai")
QUESTION = Question(period=PERIOD)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


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


@pytest.mark.parametrize("change", [{"since": "soon"}, {"tz": "Mars"}, {"by": "cost"}, {"where": ["cost=1"]}])
def test_a_wrong_question_is_one_sentence_with_status_2(change):
    asked = msgspec.structs.replace(Asked(name="costs", since="7d"), **change)
    told = reports(1).tell(asked, "text", NOW)
    assert told.exit_status == 2
    assert told.problem.endswith(".")
    assert "\n" not in told.problem
    assert not told.text


def test_an_empty_store_is_one_sentence_with_status_1():
    told = reports(0).tell(Asked(name="calls", since="7d"), "json", NOW)
    assert (told.exit_status, told.problem) == (1, "The store holds no calls yet: send one through the proxy first.")


def test_an_answer_comes_in_the_format_that_was_asked_for():
    asked = Asked(name="costs", since="7d", by="model")
    assert reports(1).tell(asked, "csv", NOW).text.startswith("model,currency,billing,calls,")
    assert json.loads(reports(1).tell(asked, "json", NOW).text)["report"] == "costs"
    assert reports(1).tell(asked, "text", NOW).text.startswith("costs: 2026-11-17 12:00 up to 2026-11-24 12:00 (UTC)\n")
    assert reports(1).tell(asked, "table", NOW).tables[0].headings[0] == "model"

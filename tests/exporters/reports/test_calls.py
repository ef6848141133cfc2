from datetime import UTC, datetime
from decimal import Decimal

from exporters.reports import calls
from exporters.reports.dimensions import parse_where
from exporters.reports.period import Period, unix_ns
from exporters.reports.question import Question

PERIOD = Period(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 11, 8, tzinfo=UTC), tz="Asia/Shanghai")
QUESTION = Question(period=PERIOD, where=parse_where(["team=a"]), limit=20)
AT_NS = unix_ns(datetime(2026, 11, 2, 1, 2, 3, tzinfo=UTC)) + 456

CALL = {
    "time": AT_NS, "call_id": "c1", "team": "search", "project": "", "user": "ann", "key_id": "k1", "session": "",
    "provider": "minimax", "operation": "chat", "model": "MiniMax-M3", "model_requested": "MiniMax-M3",
    "streaming": "true", "status": "200", "outcome": "ok", "error_class": "", "input_tokens": 10,
    "cached_input_tokens": None, "output_tokens": 5, "usage_source": "provider", "cost": Decimal("0.000009"),
    "currency": "USD", "cost_source": "book", "estimated": "", "billing": "metered", "duration": Decimal("812.345"),
    "ttft": Decimal("99.5"), "trace_id": "t1",
}  # fmt: skip


def row(flags=(0, 0, 0), **changes):
    return (*(CALL | changes).values(), *flags)


def test_the_newest_calls_come_first_and_filters_are_bound():
    query = calls.query(QUESTION)
    assert query.sql.endswith("`started_at` DESC, `call_id` DESC LIMIT {top:UInt32}")
    assert query.parameters["top"] == 20
    assert query.parameters["where0"] == ["a"]


def test_a_call_is_told_on_the_clock_of_the_reader_with_its_caller():
    report = calls.build(QUESTION, [row()])
    (record,) = report.records(report.rows)
    assert record["time"].isoformat() == "2026-11-02T09:02:03+08:00"
    assert record["caller"] == "search/ann"
    assert record["cost"] == Decimal("0.000009")
    assert record["cost_source"] == "book"


def test_a_caller_without_a_name_is_known_by_its_key():
    report = calls.build(QUESTION, [row(team="", user="")])
    assert report.records(report.rows)[0]["caller"] == "k1"


def test_a_call_that_never_got_an_answer_has_no_status():
    report = calls.build(QUESTION, [row(status="0")])
    assert report.records(report.rows)[0]["status"] is None


def test_what_is_shown_is_added_up_by_currency_and_billing():
    report = calls.build(
        QUESTION,
        [
            row(flags=(1, 0, 1)),
            row(cost=Decimal("0.000000000000000001")),
            row(cost=None, flags=(0, 1, 0)),
            row(cost=Decimal(2), currency="CNY", billing="subscription"),
        ],
    )
    assert report.notes == (
        "4 calls shown, of them 1 estimated, 1 unpriced, 1 interrupted.",
        "2 CNY (subscription) for 1 of these calls.",
        "0.000009000000000001 USD (metered) for 2 of these calls.",
        "~ marks a cost that rests on an estimate.",
    )

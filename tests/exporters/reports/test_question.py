from datetime import UTC, datetime

from exporters.reports.dimensions import parse_where
from exporters.reports.period import Period
from exporters.reports.question import MAX_ROWS, Question, scope

PERIOD = Period(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 11, 2, tzinfo=UTC), tz="UTC")


def test_the_period_is_half_open_and_travels_as_nanoseconds():
    query = scope(Question(period=PERIOD))
    assert query.sql == (
        "`started_at` >= fromUnixTimestamp64Nano({since_ns:Int64})"
        " AND `started_at` < fromUnixTimestamp64Nano({until_ns:Int64})"
    )
    assert query.parameters == {"since_ns": 1_793_491_200 * 10**9, "until_ns": 1_793_577_600 * 10**9}


def test_every_filter_has_parameters_of_its_own():
    query = scope(Question(period=PERIOD, where=parse_where(["tag:a=1", "tag:b!=2"])))
    assert query.sql.endswith(
        " AND `tags`[{where0_tag:String}] IN {where0:Array(String)}"
        " AND `tags`[{where1_tag:String}] NOT IN {where1:Array(String)}"
    )
    given = {name: value for name, value in query.parameters.items() if name.startswith("where")}
    assert given == {"where0_tag": "a", "where0": ["1"], "where1_tag": "b", "where1": ["2"]}


def test_no_report_is_longer_than_the_cap():
    assert Question(period=PERIOD).row_limit == MAX_ROWS
    assert Question(period=PERIOD, limit=3).row_limit == 3
    assert Question(period=PERIOD, limit=10**9).row_limit == MAX_ROWS

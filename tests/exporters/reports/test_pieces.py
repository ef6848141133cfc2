from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.reports.dimensions import DIMENSIONS, parse_by, parse_where
from exporters.reports.period import Period, from_unix_ns, parse_period, parse_zone
from exporters.reports.pieces import DAYS, MINUTES, ROWS, cut
from exporters.reports.question import Question

NOW = datetime(2026, 11, 24, 13, 37, 11, 123_456, tzinfo=UTC)
DAY_NS = 86_400 * 10**9
SINCE_NS = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()) * 10**9


def ask(since="2026-11-01", until=None, by="", where=(), tz="UTC", unrolled=frozenset()):
    return Question(
        period=parse_period(since, until, tz, NOW), by=parse_by(by), where=parse_where(where), unrolled=unrolled
    )


def levels(question):
    return [piece.level.suffix for piece in cut(question)]


def spans(question):
    """Suffix of the level -> its spans in hours since the start of the period."""
    since_ns = question.period.since_ns
    return {
        piece.level.suffix: [tuple((at_ns - since_ns) / 3.6e12 for at_ns in span) for span in piece.spans]
        for piece in cut(question)
    }


def test_whole_days_whole_minutes_and_the_rest():
    question = ask("2026-11-10T22:59:30", "2026-11-13T01:00:00.000001")
    hour = 3600
    assert spans(question) == {
        "_by_day": [((hour + 30) / hour, (hour + 30) / hour + 48)],
        "_by_minute": [
            (30 / hour, (hour + 30) / hour),
            ((hour + 30) / hour + 48, (hour + 30) / hour + 49),
        ],
        "": [(0.0, 30 / hour), ((hour + 30) / hour + 49, pytest.approx((hour + 30) / hour + 49))],
    }


def test_a_period_of_whole_days_needs_nothing_else():
    assert levels(ask("2026-11-01", "2026-11-20")) == ["_by_day"]
    assert levels(ask("2026-11-01T01:00", "2026-11-01T02:00")) == ["_by_minute"]
    assert levels(ask("2026-11-01T01:00:01", "2026-11-01T01:00:59")) == [""]


def test_a_store_without_roll_ups_is_asked_for_rows():
    assert levels(ask(unrolled=None)) == [""]


def test_a_day_whose_roll_up_is_not_complete_is_taken_from_the_rows():
    question = ask("2026-11-01", "2026-11-06", unrolled=frozenset({date(2026, 11, 2), date(2026, 11, 3)}))
    assert spans(question) == {"_by_day": [(0, 24), (72, 120)], "": [(24, 72)]}
    outside = frozenset({date(2026, 10, 31), date(2026, 11, 6)})
    assert levels(ask("2026-11-01", "2026-11-06", unrolled=outside)) == ["_by_day"]


@pytest.mark.parametrize("by", ["session", "tag:env"])
def test_what_roll_ups_do_not_have_is_taken_from_the_rows(by):
    assert levels(ask(by=by)) == levels(ask(where=[f"{by}=x"])) == [""]


@pytest.mark.parametrize("by", ["user", "price_id", "finish_class"])
def test_what_only_days_have_is_taken_from_rows_beside_them(by):
    assert levels(ask("2026-11-01T01:00", "2026-11-03", by=by)) == ["_by_day", ""]
    assert levels(ask("2026-11-01T01:00", "2026-11-03", where=[f"{by}!=x"])) == ["_by_day", ""]


def test_days_of_another_zone_and_hours_are_made_of_minutes():
    whole = {"since": "2026-11-01", "until": "2026-11-03"}
    assert levels(ask(by="day", **whole)) == ["_by_day"]
    assert levels(ask(by="hour", **whole)) == ["_by_minute"]
    assert levels(ask(by="day", tz="Europe/Berlin", **whole)) == ["_by_minute"]
    assert levels(ask(by="hour", tz="Asia/Kolkata", **whole)) == ["_by_minute"]
    # Without days in it the question is one of instants, and the zone is of no matter.
    assert levels(ask(by="team", tz="Europe/Berlin", **whole)) == ["_by_day", "_by_minute"]


def test_a_zone_that_is_utc_for_a_part_of_the_year_is_utc_only_then():
    assert levels(ask("2026-11-01", "2026-11-03", by="day", tz="Europe/London")) == ["_by_day"]
    assert "_by_day" not in levels(ask("2026-10-20", "2026-11-03", by="day", tz="Europe/London"))
    # An offset of 44 minutes and 30 seconds: no minute of UTC is one of Liberia's.
    assert levels(ask("1971-05-01", "1971-05-03", by="day", tz="Africa/Monrovia")) == [""]


def test_a_year_that_minutes_cannot_tell_is_taken_from_the_rows():
    assert levels(ask("2026-11-01", "2150-01-01")) == [""]


INSTANTS = st.integers(SINCE_NS // 1000, (SINCE_NS + 60 * DAY_NS) // 1000).map(lambda us: us * 1000) | st.integers(
    0, 60
).map(lambda day: SINCE_NS + day * DAY_NS)
NAMES = st.lists(st.sampled_from([one.name for one in DIMENSIONS if one.groups]), max_size=2, unique=True)


@given(
    st.tuples(INSTANTS, INSTANTS).filter(lambda pair: pair[0] != pair[1]),
    st.sampled_from(["UTC", "Europe/Berlin", "Europe/London", "Asia/Kolkata"]),
    NAMES,
    st.frozensets(st.integers(0, 60).map(lambda n: date(2026, 10, 1) + timedelta(days=n)), max_size=5),
)
def test_the_pieces_are_the_whole_period_and_nothing_twice(ends, tz, names, unrolled):
    zone = parse_zone(tz)
    since, until = (from_unix_ns(at_ns, zone) for at_ns in sorted(ends))
    question = Question(period=Period(since, until, tz), by=parse_by(",".join(names)), unrolled=unrolled)
    pieces = cut(question)
    every = sorted(span for piece in pieces for span in piece.spans)
    assert (every[0][0], every[-1][1]) == (question.period.since_ns, question.period.until_ns)
    assert all(one[1] == other[0] for one, other in pairwise(every))
    for piece in pieces:
        for span in piece.spans:
            assert span[0] < span[1]
            assert all(at_ns % piece.level.step_ns == 0 for at_ns in span)
            if piece.rolled:
                # No instant of a day that is not complete.
                days = {date(1970, 1, 1) + timedelta(days=n) for n in range(span[0] // DAY_NS, -(-span[1] // DAY_NS))}
                assert not days & unrolled


def test_conditions_are_bound_numbers_of_the_level():
    pieces = cut(ask("2026-11-10T22:59:30", "2026-11-13", where=["team=a", "model!=b"]))
    days, minutes, rows = (piece.scope(ask(where=["team=a", "model!=b"])) for piece in pieces)
    assert "`day` >= toDate({since_by_day0:UInt16})" in days.sql
    assert days.parameters["since_by_day0"] == (date(2026, 11, 11) - date(1970, 1, 1)).days
    assert "`minute` < toDateTime({until_by_minute0:UInt32} * 60, 'UTC')" in minutes.sql
    assert "`started_at` >= fromUnixTimestamp64Nano({since0:Int64})" in rows.sql
    for scope in (days, minutes, rows):
        assert scope.sql.endswith("`team` IN {where0:Array(String)} AND `model` NOT IN {where1:Array(String)}")
        assert scope.parameters["where0"] == ["a"]


def test_days_and_hours_are_told_by_the_column_of_the_level():
    (day,), (hour,) = parse_by("day"), parse_by("hour")
    pieces = {piece.level.suffix: piece for piece in cut(ask("2026-11-10T22:59:30", "2026-11-13"))}
    assert pieces[DAYS.suffix].expression(day, "by0") == ("toString(`day`)", {})
    assert pieces[MINUTES.suffix].expression(hour, "by0")[0] == "toUnixTimestamp(toStartOfHour(`minute`, {tz:String}))"
    assert pieces[ROWS.suffix].expression(day, "by0") == day.sql("by0")

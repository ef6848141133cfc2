from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.reports.errors import BadQuestionError
from exporters.reports.period import from_unix_ns, parse_period, parse_zone, unix_ns

NOW = datetime(2026, 11, 24, 12, 30, 15, tzinfo=UTC)


def since(text, tz="UTC", now=NOW):
    return parse_period(text, None, tz, now).since.astimezone(UTC)


def test_hours_and_minutes_are_exact_even_over_a_change_of_clocks():
    spring = datetime(2026, 3, 29, 10, 0, tzinfo=UTC)
    assert since("24h", "Europe/Berlin", spring) == spring - timedelta(hours=24)
    assert since("90m", "Europe/Berlin", spring) == spring - timedelta(minutes=90)
    assert since("30s") == NOW - timedelta(seconds=30)


def test_days_and_weeks_are_days_of_the_calendar_of_the_zone():
    spring = datetime(2026, 3, 29, 10, 0, tzinfo=UTC)  # noon in Berlin, on a day of 23 hours
    assert since("1d", "Europe/Berlin", spring) == spring - timedelta(hours=23)
    autumn = datetime(2026, 10, 25, 11, 0, tzinfo=UTC)  # noon in Berlin, on a day of 25 hours
    assert since("1d", "Europe/Berlin", autumn) == autumn - timedelta(hours=25)
    assert since("2w") == NOW - timedelta(days=14)


@pytest.mark.parametrize(
    ("text", "tz", "instant"),
    [
        ("2026-11-01", "UTC", "2026-11-01T00:00:00+00:00"),
        ("2026-11-01", "Asia/Shanghai", "2026-10-31T16:00:00+00:00"),
        ("2026-07-01", "Europe/Berlin", "2026-06-30T22:00:00+00:00"),
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00:00+00:00"),
        ("2026-11-01T08:30", "Europe/Berlin", "2026-11-01T07:30:00+00:00"),
        ("2026-11-01 08:30:15.5", "UTC", "2026-11-01T08:30:15.500000+00:00"),
        ("2026-11-01T08:30Z", "Europe/Berlin", "2026-11-01T08:30:00+00:00"),
        ("2026-11-01T08:30+02:00", "America/New_York", "2026-11-01T06:30:00+00:00"),
        ("today", "Europe/Berlin", "2026-11-23T23:00:00+00:00"),
        ("yesterday", "Asia/Kolkata", "2026-11-22T18:30:00+00:00"),
        # The clocks jump from 0:00 to 1:00 there, so this day begins an hour late.
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00+00:00"),
        # And here 0:00 comes twice: the day begins with the first.
        ("2026-11-01", "America/Havana", "2026-11-01T04:00:00+00:00"),
    ],
)
def test_a_date_is_the_first_instant_of_its_day_and_a_time_stands_on_the_clock_of_the_zone(text, tz, instant):
    assert since(text, tz) == datetime.fromisoformat(instant)


def test_the_end_is_now_unless_it_is_given():
    assert parse_period("7d", None, "Europe/Berlin", NOW).until == NOW
    period = parse_period("2026-10-01", "2026-11-01", "Europe/Berlin", NOW)
    assert period.until_ns - period.since_ns == (31 * 24 + 1) * 3600 * 10**9  # October has the hour that comes twice


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "7x",
        "-7d",
        "soon",
        "2026-13-01",
        "2026-02-30",
        "1e3d",
        "\N{FULLWIDTH DIGIT NINE}d",
        "d7",
        "2026-11-01T25:00",
        "'; DROP",
    ],
)
def test_what_is_no_point_in_time_is_refused_with_examples(text):
    with pytest.raises(BadQuestionError, match="no point in time: write 24h, 7d"):
        parse_period(text, None, "UTC", NOW)


@pytest.mark.parametrize("text", ["1969-12-31", "2201-01-01", "0001-01-01", "999999w", "999999d"])
def test_years_that_the_store_cannot_hold_are_refused(text):
    with pytest.raises(BadQuestionError):
        parse_period(text, None, "UTC", NOW)


@pytest.mark.parametrize(("start", "end"), [("now", None), ("1h", "2h"), ("2026-11-25", None), ("today", "today")])
def test_a_period_that_ends_before_it_starts_is_refused(start, end):
    with pytest.raises(BadQuestionError, match="ends before it starts"):
        parse_period(start, end, "UTC", NOW)


def test_the_second_of_two_equal_hours_comes_after_the_first():
    first, second = "2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"
    period = parse_period(first, second, "Europe/Berlin", NOW)
    assert period.until_ns - period.since_ns == 3600 * 10**9
    with pytest.raises(BadQuestionError, match="ends before it starts"):
        parse_period(second, first, "Europe/Berlin", NOW)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "Europe", "../UTC", "/etc/passwd", "UTC\0", "Europe/Berlin;"])
def test_a_zone_that_does_not_exist_is_refused(name):
    with pytest.raises(BadQuestionError, match="no time zone"):
        parse_zone(name)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 12, 31), timezones=st.timezones()))  # noqa: DTZ001
def test_unix_nanoseconds_are_exact_to_the_microsecond(at):
    instant = at.astimezone(UTC)
    assert from_unix_ns(unix_ns(at), ZoneInfo("Asia/Kathmandu")) == instant
    assert unix_ns(at) % 1000 == 0


@given(st.text(max_size=20))
def test_no_text_does_anything_but_give_a_period_or_a_sentence(text):
    try:
        period = parse_period(text, None, "UTC", NOW)
    except BadQuestionError:
        return
    assert period.since_ns < period.until_ns

"""Windows lie edge to edge on any calendar, whatever the clocks do."""

from datetime import UTC, datetime
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.compiled import Window
from policies.conditions import Hours
from policies.windows import NS, open_at, span_at, span_before

HOUR_NS = 3600 * NS
ZONES = sorted(
    {
        "UTC",
        "Africa/Cairo",
        "America/Goose_Bay",
        "America/Havana",
        "America/New_York",
        "America/Sao_Paulo",
        "America/St_Johns",
        "America/Toronto",
        "Asia/Beirut",
        "Asia/Kathmandu",
        "Asia/Shanghai",
        "Asia/Tehran",
        "Atlantic/Azores",
        "Australia/Lord_Howe",
        "Europe/Berlin",
        "Europe/Dublin",
        "Pacific/Apia",
        "Pacific/Chatham",
        "Pacific/Kwajalein",
    }
    & available_timezones()
)
INSTANTS = st.integers(0, 4_000_000_000 * NS)
CALENDAR = st.builds(
    Window,
    shape=st.sampled_from(["hour", "day", "week", "month"]),
    zone=st.sampled_from(ZONES),
    week_start=st.integers(0, 6),
)
ROLLING = st.builds(
    Window,
    shape=st.just("rolling"),
    length_ns=st.sampled_from([HOUR_NS, 24 * HOUR_NS]),
    buckets=st.sampled_from([6, 24]),
)


def ns(text):
    return round(datetime.fromisoformat(text).timestamp()) * NS


# shape, zone, instant, start and end of its window in UTC
TABLE = [
    ("month", "UTC", "2024-02-29T12:00:00+00:00", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
    ("month", "UTC", "2023-02-28T23:59:59+00:00", "2023-02-01T00:00:00", "2023-03-01T00:00:00"),
    ("month", "UTC", "2100-02-28T12:00:00+00:00", "2100-02-01T00:00:00", "2100-03-01T00:00:00"),
    ("month", "UTC", "2026-12-31T23:59:59+00:00", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ("month", "Europe/Berlin", "2026-10-31T23:30:00+00:00", "2026-10-31T23:00:00", "2026-11-30T23:00:00"),
    ("month", "Europe/Berlin", "2026-03-15T12:00:00+00:00", "2026-02-28T23:00:00", "2026-03-31T22:00:00"),
    ("day", "Europe/Berlin", "2026-03-29T12:00:00+00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
    ("day", "Europe/Berlin", "2026-10-25T12:00:00+00:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
    # Midnight is skipped: the day begins at one o'clock.
    ("day", "America/Sao_Paulo", "2018-11-04T12:00:00-02:00", "2018-11-04T03:00:00", "2018-11-05T02:00:00"),
    # The jump goes from 23:30 over midnight to 00:30.
    ("day", "America/Toronto", "1919-03-31T05:00:00+00:00", "1919-03-31T04:30:00", "1919-04-01T04:00:00"),
    # Midnight comes twice: the first one counts.
    ("day", "America/Havana", "2026-11-01T04:30:00+00:00", "2026-11-01T04:00:00", "2026-11-02T05:00:00"),
    # At 00:01 the clocks are put back to 23:01 of the day before; the day that has begun goes on.
    ("day", "America/Goose_Bay", "2010-11-07T02:59:00+00:00", "2010-11-06T03:00:00", "2010-11-07T03:00:00"),
    ("day", "America/Goose_Bay", "2010-11-07T03:30:00+00:00", "2010-11-07T03:00:00", "2010-11-08T04:00:00"),
    # Half an hour of daylight saving.
    ("day", "Australia/Lord_Howe", "2026-04-05T00:00:00+11:00", "2026-04-04T13:00:00", "2026-04-05T13:30:00"),
    ("hour", "Australia/Lord_Howe", "2026-04-04T14:10:00+00:00", "2026-04-04T14:00:00", "2026-04-04T15:00:00"),
    ("hour", "Australia/Lord_Howe", "2026-04-04T15:10:00+00:00", "2026-04-04T15:00:00", "2026-04-04T15:30:00"),
    ("hour", "Asia/Kathmandu", "2026-11-24T10:20:00+00:00", "2026-11-24T10:15:00", "2026-11-24T11:15:00"),
    ("hour", "Europe/Berlin", "2026-10-25T00:30:00+00:00", "2026-10-25T00:00:00", "2026-10-25T01:00:00"),
    # Samoa had no 30 December 2011.
    ("day", "Pacific/Apia", "2011-12-30T09:59:59+00:00", "2011-12-29T10:00:00", "2011-12-30T10:00:00"),
    ("day", "Pacific/Apia", "2011-12-30T10:00:00+00:00", "2011-12-30T10:00:00", "2011-12-31T10:00:00"),
    ("week", "Pacific/Apia", "2011-12-30T12:00:00+00:00", "2011-12-26T10:00:00", "2012-01-01T10:00:00"),
    # A leap second has the number of the second after it.
    ("day", "UTC", "2017-01-01T00:00:00+00:00", "2017-01-01T00:00:00", "2017-01-02T00:00:00"),
    ("month", "UTC", "2016-12-31T23:59:59+00:00", "2016-12-01T00:00:00", "2017-01-01T00:00:00"),
    ("week", "UTC", "2026-11-29T23:59:59+00:00", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
    ("week", "UTC", "1970-01-01T00:00:00+00:00", "1969-12-29T00:00:00", "1970-01-05T00:00:00"),
]


@pytest.mark.parametrize(("shape", "zone", "at", "start", "end"), TABLE)
def test_a_window_begins_and_ends_where_the_calendar_says(shape, zone, at, start, end):
    span = span_at(Window(shape=shape, zone=zone), ns(at))

    assert (span.starts_ns, span.ends_ns) == (ns(f"{start}+00:00"), ns(f"{end}+00:00"))
    assert span.label == f"{start}Z"


@pytest.mark.parametrize("week_start", range(7))
def test_a_week_begins_on_the_day_that_the_policy_names(week_start):
    span = span_at(Window(shape="week", week_start=week_start), ns("2026-11-24T12:00:00+00:00"))

    assert datetime.fromtimestamp(span.starts_ns / NS, UTC).weekday() == week_start


@settings(max_examples=300, deadline=None)
@given(CALENDAR, INSTANTS)
def test_every_instant_is_in_exactly_one_window(window, at_ns):
    span = span_at(window, at_ns)

    assert span.starts_ns <= at_ns < span.ends_ns
    assert span_at(window, span.starts_ns) == span
    assert span_at(window, span.ends_ns - 1) == span
    assert span_at(window, span.ends_ns).starts_ns == span.ends_ns
    assert span_before(window, span).ends_ns == span.starts_ns


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ZONES), INSTANTS)
def test_an_hour_is_never_longer_than_an_hour(zone, at_ns):
    span = span_at(Window(shape="hour", zone=zone), at_ns)

    assert 0 < span.ends_ns - span.starts_ns <= HOUR_NS


@given(ROLLING, INSTANTS, st.integers(0, 30 * HOUR_NS))
def test_what_was_spent_within_the_rolling_length_always_counts(window, spent_ns, later_ns):
    before, now = span_at(window, spent_ns), span_at(window, spent_ns + later_ns)
    counts = before.label in (*now.also, now.label)

    if later_ns <= window.length_ns:
        assert counts
    if later_ns >= window.length_ns + 2 * now.bucket_ns:
        assert not counts
    assert counts == (spent_ns + later_ns < before.ends_ns)


def test_a_total_never_ends():
    span = span_at(Window(shape="total"), 5)

    assert (span.label, span.turns_ns, span.ends_ns) == ("", None, None)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-24T08:59:59+01:00", False),
        ("2026-11-24T09:00:00+01:00", True),
        ("2026-11-24T17:59:59+01:00", True),
        ("2026-11-24T18:00:00+01:00", False),
        ("2026-11-28T12:00:00+01:00", False),
        ("2026-07-24T09:00:00+02:00", True),
    ],
)
def test_office_hours_are_those_on_the_wall(at, is_open):
    hours = Hours(zone="Europe/Berlin", weekdays=(0, 1, 2, 3, 4), spans=((540, 1080),))

    assert open_at(hours, ns(at)) is is_open


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-27T23:00:00+00:00", True),  # Friday night
        ("2026-11-28T05:59:00+00:00", True),  # and its morning
        ("2026-11-28T06:00:00+00:00", False),
        ("2026-11-28T23:00:00+00:00", False),  # Saturday night begins on no day of the list
        ("2026-11-27T05:00:00+00:00", False),  # Thursday's night neither
    ],
)
def test_hours_over_midnight_belong_to_the_day_on_which_they_begin(at, is_open):
    assert open_at(Hours(zone="UTC", weekdays=(4,), spans=((1320, 360),)), ns(at)) is is_open


def test_the_whole_day_is_a_span():
    assert open_at(Hours(zone="UTC", weekdays=(1,), spans=((0, 1440),)), ns("2026-11-24T23:59:59+00:00"))
    assert not open_at(Hours(zone="UTC", weekdays=(1,), spans=((0, 1440),)), ns("2026-11-25T00:00:00+00:00"))


def test_negated_hours_are_the_others():
    hours = Hours(zone="UTC", weekdays=(1,), spans=((0, 1440),), negated=True)

    assert not open_at(hours, ns("2026-11-24T12:00:00+00:00"))

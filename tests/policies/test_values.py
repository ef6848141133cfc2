"""The small languages of a policy file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import values
from policies.compiled import Window
from policies.conditions import Hours
from policies.demand import MAX_AMOUNT
from policies.values import Amount, OneOf


@pytest.mark.parametrize(
    ("raw", "whole", "unit"),
    [
        ("5 USD", 5 * 10**9, "USD"),
        ("0.000000001 USD", 1, "USD"),
        ("1_000CNY", 1000 * 10**9, "CNY"),
        ("200k tokens", 200_000, "tokens"),
        ("1.5M input_tokens", 1_500_000, "input_tokens"),
        ("1 call", 1, "calls"),
        ("30 images", 30_000_000, "images"),
        ("2.5 audio_seconds", 2_500_000, "audio_seconds"),
        ("4 concurrent", 4, "concurrent"),
    ],
)
def test_an_amount_has_a_unit(raw, whole, unit):
    assert values.amount(raw) == Amount(whole, unit)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (5, "with its unit"),
        ("5", "with its unit"),
        ("-5 USD", "with its unit"),
        ("5 usd", "capital letters: USD"),
        ("5 Dollars", "ISO 4217"),
        ("5 XXX", "ISO 4217"),
        ("0.5 calls", "more decimals"),
        ("0.0000000001 USD", "more decimals"),
        ("9999999999 USD", "larger than"),
        ("1e3 USD", "with its unit"),
        ("\u0665 USD", "with its unit"),
        (None, "with its unit"),
        ([], "with its unit"),
    ],
)
def test_what_is_no_amount_is_told_what_would_be_one(raw, says):
    with pytest.raises(ValueError, match=says):
        values.amount(raw)


@given(st.text(max_size=20))
def test_no_text_gives_an_amount_out_of_bounds(raw):
    try:
        found = values.amount(raw)
    except ValueError:
        return
    assert 0 <= found.whole <= MAX_AMOUNT


@pytest.mark.parametrize(
    ("raw", "window"),
    [
        ("month", Window(shape="month")),
        ("total", Window(shape="total")),
        ("rolling 24h", Window(shape="rolling", length_ns=86_400 * 10**9, buckets=24)),
        ("rolling 1h30m", Window(shape="rolling", length_ns=5_400 * 10**9, buckets=24)),
    ],
)
def test_a_window_is_of_the_calendar_or_rolls(raw, window):
    assert values.window(raw) == window


@pytest.mark.parametrize("raw", ["year", "rolling", "rolling 10s", "rolling 31d", "rolling 90.5s", 5, None, ["month"]])
def test_what_is_no_window_is_refused(raw):
    with pytest.raises(ValueError, match=r"must be|rolling window"):
        values.window(raw)


@pytest.mark.parametrize(("raw", "ns"), [("minute", 60 * 10**9), ("10s", 10**10), ("500ms", 5 * 10**8), (2, 2 * 10**9)])
def test_a_pace_is_for_a_time(raw, ns):
    assert values.every_ns(raw) == ns


@pytest.mark.parametrize(("raw", "share"), [("80%", 8000), ("0.25 %", 25), ("120%", 12000)])
def test_a_share_is_in_percent(raw, share):
    assert values.percent(raw) == share
    assert values.threshold(raw) == share


@pytest.mark.parametrize("raw", ["80", 80, 0.8, "0%", "-5%", "1000%x"])
def test_what_is_no_threshold_is_refused(raw):
    with pytest.raises(ValueError, match="80%"):
        values.threshold(raw)


def test_a_grace_is_a_share_or_an_amount():
    assert values.grace("5%") == 500
    assert values.grace("1 USD") == Amount(10**9, "USD")


@pytest.mark.parametrize("raw", ["Europe/Berlin", "UTC", "Asia/Shanghai"])
def test_a_zone_is_one_of_the_list(raw):
    assert values.zone(raw) == raw


@pytest.mark.parametrize("raw", ["Berlin", "right/Europe/Berlin", "+01:00", "../etc/passwd", None])
def test_what_is_no_zone_is_refused(raw):
    with pytest.raises(ValueError, match="time zone"):
        values.zone(raw)


@pytest.mark.parametrize(
    ("raw", "days"),
    [("mon-fri", (0, 1, 2, 3, 4)), ("sat", (5,)), (["mon", "wed-thu"], (0, 2, 3)), ("sat-mon", (0, 5, 6))],
)
def test_days_are_single_or_ranges(raw, days):
    assert values.weekdays(raw) == days


@pytest.mark.parametrize("raw", ["monday-friday", [], 5, "mon-", [1]])
def test_what_are_no_days_is_refused(raw):
    with pytest.raises(ValueError, match="mon-fri"):
        values.weekdays(raw)


@pytest.mark.parametrize(("raw", "day"), [("monday", 0), ("Sun", 6)])
def test_a_week_may_begin_on_any_day(raw, day):
    assert values.weekday(raw) == day


@pytest.mark.parametrize(
    ("raw", "spans"),
    [("09:00-18:00", ((540, 1080),)), (["22:00-06:00"], ((1320, 360),)), ("00:00-24:00", ((0, 1440),))],
)
def test_hours_may_go_over_midnight(raw, spans):
    assert values.hours(raw) == spans


@pytest.mark.parametrize("raw", ["9-18", "09:00-09:00", "24:00-06:00", "09:00-24:30", [], 900])
def test_what_are_no_hours_is_refused(raw):
    with pytest.raises(ValueError, match="09:00-18:00"):
        values.hours(raw)


@pytest.mark.parametrize(
    ("raw", "found"),
    [("a", OneOf(("a",))), (["a", "b*"], OneOf(("a", "b*"))), ({"not": "a"}, OneOf(("a",), negated=True))],
)
def test_a_condition_is_a_value_a_list_or_their_contrary(raw, found):
    assert values.one_of(raw) == found


@pytest.mark.parametrize("raw", [5, [], [5], {"is": "a"}, {"not": {"not": "a"}}, "x" * 300, None])
def test_what_is_no_condition_is_refused(raw):
    with pytest.raises(ValueError, match="must be"):
        values.one_of(raw)


def test_streaming_is_true_or_false():
    assert values.flag_or_not(True) == OneOf(("true",))
    with pytest.raises(ValueError, match="true or false"):
        values.flag_or_not("yes")


@pytest.mark.parametrize(("raw", "found"), [("user", ("user",)), (["team", "tag:env"], ("team", "tag:env"))])
def test_counters_are_by_fields(raw, found):
    assert values.fields(raw) == found


@pytest.mark.parametrize("raw", ["usr", "tag:", ["team", "team"], [], 5, "streaming"])
def test_what_is_no_field_is_refused(raw):
    with pytest.raises(ValueError, match="tag:NAME"):
        values.fields(raw)


def test_what_stands_in_for_a_bound_is_a_word_or_an_amount():
    assert [values.stands_in(raw) for raw in ("deny", "allow", "1 USD")] == ["deny", "allow", Amount(10**9, "USD")]
    for raw in ("maybe", ["deny"], None):
        with pytest.raises(ValueError, match="deny, allow"):
            values.stands_in(raw)


@pytest.mark.parametrize("raw", [0.14, "0", "-1", "1,2", "abc", None])
def test_a_rate_of_exchange_is_a_positive_number_in_quotes(raw):
    with pytest.raises(ValueError, match="positive number"):
        values.exchange_rate(raw)


@pytest.mark.parametrize("raw", ["", "a b", "a|b", "ä", "x" * 65, "-a", None])
def test_what_is_no_name_is_refused(raw):
    with pytest.raises(ValueError, match="letters"):
        values.name(raw)


def test_an_instant_is_a_date_or_has_a_zone():
    assert values.day_ns("1970-01-02") == 86_400 * 10**9


def test_times_of_the_week_that_say_nothing_are_all_of_it():
    assert values.hours_of((), (), "UTC", negated=False) == Hours(
        zone="UTC", weekdays=tuple(range(7)), spans=((0, 1440),)
    )


def test_money_is_in_a_currency_in_use():
    assert values.is_money("CNY")
    assert not values.is_money("XXX")
    assert not values.is_money("tokens")

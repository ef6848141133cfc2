from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from proxy.prices import values


@pytest.mark.parametrize(
    ("raw", "amount"), [("0.30", "0.30"), ("0", "0"), ("100", "100"), ("0.00000000015", "1.5E-10")]
)
def test_an_amount_is_exactly_what_stands_in_the_quotes(raw, amount):
    assert values.rate(raw) == Decimal(amount)


@pytest.mark.parametrize("raw", [0.3, 1, True, float("nan")])
def test_an_amount_without_quotes_is_refused(raw):
    with pytest.raises(ValueError, match="must stand in quotes"):
        values.rate(raw)


@pytest.mark.parametrize("raw", ["", "-1", "1e-6", "1.", ".5", "NaN", "1,5", " 1", "1" * 9, None, ["1"], "٣"])
def test_an_amount_is_digits_and_a_point(raw):
    with pytest.raises(ValueError, match="must be an amount"):
        values.rate(raw)


@pytest.mark.parametrize(
    ("raw", "instant"),
    [
        (date(2026, 10, 18), datetime(2026, 10, 18, tzinfo=UTC)),
        ("2026-10-18", datetime(2026, 10, 18, tzinfo=UTC)),
        (datetime(2026, 10, 18, 16, tzinfo=UTC), datetime(2026, 10, 18, 16, tzinfo=UTC)),
    ],
)
def test_a_date_is_midnight_utc_unless_it_says_otherwise(raw, instant):
    assert values.instant_ns(raw) == int(instant.timestamp()) * 10**9


@pytest.mark.parametrize("raw", ["soon", "2026-13-01", 20261018, None, datetime(2026, 10, 18)])  # noqa: DTZ001
def test_what_is_no_instant_is_refused(raw):
    with pytest.raises(ValueError, match="such as 2026-10-18"):
        values.instant_ns(raw)


def test_the_day_of_an_instant_is_that_of_utc():
    assert values.day(values.instant_ns("2026-10-18")) == "2026-10-18"
    assert values.day(values.instant_ns("2026-10-18") - 1) == "2026-10-17"


@pytest.mark.parametrize("raw", ["XYZ", "usd", "CNH", "DEM", "", 1, None, []])
def test_a_currency_is_one_in_use(raw):
    assert values.currency("CNY") == "CNY"
    with pytest.raises(ValueError, match="such as USD or CNY"):
        values.currency(raw)


def test_names_may_stand_alone_or_in_a_list():
    assert values.globs("a*") == ("a*",)
    assert values.globs(["a", "B"]) == ("a", "B")


@pytest.mark.parametrize("raw", [[], [1], None, "", "a b", ["x" * 201], {"a": 1}])
def test_what_is_no_list_of_names_is_refused(raw):
    with pytest.raises(ValueError, match="name"):
        values.globs(raw)


def test_hours_are_minutes_after_midnight():
    assert values.hours(["09:00-12:00", "14:30-24:00"]) == ((540, 720), (870, 1440))


@pytest.mark.parametrize(
    "raw", ["09:00-12:00", [], ["9-12"], ["12:00-09:00"], ["09:00-25:00"], ["09:00-12:00", 3], None]
)
def test_what_is_no_hours_is_refused(raw):
    with pytest.raises(ValueError, match="hours of one day"):
        values.hours(raw)


def test_weekdays_begin_with_monday():
    assert values.weekdays(["sun", "mon", "mon"]) == (0, 6)


@pytest.mark.parametrize("raw", [[], ["monday"], "mon", [0], None])
def test_what_is_no_weekday_is_refused(raw):
    with pytest.raises(ValueError, match="mon, tue"):
        values.weekdays(raw)


def test_an_offset_is_minutes_east_of_utc():
    assert values.utc_offset_min("+08:00") == 480
    assert values.utc_offset_min("-03:30") == -210


@pytest.mark.parametrize("raw", ["8", "+15:00", "+08:60", "Asia/Shanghai", 8, None])
def test_what_is_no_offset_is_refused(raw):
    with pytest.raises(ValueError, match="distance from UTC"):
        values.utc_offset_min(raw)


@pytest.mark.parametrize("raw", [0, -1, True, "1000", 1.0, 500, None, []])
def test_token_rates_are_for_a_power_of_ten(raw):
    assert values.token_count(1000) == 1000
    with pytest.raises(ValueError, match="1, 1000 or 1000000"):
        values.token_count(raw)


@pytest.mark.parametrize("raw", [0, -1, True, "5", 1.5, 10**13, None])
def test_a_count_is_a_whole_number_from_1(raw):
    with pytest.raises(ValueError, match="whole number"):
        values.count(raw)


@pytest.mark.parametrize(("raw", "text"), [(date(2026, 11, 23), "2026-11-23"), ("v7", "v7")])
def test_a_version_is_a_date_or_a_short_name(raw, text):
    assert values.version(raw) == text


@pytest.mark.parametrize("raw", ["", "a/b", "a b", "x" * 41, 7, datetime(2026, 1, 1, tzinfo=UTC), None])
def test_what_is_no_version_is_refused(raw):
    with pytest.raises(ValueError, match="date of the list"):
        values.version(raw)


@pytest.mark.parametrize("raw", ["a/b", "a@b", "", " a", None])
def test_a_piece_of_an_id_keeps_the_id_readable(raw):
    assert values.name("llmapi M2-her") == "llmapi M2-her"
    with pytest.raises(ValueError, match="name"):
        values.name(raw)


@pytest.mark.parametrize("raw", ["Images", "audio seconds", "", "9lives", None])
def test_a_unit_is_small_letters(raw):
    assert values.unit_name("videos_768p_6s") == "videos_768p_6s"
    with pytest.raises(ValueError, match="small letters"):
        values.unit_name(raw)
    with pytest.raises(ValueError, match="small letters"):
        values.unit_names([raw])


def test_a_note_is_one_line():
    assert values.text("a\n  b") == "a b"
    with pytest.raises(ValueError, match="must be text"):
        values.text(3)


def test_a_switch_is_true_or_false():
    assert values.flag(raw=True)
    with pytest.raises(ValueError, match="true or false"):
        values.flag("yes")

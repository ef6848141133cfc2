from datetime import datetime
from decimal import Decimal

import pytest

from proxy.core.price import Card, Price, Rates, Tier, Window, listing_of


def at_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def ladder() -> Card:
    return Card(
        Rates(input=Decimal(1)),
        (Tier(200_000, Rates(input=Decimal(2))), Tier(500_000, Rates(input=Decimal(3)))),
    )


@pytest.mark.parametrize(
    ("tokens", "rate"),
    [(0, 1), (200_000, 1), (200_001, 2), (500_000, 2), (500_001, 3), (10**9, 3)],
)
def test_a_tier_begins_with_the_token_after_its_boundary(tokens, rate):
    assert ladder().for_input(tokens).input == rate


BEIJING_MORNING = Window(utc_offset_min=480, weekdays=(0, 1, 2, 3, 4), from_min=540, until_min=720, card=Card())


@pytest.mark.parametrize(
    ("instant", "covered"),
    [
        ("2026-11-23T09:00:00+08:00", True),  # Monday
        ("2026-11-23T08:59:59+08:00", False),
        ("2026-11-23T11:59:59+08:00", True),
        ("2026-11-23T12:00:00+08:00", False),
        ("2026-11-27T10:00:00+08:00", True),  # Friday
        ("2026-11-28T10:00:00+08:00", False),  # Saturday
        ("2026-11-29T10:00:00+08:00", False),  # Sunday
        ("2026-11-23T02:00:00+00:00", True),
        ("1969-12-29T10:00:00+08:00", True),  # a Monday before 1970
    ],
)
def test_a_window_counts_hours_and_weekdays_on_its_own_clock(instant, covered):
    assert BEIJING_MORNING.covers(at_ns(instant)) is covered


def test_weekdays_are_those_of_the_window_not_of_utc():
    # 01:00 on Monday in Beijing is still Sunday in UTC.
    night = Window(utc_offset_min=480, weekdays=(0,), from_min=0, until_min=1440, card=Card())

    assert night.covers(at_ns("2026-11-23T01:00:00+08:00"))
    assert not night.covers(at_ns("2026-11-24T01:00:00+08:00"))


@pytest.mark.parametrize(
    ("since", "until", "holds"),
    [
        (None, None, True),
        (100, None, True),
        (101, None, False),
        (None, 100, False),
        (None, 101, True),
        (100, 101, True),
    ],
)
def test_an_entry_holds_from_its_start_up_to_but_not_including_its_end(since, until, holds):
    price = Price(id="x", origin="book", currency="USD", effective_from_ns=since, effective_until_ns=until)

    assert price.effective(100) is holds


def test_a_listing_states_money_per_million_whatever_the_list_counts_in():
    price = Price(
        id="x",
        origin="book",
        currency="USD",
        per=1000,
        card=Card(Rates(input=Decimal("0.0003"), output=Decimal("0.0012"))),
        context_tokens=1000,
    )

    listing = listing_of(price)

    assert listing.input_per_million == Decimal("0.30")
    assert listing.output_per_million == Decimal("1.20")
    assert listing.cached_input_per_million is None
    assert listing.context_tokens == 1000


def test_a_listing_shows_the_standard_rates_of_short_prompts():
    assert listing_of(Price(id="x", origin="book", currency="USD", card=ladder())).input_per_million == 1

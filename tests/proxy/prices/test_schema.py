from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.problems import Report
from proxy.core.price import RATE_NAMES, UnitRate, Window
from proxy.prices.schema import read_prices
from proxy.prices.values import instant_ns
from tests.fakes.price_files import HEAD, entry, problems_of, read

D = Decimal
BASE = 'provider: minimax, match: [MiniMax-M3], currency: USD, input: "0.30", output: "1.20"'


def test_an_entry_says_what_a_model_costs_where_and_since_when():
    price = entry(
        f"{{{BASE}, hosts: [API.minimax.io], effective_from: 2026-06-01, context_tokens: 1000000, max_output_tokens: 64000}}"
    )

    assert price.id == "list@2026-11-23/minimax/MiniMax-M3"
    assert price.origin == "book"
    assert price.currency == "USD"
    assert price.kinds == ("minimax",)
    assert price.hosts == ("api.minimax.io",)
    assert price.match == ("minimax-m3",)
    assert price.effective_from_ns == instant_ns("2026-06-01")
    assert price.effective_until_ns is None
    assert price.per == 1_000_000
    assert (price.card.rates.input, price.card.rates.output) == (D("0.30"), D("1.20"))
    assert price.card.rates.cached_input is None
    assert (price.context_tokens, price.max_output_tokens) == (1_000_000, 64_000)
    assert price.estimate == ""


def test_every_token_rate_can_be_stated():
    rates = ", ".join(f'{name}: "{index}"' for index, name in enumerate(RATE_NAMES, start=1))

    price = entry(f"{{provider: openai, match: x, currency: USD, {rates}}}")

    assert [getattr(price.card.rates, name) for name in RATE_NAMES] == list(range(1, len(RATE_NAMES) + 1))


def test_a_tier_inherits_what_it_does_not_name_from_the_one_below():
    price = entry(
        f'{{{BASE}, tiers: [{{input_over: 1000, input: "0.60"}}, {{input_over: 2000, output: "9"}}]}}',
    )

    assert [(tier.input_over, tier.rates.input, tier.rates.output) for tier in price.card.tiers] == [
        (1000, D("0.60"), D("1.20")),
        (2000, D("0.60"), D("9")),
    ]


def test_a_service_tier_may_multiply_every_rate_and_every_tier():
    price = entry(
        f'{{{BASE}, tiers: [{{input_over: 512000, input: "0.60"}}], service_tier: {{Priority: {{multiply: "1.5"}}}}}}'
    )

    card = price.service_tiers["priority"]
    assert (card.rates.input, card.rates.output, card.rates.cached_input) == (D("0.45"), D("1.80"), None)
    assert (card.tiers[0].input_over, card.tiers[0].rates.input) == (512_000, D("0.90"))


def test_a_service_tier_may_have_rates_of_its_own():
    price = entry(f'{{{BASE}, service_tier: {{batch: {{input: "0.15"}}}}}}')

    rates = price.service_tiers["batch"].rates
    assert (rates.input, rates.output) == (D("0.15"), D("1.20"))


def test_hours_of_the_week_may_have_rates_of_their_own():
    price = entry(
        f'{{{BASE}, windows: [{{utc_offset: "+08:00", weekdays: [mon, fri], hours: ["09:00-12:00", "14:00-18:00"], '
        f'input: "0.60"}}], confidence: estimate, note: holidays are not known}}'
    )

    first, second = price.windows
    assert first == Window(utc_offset_min=480, weekdays=(0, 4), from_min=540, until_min=720, card=first.card)
    assert (second.from_min, second.until_min) == (840, 1080)
    assert (first.card.rates.input, first.card.rates.output) == (D("0.60"), D("1.20"))
    assert price.estimate == "holidays are not known"


def test_a_single_unit_needs_no_section():
    price = entry(
        '{provider: minimax, match: ["speech-*-hd"], currency: USD, unit: characters, per: 1000000, price: "100"}'
    )

    assert price.units == {"characters": UnitRate(D(100), 1_000_000)}


def test_several_units_stand_in_a_section():
    price = entry(
        '{provider: minimax, match: x, currency: USD, units: {videos: {price: "0.28"}, '
        'input_images: {price: "0.04", per: 2, free: 5}}, included: [audio_seconds]}'
    )

    assert price.units == {"videos": UnitRate(D("0.28")), "input_images": UnitRate(D("0.04"), 2, D(5))}
    assert price.included == ("audio_seconds",)


def test_entries_inherit_the_defaults_and_may_differ():
    file, problems = read(
        "version: v1\ndefaults: {provider: minimax, hosts: [a.example], currency: CNY, per: 1000, confidence: estimate}\n"
        'prices:\n  - {match: m1, input: "1"}\n'
        '  - {match: m2, input: "1", currency: USD, per: 1000000, hosts: b.example, confidence: exact}\n'
    )

    first, second = file.prices
    assert problems == []
    assert (first.currency, first.per, first.hosts) == ("CNY", 1000, ("a.example",))
    assert (second.currency, second.per, second.hosts) == ("USD", 1_000_000, ("b.example",))
    assert first.estimate
    assert not second.estimate


def test_the_id_is_book_version_set_and_entry():
    file, _ = read(f"version: v1\nset: cn\nprices:\n  - {{{BASE}}}\n  - {{{BASE.replace('M3', 'M2')}, name: two}}\n")

    assert [price.id for price in file.prices] == ["prices@v1/cn/MiniMax-M3", "prices@v1/cn/two"]


def test_entries_of_one_name_are_told_apart_by_their_date():
    file, problems = read(
        f"{HEAD}  - {{{BASE}, effective_from: 2026-06-01}}\n  - {{{BASE}, effective_from: 2026-07-01}}\n"
    )

    assert problems == []
    assert [price.id for price in file.prices] == [
        "list@2026-11-23/minimax/MiniMax-M3@2026-06-01",
        "list@2026-11-23/minimax/MiniMax-M3@2026-07-01",
    ]


def test_a_set_may_be_off():
    assert read(f"enabled: false\n{HEAD}  - {{{BASE}}}\n")[0].enabled is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{{{BASE}, inptu: 1}}", "prices[0].inptu: unknown key; did you mean input?"),
        (f"{{{BASE}, cached_input: 0.03}}", 'prices[0].cached_input: must stand in quotes, such as "0.30"'),
        (f'{{{BASE}, cached_input: "-1"}}', 'prices[0].cached_input: must be an amount such as "0.30"'),
        (f"{{{BASE}, currency: usd}}", "prices[0].currency: stands twice; the first is on line 4"),
        ('{provider: x, match: y, currency: XXX, input: "1"}', "prices[0].currency: must be the ISO 4217 code"),
        ('{match: y, currency: USD, input: "1"}', "prices[0]: needs provider: "),
        ('{provider: x, currency: USD, input: "1"}', "prices[0]: needs match: "),
        ('{provider: x, match: y, input: "1"}', "prices[0]: needs currency: "),
        ("{provider: x, match: y, currency: USD}", "prices[0]: needs a price: "),
        ("{provider: x, match: [1], currency: USD}", "prices[0].match: must be a name or a list of names"),
        (f"{{{BASE}, per: 500}}", "prices[0].per: must be 1, 1000 or 1000000"),
        (f"{{{BASE}, effective_from: soon}}", "prices[0].effective_from: must be a date"),
        (
            f"{{{BASE}, effective_from: 2026-06-01, effective_until: 2026-06-01}}",
            "prices[0].effective_until: must be later than effective_from",
        ),
        (f"{{{BASE}, tiers: 3}}", "prices[0].tiers: must be a list"),
        (f"{{{BASE}, tiers: [3]}}", "prices[0].tiers[0]: must be a section"),
        (f'{{{BASE}, tiers: [{{input: "1"}}]}}', "prices[0].tiers[0].input_over: is needed"),
        (
            f"{{{BASE}, tiers: [{{input_over: 2}}, {{input_over: 2}}]}}",
            "prices[0].tiers[1].input_over: must be more than that of the tier before",
        ),
        (
            f"{{{BASE}, tiers: [{{input_over: 2, outptu: 1}}]}}",
            "prices[0].tiers[0].outptu: unknown key; did you mean output?",
        ),
        (
            f'{{{BASE}, service_tier: {{standard: {{input: "1"}}}}}}',
            "prices[0].service_tier.standard: is the standard tier",
        ),
        (
            f'{{{BASE}, service_tier: {{flex: {{multiply: "0.5", input: "1"}}}}}}',
            "prices[0].service_tier.flex.input: unknown key; known are multiply",
        ),
        (f"{{{BASE}, service_tier: [flex]}}", "prices[0].service_tier: must be a section"),
        (f"{{{BASE}, windows: [{{}}]}}", "prices[0].windows[0].hours: is needed"),
        (
            f'{{{BASE}, tiers: [{{input_over: 2}}], windows: [{{utc_offset: "+08:00", weekdays: [mon], hours: ["09:00-10:00"]}}]}}',
            "prices[0].windows: cannot stand beside service_tier or tiers",
        ),
        (f"{{{BASE}, units: {{Images: {{price: '1'}}}}}}", "prices[0].units.Images: must be the name of a unit"),
        (f"{{{BASE}, units: {{images: {{}}}}}}", "prices[0].units.images.price: is needed, in quotes"),
        (f"{{{BASE}, unit: images, price: '1'}}", "prices[0].unit: cannot stand beside token rates"),
        ("{provider: x, match: y, currency: USD, price: '1'}", "prices[0].price: needs the unit that it is for"),
        (f"{{{BASE}, included: audio_seconds}}", "prices[0].included: must be a list of units"),
        (f"{{{BASE}, confidence: high}}", "prices[0].confidence: must be exact or estimate"),
        (f"{{{BASE}, cached_input: '0.0000000000001'}}", "prices[0]: has a rate with more than 12 decimals"),
        ("just text", "prices[0]: must be a section of keys and values"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(text, said):
    problems = problems_of(text)

    assert any(problem.startswith(said) for problem in problems), problems


def test_all_mistakes_of_a_file_are_found_at_once_and_cost_only_their_entry():
    file, problems = read(
        f"{HEAD}"
        "  - {provider: x, match: y, currency: ZZZ, input: 0.1}\n"
        f"  - {{{BASE}}}\n"
        "  - {provider: x, match: y, currency: USD, nonsense: 1, input: '1'}\n"
        "surplus: 1\n"
    )

    assert [problem.split(": ")[:2] for problem in problems] == [
        ["prices.yaml:4", "prices[0].currency"],
        ["prices.yaml:4", "prices[0].input"],
        ["prices.yaml:6", "prices[2].nonsense"],
        ["prices.yaml:7", "surplus"],
    ]
    assert [price.id for price in file.prices] == ["list@2026-11-23/minimax/MiniMax-M3"]
    assert file.paths == (("prices", 1),)


def test_a_mistake_in_the_defaults_is_said_once():
    _, problems = read(
        "version: v1\ndefaults: {provider: x, currency: ZZZ}\nprices:\n"
        "  - {match: a, input: '1'}\n  - {match: b, input: '1'}\n"
    )

    assert [problem.split(": ")[1] for problem in problems] == ["defaults.currency"]


def test_a_file_needs_a_version_and_prices():
    _, problems = read("book: x\n")

    assert len(problems) == 2
    assert "needs a version" in problems[0]
    assert "needs prices" in problems[1]


def test_a_kind_of_provider_that_does_not_exist_is_found_where_kinds_are_known():
    text = f"{HEAD}  - {{{BASE.replace('minimax', 'minmax')}}}\n"

    assert read(text)[1] == []
    (problem,) = read(text, kinds=["minimax", "openai"])[1]
    assert "did you mean minimax?" in problem


KEYS = st.sampled_from(
    [
        "version",
        "book",
        "set",
        "enabled",
        "note",
        "defaults",
        "prices",
        "provider",
        "match",
        "hosts",
        "other_hosts",
        "currency",
        "effective_from",
        "effective_until",
        "per",
        "input",
        "output",
        "tiers",
        "input_over",
        "service_tier",
        "multiply",
        "windows",
        "utc_offset",
        "weekdays",
        "hours",
        "units",
        "unit",
        "price",
        "free",
        "included",
        "context_tokens",
        "max_output_tokens",
        "confidence",
        "name",
        "9",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.datetimes()
    | st.text("aM *.:-/@09", max_size=9)
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=30
)


@settings(max_examples=30)
@given(st.dictionaries(KEYS, ANYTHING, max_size=8), st.lists(st.dictionaries(KEYS, ANYTHING, max_size=8), max_size=3))
def test_no_file_is_strange_enough_to_raise(top, entries):
    report = Report("x")

    file = read_prices({**top, "prices": entries}, report, book="x", kinds=["minimax"])

    assert len(file.prices) == len(file.paths)
    assert report.problems or len(file.prices) == len(entries)

from datetime import UTC, date, datetime, time
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import Tier as LibraryTier
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.price import UnitRate
from proxy.core.pricing import price_usage
from proxy.core.usage import Usage
from proxy.prices.library import (
    LIBRARY_VERSION,
    MAX_REMEMBERED,
    PriceLibrary,
    UnknownPriceKeyError,
    compile_model,
    globs_of,
)

D = Decimal


def at_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


NOW = datetime(2026, 11, 23, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9

LIBRARY = PriceLibrary()


def rates(kind: str, host: str, model: str, when_ns: int = NOW_NS):
    price = LIBRARY.find(kind, host, model, when_ns)
    assert price is not None, model
    found = price.card.rates
    return found.input, found.output, found.cached_input, found.cache_write, found.cache_write_1h


@pytest.mark.parametrize(
    ("kind", "host", "model", "figures"),
    [
        ("openai", "api.openai.com", "gpt-5-2025-08-07", ("1.25", "10", "0.125", None, None)),
        ("openai", "api.openai.com", "text-embedding-3-small", ("0.02", None, None, None, None)),
        ("anthropic", "api.anthropic.com", "claude-sonnet-4-5-20250929", ("3", "15", "0.3", "3.75", "6")),
        ("anthropic", "api.anthropic.com", "claude-opus-4-5", ("5", "25", "0.5", "6.25", "10")),
        ("azure", "res1.openai.azure.com", "gpt-4o-2024-11-20", ("2.5", "10", "1.25", None, None)),
        ("gemini", "generativelanguage.googleapis.com", "gemini-2.5-pro", ("1.25", "10", "0.125", None, None)),
        ("gemini", "generativelanguage.googleapis.com", "models/gemini-2.5-pro", ("1.25", "10", "0.125", None, None)),
        ("openrouter", "openrouter.ai", "openai/gpt-4.1-mini", ("0.4", "1.6", "0.1", None, None)),
    ],
)
def test_models_cost_what_their_makers_say(kind, host, model, figures):
    assert rates(kind, host, model) == tuple(None if figure is None else D(figure) for figure in figures)


def test_the_id_names_source_version_provider_and_model():
    price = LIBRARY.find("openai", "api.openai.com", "gpt-4o-mini-2024-07-18", NOW_NS)

    assert price.id == f"genai-prices@{LIBRARY_VERSION}/openai/gpt-4o-mini"
    assert price.origin == "library"
    assert price.currency == "USD"


def test_the_host_decides_where_the_library_knows_it():
    # A provider that behaves like OpenAI is not OpenAI.
    assert LIBRARY.find("openai", "api.mistral.ai", "gpt-5", NOW_NS) is None
    assert "/mistral/" in LIBRARY.find("openai", "api.mistral.ai", "mistral-large-latest", NOW_NS).id


def test_at_an_unknown_host_the_kind_decides():
    assert LIBRARY.find("openai", "gateway.example", "gpt-5", NOW_NS).id.endswith("/openai/gpt-5")
    assert LIBRARY.find("unheard-of", "gateway.example", "gpt-5", NOW_NS) is None


def test_an_azure_deployment_is_no_model():
    assert LIBRARY.find("azure", "res1.openai.azure.com", "prod-4o", NOW_NS) is None


def test_the_library_knows_dollars_only():
    assert LIBRARY.find("minimax", "api.minimaxi.com", "MiniMax-M3", NOW_NS, currency="CNY") is None
    assert LIBRARY.find("minimax", "api.minimax.io", "MiniMax-M3", NOW_NS, currency="USD") is not None


@pytest.mark.parametrize(("day", "figure"), [("2026-08-20T23:59:59+00:00", "5"), ("2026-08-21T00:00:00+00:00", "4")])
def test_a_price_belongs_to_the_day_of_the_call(day, figure):
    assert rates("openai", "api.openai.com", "gpt-5.6-sol", at_ns(day))[0] == D(figure)


def test_service_tiers_have_rates_of_their_own():
    tiers = LIBRARY.find("openai", "api.openai.com", "gpt-5", NOW_NS).service_tiers

    assert {name: card.rates.input for name, card in tiers.items()} == {
        "flex": D("0.625"),
        "priority": D("2.5"),
        "fast": D("2.5"),
        "batch": D("0.625"),
    }


def test_a_tier_that_the_library_did_not_know_yet_is_not_made_up():
    assert LIBRARY.find("openai", "api.openai.com", "gpt-5", at_ns("2026-10-11T00:00:00+00:00")).service_tiers == {}


def test_long_prompts_have_a_tier():
    card = LIBRARY.find("gemini", "generativelanguage.googleapis.com", "gemini-2.5-pro", NOW_NS).card

    assert (card.for_input(200_000).input, card.for_input(200_001).input) == (D("1.25"), D("2.5"))
    assert card.for_input(200_001).output == D("15")


def test_hours_of_the_day_are_windows_and_an_estimate():
    price = LIBRARY.find("deepseek", "api.deepseek.com", "deepseek-flash", NOW_NS)
    usage = Usage(input_tokens=10**6, output_tokens=0, source="provider", complete=True)

    def cost(when: str):
        return price_usage(usage, price, at_ns=at_ns(when)).amount

    assert [cost(f"2026-11-23T{hour}:00:00+00:00") for hour in ("00", "01", "04", "06", "10")] == [
        D("0.15"),
        D("0.3"),
        D("0.15"),
        D("0.3"),
        D("0.15"),
    ]
    assert "weekends" in price.estimate


def test_units_are_counted_as_we_count_them():
    whisper = LIBRARY.find("openai", "api.openai.com", "whisper-1", NOW_NS)
    claude = LIBRARY.find("anthropic", "api.anthropic.com", "claude-sonnet-4-5", NOW_NS)

    assert whisper.units == {"audio_seconds": UnitRate(D("0.36"), 3600)}
    assert claude.units == {"web_search_requests": UnitRate(D(10), 1000)}
    assert claude.included == ("web_fetch_requests",)


def test_tokens_that_usage_does_not_tell_apart_make_an_estimate():
    assert "input_image" in LIBRARY.find("openai", "api.openai.com", "gpt-image-1", NOW_NS).estimate
    assert LIBRARY.find("openai", "api.openai.com", "gpt-5", NOW_NS).estimate == ""


def test_context_sizes_are_known_for_reports():
    found = LIBRARY.find("openai", "api.openai.com", "gpt-5", NOW_NS)
    assert (found.context_tokens, found.max_output_tokens) == (400_000, 128_000)


def test_every_model_of_the_pinned_version_can_be_expressed():
    for provider in providers:
        for model in provider.models:
            entries = compile_model(provider, model, release="x")
            assert [entry for entry in entries if entry.effective(NOW_NS)], (provider.id, model.id)
            assert len([entry for entry in entries if entry.effective(0)]) == 1, (provider.id, model.id)


COMPARED = [
    (provider, model)
    for provider in providers
    if provider.id in {"openai", "anthropic", "google", "minimax", "deepseek", "mistral"}
    for model in provider.models
]


@given(
    st.sampled_from(COMPARED),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - zone below
    st.sampled_from([None, ("service_tier", "flex"), ("service_tier", "priority"), ("processing", "batch")]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_compiled_prices_agree_with_the_librarys_own_calculator(pair, moment, tier, fresh, cached, write_1h, output):
    provider, model = pair
    moment = moment.replace(microsecond=0)
    usage = Usage(
        input_tokens=fresh + cached + write_1h,
        cached_input_tokens=cached,
        cache_write_tokens=write_1h,
        cache_write_1h_tokens=write_1h,
        output_tokens=output,
        source="provider",
        complete=True,
    )
    when_ns = int(moment.timestamp()) * 10**9
    (price,) = [one for one in compile_model(provider, model, release="x") if one.effective(when_ns)]

    priced = price_usage(usage, price, at_ns=when_ns, service_tier=tier[1] if tier else "")
    theirs = model.calc_price(
        genai_prices.Usage(
            input_tokens=fresh + cached + write_1h,
            cache_read_tokens=cached,
            cache_write_tokens=write_1h,
            cache_write_1h_tokens=write_1h,
            output_tokens=output,
        ),
        provider,
        genai_request_timestamp=moment,
        price_context=dict([tier]) if tier else None,
    )

    if priced.amount is None:  # theirs prices what it does not know at nothing
        assert any(reason.startswith("no_rate:") for reason in priced.reasons)
    else:
        assert priced.amount == theirs.total_price


def made_up(model_id: str = "m", **more) -> tuple[Provider, ModelInfo]:
    model = ModelInfo(id=model_id, match=ClauseEquals(equals=model_id), **more)
    return Provider(id="openai", name="x", api_pattern="https://made\\.up", models=[model]), model


def test_a_price_that_we_have_no_name_for_is_refused_loudly():
    provider, model = made_up(prices=ModelPrice(input_mtok=D(1), smell_mtok=D(2)))

    with pytest.raises(UnknownPriceKeyError, match="smell_mtok"):
        compile_model(provider, model, release="x")


def test_a_model_that_cannot_be_expressed_is_unknown_and_counted():
    provider, _ = made_up(prices=ModelPrice(input_mtok=D(1), smell_mtok=D(2)))
    library = PriceLibrary([provider])

    assert library.find("openai", "made.up", "m", NOW_NS) is None
    assert library.rejected == {"m": 1}


def test_history_hours_tiers_and_variants_are_compiled_together():
    provider, model = made_up(
        prices=[
            ConditionalPrice(prices=ModelPrice(input_mtok=D(1))),
            ConditionalPrice(StartDateConstraint(date(2026, 5, 1)), prices=ModelPrice(input_mtok=D(2))),
            ConditionalPrice(
                TimeOfDateConstraint(time(22, tzinfo=UTC), time(2, tzinfo=UTC)),
                prices=ModelPrice(input_mtok=TieredPrices(base=D(3), tiers=[LibraryTier(100, D(4))])),
            ),
        ],
        price_variants=[
            PriceVariant({"service_tier": "flex"}, ModelPrice(input_mtok=D(9)), StartDateConstraint(date(2026, 6, 1)))
        ],
    )

    entries = compile_model(provider, model, release="x")

    def rate(when: str, tokens: int = 1, tier: str = "") -> Decimal | None:
        usage = Usage(input_tokens=tokens * 1_000_000, output_tokens=0, source="provider", complete=True)
        (entry,) = [one for one in entries if one.effective(at_ns(when))]
        return price_usage(usage, entry, at_ns=at_ns(when), service_tier=tier).amount

    assert len(entries) == 3
    assert rate("2026-04-30T21:59:59+00:00") == 1
    assert rate("2026-04-30T22:00:00+00:00") == 4
    assert rate("2026-05-01T01:59:59+00:00") == 4
    assert rate("2026-05-01T02:00:00+00:00") == 2
    assert rate("2026-05-31T12:00:00+00:00", tier="flex") == 2
    assert rate("2026-06-01T12:00:00+00:00", tier="flex") == 9


def test_prices_that_depend_on_what_we_do_not_know_are_estimates():
    provider, model = made_up(
        prices=ModelPrice(input_mtok=D(1)), price_variants=[PriceVariant({"route": "x"}, ModelPrice(input_mtok=D(9)))]
    )

    (price,) = compile_model(provider, model, release="x")

    assert price.estimate == "the price depends on route"
    assert price.service_tiers == {}


def test_what_is_remembered_is_bounded():
    provider, _ = made_up(prices=ModelPrice(input_mtok=D(1)))
    library = PriceLibrary([provider])
    for index in range(MAX_REMEMBERED + 10):
        library.find("openai", f"h{index}.example", f"m{index}", NOW_NS)

    assert len(library._remembered) <= MAX_REMEMBERED
    assert len(library._by_host) <= MAX_REMEMBERED
    assert library.find("openai", "made.up", "m", NOW_NS) is not None


def test_names_of_any_length_are_looked_up_in_no_time():
    assert LIBRARY.find("openai", "api.openai.com", "gpt-5" * 10_000, NOW_NS) is None


@pytest.mark.parametrize(
    ("kind", "host"),
    [
        ("openai", "api.openai.com"),
        ("anthropic", "api.anthropic.com"),
        ("gemini", "generativelanguage.googleapis.com"),
        ("azure", "x.openai.azure.com"),
        ("minimax", "api.minimax.io"),
    ],
)
def test_entries_name_the_models_that_are_found_one_by_one(kind, host):
    library = PriceLibrary()
    entries = library.entries(kind, host)
    names = {name for entry in entries for name in entry.match if "*" not in name}
    found = {name: library.find(kind, host, name, NOW_NS) for name in names}

    assert len(entries) > 5
    assert {name for name, price in found.items() if price is None} == set()
    listed = {(entry.id, name) for entry in entries for name in entry.match}
    assert {(price.id, name) for name, price in found.items()} <= listed


def test_a_host_that_nobody_knows_has_no_entries():
    assert PriceLibrary().entries("nobody", "example.invalid") == ()


@pytest.mark.parametrize(
    ("clause", "globs"),
    [
        (ClauseEquals("GPT-5"), ("gpt-5",)),
        (ClauseStartsWith("gpt-"), ("gpt-*",)),
        (ClauseEndsWith("-mini"), ("*-mini",)),
        (ClauseContains("mini"), ("*mini*",)),
        (ClauseRegex("^gpt"), ()),
        (ClauseAnd([ClauseEquals("a")]), ()),
        (ClauseOr([ClauseEquals("a"), ClauseStartsWith("b")]), ("a", "b*")),
    ],
)
def test_a_condition_of_the_library_is_told_in_globs(clause, globs):
    assert globs_of(clause) == globs

"""From settings to policies with their rates."""

import pytest

from policies.engine import Engine
from policies.ratebook import RateBook
from proxy.config.load import load_settings
from proxy.config.problems import ConfigError
from proxy.governing import dialects_of, governing, home_of
from proxy.providers import PROVIDERS, find_provider

NOW_NS = 1_795_000_000 * 10**9
BUDGET = "version: 1\nbudgets:\n  b: {limit: 5 USD, window: day}\n"


@pytest.fixture
def settings(tmp_path):
    def settings(policy=BUDGET, config="data_dir: data\n"):
        (tmp_path / "policies").mkdir(exist_ok=True)
        if policy is not None:
            (tmp_path / "policies" / "p.yaml").write_text(policy)
        (tmp_path / "taximeter.yaml").write_text(config)
        return load_settings(tmp_path / "taximeter.yaml", env={}, cwd=tmp_path, kinds=PROVIDERS)

    return settings


def test_policies_lie_beside_the_configuration(settings):
    policies = governing(settings(), now_ns=NOW_NS, generation=7)

    assert ([budget.name for budget in policies.budgets], policies.generation) == (["b"], 7)


@pytest.mark.parametrize(
    ("provider", "model", "currency"),
    [
        ("minimax", "MiniMax-M3", "USD"),
        ("minimax-cn", "MiniMax-M3", "CNY"),
        ("openai", "gpt-5", "USD"),
        ("anthropic", "claude-sonnet-4-5", "USD"),
        ("deepseek", "deepseek-chat", "CNY"),
    ],
)
def test_the_models_of_the_configured_providers_have_rates(settings, provider, model, currency):
    policies = governing(settings(), now_ns=NOW_NS)
    rate = RateBook(policies.rates).find(provider, model, "chat", NOW_NS)

    assert rate is not None
    assert rate.currency == currency
    assert rate.input_nano > 0
    assert rate.output_nano > 0
    assert rate.price is not None


def test_without_budgets_and_limits_no_price_is_looked_at(settings):
    policies = governing(settings("version: 1\nkeys: {ci: {}}\n"), now_ns=NOW_NS)

    assert policies.rates == ()
    assert "ci" in policies.keys


def test_routes_bring_the_models_that_can_be_listed(settings):
    policies = governing(settings("version: 1\naliases: {fast: openai/gpt-5}\n"), now_ns=NOW_NS)

    assert any("gpt-5" in rate.models for rate in policies.rates)


def test_without_policies_there_is_nothing_to_decide(settings):
    assert not Engine(governing(settings(None), now_ns=NOW_NS)).matcher.rules


def test_mistakes_are_told(settings):
    with pytest.raises(ConfigError, match="did you mean openai"):
        governing(settings(BUDGET.replace("{limit", "{match: {provider: opnai}, limit")), now_ns=NOW_NS)


def test_a_provider_bills_in_the_currency_of_its_host_or_in_that_which_is_configured(settings):
    made = settings(None, "providers: {openai: {currency: EUR}}\n")
    homes = {home.provider: home for home in map(home_of, made.providers)}

    assert (homes["minimax-cn"].currency, homes["openai"].currency) == ("CNY", "EUR")
    assert homes["openai"].host == "api.openai.com"


@pytest.mark.parametrize(
    ("kind", "spoken"),
    [
        ("anthropic", {"anthropic.messages"}),
        ("anthropic_compatible", {"anthropic.messages"}),
        ("openai", {"openai.chat", "openai.responses"}),
        ("minimax", {"openai.chat", "openai.responses", "anthropic.messages", "minimax.native"}),
        ("gemini", {"openai.chat", "gemini.generate"}),
    ],
)
def test_a_provider_speaks_what_calls_can_be_sent_to_it_in(kind, spoken):
    assert dialects_of(find_provider(kind)) == spoken

"""From settings to the policies in force: their files, and what the models of the configured providers cost.

Only the supervisor and the command line come here: it reads YAML and holds the price library (0.15 s, 40 MB). What it
gives goes to the workers as bytes (`policies.compiled.to_json`).
"""

from urllib.parse import urlsplit

from policies.compiled import CompiledPolicies, ModelRate
from policies.load import find_files, load_policies
from policies.rates import Home, rates_of
from policies.route_trial import Place
from policies.routes_check import Known
from policies.routes_compiled import NO_ROUTING
from proxy.prices.library import PriceLibrary
from proxy.prices.load import load_book
from proxy.providers import PROVIDERS, find_provider
from proxy.providers.base import Provider
from proxy.providers.paths import path_at
from proxy.settings import ProviderSettings, Settings

_USUAL_PATHS = {
    "openai.chat": "/v1/chat/completions",
    "openai.responses": "/v1/responses",
    "anthropic.messages": "/v1/messages",
    "minimax.native": "/v1/text/chatcompletion_v2",
}
"""Where each dialect is asked that more than one kind of provider may speak."""
_GEMINI_PATH = "/v1beta/models/any:generateContent"
"""Nobody else has it, and it is not moved elsewhere."""


def governing(settings: Settings, *, now_ns: int, generation: int = 0) -> CompiledPolicies:
    """The policies that the settings name, with the rates that holds are made of and whose models are listed to apps.

    Args:
        settings: Of the proxy.
        now_ns: Unix time; prices that ended before are left out.
        generation: Number of this load.

    Raises:
        ConfigError: with every mistake of the policy files or of the price files.
    """
    files = find_files(settings.policy_files)
    known = known_providers(settings)
    policies = load_policies(files, providers=known)  # reports mistakes before the prices are looked at
    if not policies.budgets and not policies.limits and policies.routing == NO_ROUTING:
        return load_policies(files, providers=known, generation=generation)
    return load_policies(files, providers=known, rates=provider_rates(settings, now_ns), generation=generation)


def known_providers(settings: Settings) -> dict[str, Known]:
    """What routes may rely on of the configured providers, by name."""
    return {
        provider.name: Known(
            dialects=dialects_of(find_provider(provider.kind)), keys=frozenset(one.name for one in provider.api_keys)
        )
        for provider in settings.providers
    }


def places_of(settings: Settings) -> dict[str, Place]:
    """The configured providers by name, as the trial of a route knows them."""
    return {
        one.name: Place(kind=one.kind, dialects=dialects_of(find_provider(one.kind)), currency=home_of(one).currency)
        for one in settings.providers
    }


def built_in_places() -> dict[str, Place]:
    """The providers that are there without a configuration, by their built-in names."""
    return {
        name: Place(kind=kind.kind, dialects=dialects_of(kind), judge=kind.judge)
        for kind in PROVIDERS
        for name in (kind.kind, *kind.base_urls)
    }


def dialects_of(kind: Provider) -> frozenset[str]:
    """The dialects that a provider of that kind can be sent calls in."""
    spoken = [name for name, path in _USUAL_PATHS.items() if path_at(kind.kind, name, path) is not None]
    own = kind.route("POST", _GEMINI_PATH).dialect
    return frozenset([*spoken, own.name] if own is not None else spoken)


def provider_rates(settings: Settings, now_ns: int) -> tuple[ModelRate, ...]:
    """What models cost at the configured providers at the dearest.

    Raises:
        ConfigError: with every mistake of the price files.
    """
    book = load_book(settings.price_files, kinds=[kind.kind for kind in PROVIDERS])
    library = PriceLibrary()
    rates: list[ModelRate] = []
    for provider in settings.providers:
        home = home_of(provider)
        rates += rates_of(home, [*reversed(book.layers), library.entries(home.kind, home.host)], now_ns)
    return tuple(rates)


def home_of(provider: ProviderSettings) -> Home:
    """A configured provider, as far as prices go."""
    host = (urlsplit(provider.base_url).hostname or "").lower()
    currencies = next((kind.currencies for kind in PROVIDERS if kind.kind == provider.kind), {})
    currency = provider.currency or currencies.get(host, "USD")
    return Home(provider=provider.name, kind=provider.kind, host=host, currency=currency)

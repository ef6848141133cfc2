"""The second price list: the `genai-prices` package, compiled model by model into our own entries.

Only the recorder imports this: the package costs 0.15 s and 40 MB. Its data is the bundled snapshot of the pinned
version; its updater is never started, so a version names its prices for good. Each model is compiled at first sight and
remembered; its own calculator (0.3 ms a call) is not used. Its history (start dates), its cliff tiers, its hours of the
day and its service tiers are kept; a price key that we cannot express makes the model unknown and is counted, never
silently left out.

Source: genai-prices 0.2.3 (data model), the price fact sheet section 1.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import version

import msgspec
from genai_prices.data import providers as bundled_providers
from genai_prices.types import (
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ConditionalPrice,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from proxy.core.price import Card, Price, Rates, Tier, UnitRate, Window
from proxy.prices.output_limits import output_limit

LIBRARY_VERSION = version("genai-prices")
CURRENCY = "USD"
"""The only currency of the library."""
MAX_REMEMBERED = 4096
MAX_NAME_CHARS = 256

PROVIDER_IDS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "azure": "azure",
    "gemini": "google",
    "deepseek": "deepseek",
    "openrouter": "openrouter",
    "minimax": "minimax",
}
"""Our provider kind -> the library's provider, for hosts that the library does not know."""

TOKEN_KEYS = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "cached_audio_input",
    "output_audio_mtok": "audio_output",
}
"""The library's token prices (per million) -> our rates."""

UNIT_KEYS = {
    "web_searches_kcount": ("web_search_requests", 1000),
    "storage_searches_kcount": ("file_search_requests", 1000),
    "requests_kcount": ("requests", 1000),
    "input_text_messages_kcount": ("messages", 1000),
    "input_mchars": ("characters", 1_000_000),
    "audio_hours": ("audio_seconds", 3600),
    "input_audio_hours": ("audio_seconds", 3600),
    "input_document_kpages": ("document_pages", 1000),
    "input_annotated_document_kpages": ("annotated_document_pages", 1000),
}
"""The library's other prices -> our unit and how many of them the price is for."""

UNSPLIT_KEYS = {
    "input_image_mtok": "input_mtok",
    "cache_image_read_mtok": "cache_read_mtok",
    "output_image_mtok": "output_mtok",
    "input_video_mtok": "input_mtok",
    "output_video_mtok": "output_mtok",
    "output_citation_mtok": "output_mtok",
}
"""Prices of tokens that our usage does not tell apart -> what they count as; where the two differ, an estimate."""

TIER_CONTEXTS = {"service_tier": None, "processing": "batch", "speed": "fast"}
"""The library's request contexts that are service tiers of a reply -> their name, None for the context's own value."""

FREE_UNITS = ("web_fetch_requests",)
"""Counted by Anthropic, billed by nobody."""

_DAY_MIN = 24 * 60
_EVERY_DAY = tuple(range(7))
_NS = 10**9
_FIRST_DAY = date(2000, 1, 1)


class UnknownPriceKeyError(ValueError):
    """The library prices something that we cannot express."""


class PriceLibrary:
    """The compiled library. Lookups are remembered by provider kind, host and model."""

    def __init__(self, providers: Iterable[Provider] = bundled_providers, *, release: str = LIBRARY_VERSION) -> None:
        self._providers = list(providers)
        self._release = release
        self._by_id = {provider.id: provider for provider in self._providers}
        self._patterns = [(re.compile(provider.api_pattern), provider) for provider in self._providers]
        self._by_host: dict[tuple[str, str], Provider | None] = {}
        self._remembered: dict[tuple[str, str, str], tuple[Price, ...]] = {}
        self.rejected: Counter[str] = Counter()
        """Model -> how often it was looked up in vain because one of its prices cannot be expressed."""

    def find(self, kind: str, host: str, model: str, at_ns: int, *, currency: str | None = None) -> Price | None:
        """The entry for a model; arguments as for `PriceBook.find`. The host decides where the library knows it."""
        if currency not in {None, CURRENCY}:
            return None
        key = (kind, host, model)
        found = self._remembered.get(key)
        if found is None:
            found = self._compile(kind, host, model)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return next((price for price in found if price.effective(at_ns)), None)

    def entries(self, kind: str, host: str) -> tuple[Price, ...]:
        """Every entry for models at a host, each with the names that it is for as far as globs can say them.

        Names that the library tells apart by regular expressions are not among them, but for the model's own.
        """
        provider = self._provider(kind, host)
        if provider is None:
            return ()
        lenders = [self._by_id[one] for one in provider.fallback_model_providers or () if one in self._by_id]
        found: list[Price] = []
        taken: set[str] = set()
        for model in (model for one in (provider, *lenders) for model in one.models):
            told = dict.fromkeys((model.id.lower(), *globs_of(model.match)))
            names = tuple(name for name in told if name not in taken and self._is_told(provider, name, model))
            taken |= set(names)
            try:
                prices = compile_model(provider, model, release=self._release, kind=kind) if names else ()
            except UnknownPriceKeyError:
                continue
            found += [msgspec.structs.replace(price, match=names) for price in prices]
        return tuple(found)

    def _is_told(self, provider: Provider, name: str, model: ModelInfo) -> bool:
        """Whether a name means this model at a provider; of a glob nobody can ask, so it is taken for it."""
        return "*" in name or provider.find_model(name, all_providers=self._providers) is model

    def _compile(self, kind: str, host: str, model: str) -> tuple[Price, ...]:
        provider = self._provider(kind, host)
        if provider is None or len(model) > MAX_NAME_CHARS:
            return ()
        known = provider.find_model(model.removeprefix("models/"), all_providers=self._providers)
        if known is None:
            return ()
        try:
            return compile_model(provider, known, release=self._release, kind=kind)
        except UnknownPriceKeyError:
            self.rejected[known.id] += 1
            return ()

    def _provider(self, kind: str, host: str) -> Provider | None:
        key = (kind, host)
        if key not in self._by_host:
            if len(self._by_host) >= MAX_REMEMBERED:
                self._by_host.clear()
            url = f"https://{host}/"
            at_host = next((provider for pattern, provider in self._patterns if pattern.match(url)), None)
            self._by_host[key] = at_host or self._by_id.get(PROVIDER_IDS.get(kind, ""))
        return self._by_host[key]


def compile_model(provider: Provider, model: ModelInfo, *, release: str, kind: str = "") -> tuple[Price, ...]:
    """The entries of one model, the newest first: one for each span between two dates on which something changed.

    Raises:
        UnknownPriceKeyError: when a price of it cannot be expressed.
    """
    starts: list[date | None] = [*sorted(_start_dates(model), reverse=True), None]
    ends: list[date | None] = [None, *starts]
    # A model lent by another provider has that one's prices, but not its service tiers.
    own = any(model is one for one in provider.models)
    return tuple(
        msgspec.structs.replace(
            _compile_span(model, start or _day_before(end), tiers=own),
            id=f"genai-prices@{release}/{provider.id}/{model.id}",
            kinds=(kind,) if kind else (),
            max_output_tokens=output_limit(provider.id, model.id),
            effective_from_ns=_midnight_ns(start),
            effective_until_ns=_midnight_ns(end),
        )
        for start, end in zip(starts, ends, strict=False)
    )


def _compile_span(model: ModelInfo, day: date, *, tiers: bool) -> Price:
    """The entry of a model for a span of days in which nothing changes, of which `day` is one."""
    at = datetime.combine(day, time(), UTC)
    standard = model.get_prices(at)
    windows = _windows(model, day, standard)
    caveats = _caveats(model, standard)
    if windows:
        caveats.append("peak hours are counted on every day; weekends and holidays may cost less")
    return Price(
        id="",
        origin="library",
        currency=CURRENCY,
        card=_card(standard),
        service_tiers={name: _card(price) for name, price in _tier_prices(model, at)} if tiers else {},
        windows=windows,
        units=_units(standard),
        included=FREE_UNITS,
        context_tokens=model.context_window,
        estimate="; ".join(caveats),
    )


def _conditional(model: ModelInfo) -> list[ConditionalPrice]:
    return [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices


def _start_dates(model: ModelInfo) -> set[date]:
    constraints = [price.constraint for price in _conditional(model)]
    constraints += [variant.constraint for variant in model.price_variants or ()]
    return {constraint.start_date for constraint in constraints if isinstance(constraint, StartDateConstraint)}


def _tier_prices(model: ModelInfo, at: datetime) -> Iterable[tuple[str, ModelPrice]]:
    """Every service tier that has prices of its own on that day."""
    for variant in model.price_variants or ():
        active = variant.constraint is None or variant.constraint.active(at)
        if not active or len(variant.when) != 1 or not _members(variant.prices):
            continue
        (context, value), *_ = variant.when.items()
        if context in TIER_CONTEXTS:
            yield TIER_CONTEXTS[context] or value, model.get_prices(at, variant.when)


def _windows(model: ModelInfo, day: date, standard: ModelPrice) -> tuple[Window, ...]:
    """The hours of the day, in UTC, whose prices differ from those at midnight."""
    edges = {0}
    for conditional in _conditional(model):
        if isinstance(conditional.constraint, TimeOfDateConstraint):
            edges |= {_minute(conditional.constraint.start_time), _minute(conditional.constraint.end_time)}
    spans = sorted(edges)
    windows: list[Window] = []
    for start, end in zip(spans, [*spans[1:], _DAY_MIN], strict=True):
        price = model.get_prices(datetime.combine(day, time(start // 60, start % 60), UTC))
        if price != standard:
            windows.append(
                Window(utc_offset_min=0, weekdays=_EVERY_DAY, from_min=start, until_min=end, card=_card(price))
            )
    return tuple(windows)


def _minute(at: time) -> int:
    moment = datetime.combine(_FIRST_DAY, at, at.tzinfo or UTC).astimezone(UTC)
    return moment.hour * 60 + moment.minute


def _members(price: ModelPrice) -> Mapping[str, Decimal | TieredPrices]:
    """The prices that are set; every key of theirs is one that we know."""
    members = {key: value for key, value in vars(price).items() if value is not None}
    unknown = members.keys() - TOKEN_KEYS.keys() - UNIT_KEYS.keys() - UNSPLIT_KEYS.keys()
    if unknown:
        raise UnknownPriceKeyError(f"genai-prices has prices by {', '.join(sorted(unknown))}, which have no name here")
    return members


def _card(price: ModelPrice) -> Card:
    members = {key: value for key, value in _members(price).items() if key in TOKEN_KEYS}
    boundaries = {tier.start for value in members.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    return Card(
        _rates(members, 0),
        tuple(Tier(boundary, _rates(members, boundary + 1)) for boundary in sorted(boundaries)),
    )


def _rates(members: Mapping[str, Decimal | TieredPrices], input_tokens: int) -> Rates:
    return Rates(**{TOKEN_KEYS[key]: _rate(value, input_tokens) for key, value in members.items()})


def _rate(value: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    if isinstance(value, Decimal):
        return value
    above = [tier.price for tier in value.tiers if input_tokens > tier.start]
    return above[-1] if above else value.base


def _units(price: ModelPrice) -> dict[str, UnitRate]:
    units: dict[str, UnitRate] = {}
    for key, value in _members(price).items():
        if key in UNIT_KEYS:
            name, per = UNIT_KEYS[key]
            if not isinstance(value, Decimal) or units.get(name, UnitRate(value, per)) != UnitRate(value, per):
                raise UnknownPriceKeyError(f"genai-prices has several prices for {name}")
            units[name] = UnitRate(value, per)
    return units


def _caveats(model: ModelInfo, price: ModelPrice) -> list[str]:
    """Why a price may differ from the bill."""
    members = _members(price)
    unsplit = [key for key, like in UNSPLIT_KEYS.items() if key in members and members[key] != members.get(like)]
    caveats = (
        [f"{', '.join(key.removesuffix('_mtok') for key in unsplit)} tokens cost something else"] if unsplit else []
    )
    contexts = {context for variant in model.price_variants or () for context in variant.when} - TIER_CONTEXTS.keys()
    if contexts:
        caveats.append(f"the price depends on {', '.join(sorted(contexts))}")
    return caveats


def _day_before(day: date | None) -> date:
    return _FIRST_DAY if day is None else day - timedelta(days=1)


def globs_of(clause: MatchLogic) -> tuple[str, ...]:
    """The names that a condition of the library holds for, as globs; what only an expression can say is left out."""
    if isinstance(clause, ClauseOr):
        return tuple(name for one in clause.or_ for name in globs_of(one))
    if isinstance(clause, ClauseEquals):
        return (clause.equals.lower(),)
    if isinstance(clause, ClauseStartsWith):
        return (f"{clause.starts_with.lower()}*",)
    if isinstance(clause, ClauseEndsWith):
        return (f"*{clause.ends_with.lower()}",)
    return (f"*{clause.contains.lower()}*",) if isinstance(clause, ClauseContains) else ()


def _midnight_ns(day: date | None) -> int | None:
    return None if day is None else int(datetime.combine(day, time(), UTC).timestamp()) * _NS

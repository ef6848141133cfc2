"""What stands in a price file -> `Price` entries. Every mistake is reported with its line and what would be right.

Config: a file has `version` (the date of the list), optionally `book` and `set` (the first two pieces of every price
id; else the file's name and the entry's provider), `enabled: false` (a set that is only used when it is asked for by
name), `defaults` for its entries, and `prices`. An entry has `provider` (kind), `match` (model globs), `hosts`,
`other_hosts`, `currency`, `effective_from`, `effective_until`, token rates per `per` tokens (`input`, `cached_input`,
`cache_write`, `cache_write_1h`, `output`, `reasoning`, `audio_input`, `cached_audio_input`, `audio_output`), `tiers` by
input length, `service_tier` rates or multipliers, `windows` of the week, `units` (or `unit` and `price` for a single
one), `included` units, `context_tokens`, `max_output_tokens`, `confidence: exact | estimate`, `note` and `name`. Calls
that name no model are matched as `operation:NAME`.

Example: `- {provider: minimax, match: ["image-01"], currency: USD, unit: images, price: "0.0035"}`

Source: the price fact sheet, section 5.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal
from typing import Any, TypeVar

import msgspec

from proxy.config.problems import KeyPath, Report, did_you_mean
from proxy.core.price import NO_RATES, RATE_NAMES, Card, Price, Rates, Tier, UnitRate, Window
from proxy.core.pricing import AMOUNT_DECIMALS, STANDARD_TIERS
from proxy.prices import values

T = TypeVar("T")

ESTIMATE = "the price list itself is an estimate"
_EXACT = Context(prec=60)
_MILLION = 1_000_000
_NEEDED = {
    "provider": "the kind of provider it is for, such as provider: minimax",
    "match": 'the models it is for, such as match: ["MiniMax-M3"]',
    "currency": "the currency of the bill, such as currency: USD",
}
_NO_NAMES: tuple[str, ...] = ()
_NO_DAYS: tuple[int, ...] = ()
_NO_HOURS: tuple[tuple[int, int], ...] = ()


class PriceFile(msgspec.Struct, frozen=True):
    """A file that was read: its entries, each with the place of its text."""

    enabled: bool
    prices: tuple[Price, ...]
    paths: tuple[KeyPath, ...]
    """Where each entry stands, for problems that only show beside other files."""


class _Section:
    """The keys and values of one section; notes which keys were asked for, so that the others are unknown."""

    def __init__(self, raw: Any, path: KeyPath, report: Report) -> None:
        self.path = path
        self.report = report
        self._known: set[str] = set()
        self._raw: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            report.add(path, "must be a section of keys and values")

    def has(self, key: str) -> bool:
        return key in self._raw

    def raw(self, key: str) -> Any:
        self._known.add(key)
        return self._raw.get(key)

    def take(self, key: str, parse: Callable[[Any], T], default: T) -> T:
        """The parsed value; the default when the key is missing or wrong."""
        self._known.add(key)
        if key not in self._raw:
            return default
        try:
            return parse(self._raw[key])
        except ValueError as error:
            self.wrong(key, str(error))
            return default

    def wrong(self, key: str, what: str) -> None:
        self.report.add((*self.path, key), what)

    def sections(self, key: str) -> list["_Section"]:
        """The items of a list of sections."""
        items = self.raw(key)
        if items is None:
            return []
        if not isinstance(items, list):
            self.wrong(key, "must be a list, one `- ` for each entry")
            return []
        return [_Section(item, (*self.path, key, index), self.report) for index, item in enumerate(items)]

    def named(self, key: str) -> list[tuple[str, "_Section"]]:
        """The members of a section of sections."""
        if not self.has(key):
            self._known.add(key)
            return []
        members = _Section(self.raw(key), (*self.path, key), self.report)
        return [(name, _Section(raw, (*members.path, name), self.report)) for name, raw in members._raw.items()]

    def close(self) -> None:
        """Report the keys that nobody asked for."""
        for key in self._raw:
            if key not in self._known:
                self.wrong(key, f"unknown key; {did_you_mean(key, self._known)}")


class _Home(msgspec.Struct, frozen=True):
    """What the entries of a file may have in common."""

    kinds: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    other_hosts: bool = False
    currency: str = ""
    per: int = _MILLION
    estimate: str = ""
    named: frozenset[str] = frozenset()
    """Keys that the defaults name, rightly or wrongly: entries need not name them again."""


def read_prices(raw: Mapping[str, Any], report: Report, *, book: str, kinds: Iterable[str] | None) -> PriceFile:
    """The entries of one file; those with mistakes are reported and left out.

    Args:
        raw: The file as plain values; `report.places` knows their lines.
        report: Takes the problems.
        book: First piece of the price ids where the file does not name one.
        kinds: The provider kinds that exist; None when that is not to be checked.
    """
    top = _Section(raw, (), report)
    version = top.take("version", values.version, "")
    if not top.has("version"):
        report.add((), "needs a version, the date of the list, such as version: 2026-11-23")
    book = top.take("book", values.name, book)
    group = top.take("set", values.name, "")
    enabled = top.take("enabled", values.flag, default=True)
    top.take("note", values.text, "")
    known = None if kinds is None else frozenset(kinds)
    home = _Home()
    if top.has("defaults"):
        section = _Section(top.raw("defaults"), ("defaults",), report)
        home = _read_home(section, home, known)
        section.close()
    if not top.has("prices"):
        report.add((), "needs prices, a list of entries")
    made = [_Entry(section, home, known).price(book, version, group) for section in top.sections("prices")]
    top.raw("defaults")
    top.close()
    paths: list[KeyPath] = [("prices", index) for index, price in enumerate(made) if price is not None]
    return PriceFile(enabled, _with_dates([price for price in made if price is not None]), tuple(paths))


def _read_home(section: _Section, home: _Home, known: frozenset[str] | None) -> _Home:
    kinds = section.take("provider", values.globs, home.kinds)
    if known is not None and section.has("provider"):
        for kind in kinds:
            if kind not in known:
                section.wrong("provider", f"unknown kind of provider; {did_you_mean(kind, known)}")
    confidence = section.take("confidence", _confidence, home.estimate)
    return _Home(
        kinds=kinds,
        hosts=tuple(host.lower() for host in section.take("hosts", values.globs, home.hosts)),
        other_hosts=section.take("other_hosts", values.flag, home.other_hosts),
        currency=section.take("currency", values.currency, home.currency),
        per=home.per if section.has("unit") else section.take("per", values.token_count, home.per),
        estimate=confidence,
        named=frozenset(key for key in ("provider", "currency") if section.has(key)) | home.named,
    )


def _confidence(raw: Any) -> str:
    if raw not in ("exact", "estimate"):
        raise ValueError("must be exact or estimate")
    return ESTIMATE if raw == "estimate" else ""


class _Entry:
    """Reads one entry of `prices`."""

    def __init__(self, section: _Section, home: _Home, known: frozenset[str] | None) -> None:
        self._section = section
        self._mistakes = len(section.report.problems)
        self._home = _read_home(section, home, known)

    def price(self, book: str, version: str, group: str) -> Price | None:
        """The entry, or None when it has mistakes."""
        section, home = self._section, self._home
        match = section.take("match", values.globs, _NO_NAMES)
        name = section.take("name", values.name, "")
        note = section.take("note", values.text, "")
        price = Price(
            id=f"{book}@{version}/{group or next(iter(home.kinds), '')}/{name or next(iter(match), '')}",
            origin="book",
            currency=home.currency,
            kinds=home.kinds,
            hosts=home.hosts,
            other_hosts=home.other_hosts,
            match=tuple(glob.lower() for glob in match),
            effective_from_ns=section.take("effective_from", values.instant_ns, None),
            effective_until_ns=section.take("effective_until", values.instant_ns, None),
            per=home.per,
            card=self._card(section, NO_RATES),
            units=self._units(),
            included=section.take("included", values.unit_names, _NO_NAMES),
            context_tokens=section.take("context_tokens", values.count, None),
            max_output_tokens=section.take("max_output_tokens", values.count, None),
            estimate=(note or home.estimate) if home.estimate else "",
        )
        price = msgspec.structs.replace(
            price, service_tiers=self._service_tiers(price.card), windows=self._windows(price.card)
        )
        self._check(price)
        section.close()
        return price if len(section.report.problems) == self._mistakes else None

    def _card(self, section: _Section, base: Rates) -> Card:
        """The rates of a section; what it does not name is as in `base`, what a tier does not name as below it."""
        rates = self._rates(section, base)
        tiers: list[Tier] = []
        for tier in section.sections("tiers"):
            boundary = tier.take("input_over", values.count, 0)
            if not tier.has("input_over"):
                tier.wrong("input_over", "is needed: the number of input tokens above which the tier begins")
            elif tiers and 0 < boundary <= tiers[-1].input_over:
                tier.wrong("input_over", "must be more than that of the tier before")
            below = tiers[-1].rates if tiers else rates
            tiers.append(Tier(boundary, self._rates(tier, below)))
            tier.close()
        return Card(rates, tuple(tiers))

    def _rates(self, section: _Section, base: Rates) -> Rates:
        given = {name: section.take(name, values.rate, None) for name in RATE_NAMES}
        return msgspec.structs.replace(base, **{name: rate for name, rate in given.items() if rate is not None})

    def _service_tiers(self, base: Card) -> dict[str, Card]:
        cards: dict[str, Card] = {}
        for name, tier in self._section.named("service_tier"):
            if name.lower() in STANDARD_TIERS:
                tier.report.add(tier.path, "is the standard tier: its rates stand in the entry itself")
            factor = tier.take("multiply", values.rate, None)
            if factor is None:
                cards[name.lower()] = self._card(tier, base.rates)
            else:
                cards[name.lower()] = _multiplied(base, factor)
            tier.close()
        return cards

    def _windows(self, base: Card) -> tuple[Window, ...]:
        windows: list[Window] = []
        for section in self._section.sections("windows"):
            for key in ("hours", "weekdays", "utc_offset"):
                if not section.has(key):
                    section.wrong(key, "is needed")
            offset = section.take("utc_offset", values.utc_offset_min, 0)
            days = section.take("weekdays", values.weekdays, _NO_DAYS)
            spans = section.take("hours", values.hours, _NO_HOURS)
            card = self._card(section, base.rates)
            windows += [
                Window(utc_offset_min=offset, weekdays=days, from_min=start, until_min=end, card=card)
                for start, end in spans
            ]
            section.close()
        return tuple(windows)

    def _units(self) -> dict[str, UnitRate]:
        section = self._section
        units: dict[str, UnitRate] = {}
        for name, unit in section.named("units"):
            try:
                values.unit_name(name)
            except ValueError as error:
                unit.report.add(unit.path, str(error))
            units[name] = self._unit(unit)
            unit.close()
        single = section.take("unit", values.unit_name, "")
        if single:
            units[single] = self._unit(section)
        elif section.has("price"):
            section.wrong("price", "needs the unit that it is for, such as unit: images")
        return units

    def _unit(self, section: _Section) -> UnitRate:
        price = section.take("price", values.rate, None)
        if not section.has("price"):
            section.wrong("price", "is needed, in quotes")
        free = section.take("free", values.count, 0)
        return UnitRate(price or Decimal(0), section.take("per", values.count, 1), Decimal(free))

    def _check(self, price: Price) -> None:
        section = self._section
        for key, what in _NEEDED.items():
            if key not in self._home.named and not section.has(key):
                section.report.add(section.path, f"needs {key}: {what}")
        tokens = price.card.rates != NO_RATES
        if not tokens and not price.units and len(section.report.problems) == self._mistakes:
            section.report.add(section.path, 'needs a price: input: "0.30" and output: "1.20", or unit and price')
        if tokens and section.has("unit"):
            section.wrong("unit", "cannot stand beside token rates; put it under units")
        if price.windows and (price.service_tiers or price.card.tiers):
            section.wrong("windows", "cannot stand beside service_tier or tiers")
        if price.effective_until_ns is not None and price.effective_until_ns <= (price.effective_from_ns or 0):
            section.wrong("effective_until", "must be later than effective_from")
        decimals = max((_decimals(rate) for rate in _all_rates(price)), default=0)
        if decimals + len(str(price.per)) - 1 > AMOUNT_DECIMALS:
            most = AMOUNT_DECIMALS + 1 - len(str(price.per))
            section.report.add(section.path, f"has a rate with more than {most} decimals (multiplied ones count too)")


def _multiplied(card: Card, factor: Decimal) -> Card:
    def scale(rates: Rates) -> Rates:
        given = {name: getattr(rates, name) for name in RATE_NAMES}
        return Rates(**{name: None if rate is None else _EXACT.multiply(rate, factor) for name, rate in given.items()})

    return Card(scale(card.rates), tuple(Tier(tier.input_over, scale(tier.rates)) for tier in card.tiers))


def _all_rates(price: Price) -> list[Decimal]:
    cards = [price.card, *price.service_tiers.values(), *(window.card for window in price.windows)]
    rates = [rates for card in cards for rates in (card.rates, *(tier.rates for tier in card.tiers))]
    return [rate for one in rates for name in RATE_NAMES if (rate := getattr(one, name)) is not None]


def _decimals(rate: Decimal) -> int:
    exponent = rate.normalize(_EXACT).as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _with_dates(prices: list[Price]) -> tuple[Price, ...]:
    """Ids that several dated entries share get the date they hold from."""
    ids = [price.id for price in prices]
    return tuple(
        msgspec.structs.replace(price, id=f"{price.id}@{values.day(price.effective_from_ns)}")
        if ids.count(price.id) > 1 and price.effective_from_ns is not None
        else price
        for price in prices
    )

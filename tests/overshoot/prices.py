"""What things cost in this suite: the price list and the caps, and what both make of a call. Independent of the product.

The product is given the same figures as a price file and a policy file; here they are reckoned with fractions.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

NANO = 10**9
MILLION = 10**6
RATES = {
    "over-a": {"input": "1", "cached_input": "0.1", "output": "4", "reasoning": "8"},
    "over-b": {"input": "2.5", "cached_input": "0.3", "output": "10", "reasoning": "15"},
}
"""Model -> dollars for a million tokens."""
PICTURES, PICTURE_RATE = "over-pics", "0.0013"
"""A model that is paid by the picture, and dollars for one."""
INPUT_BOUND = 2000
"""What a body of fewer than 976 bytes is taken to hold at the most: its bytes and 1,024, in whole thousands."""
SCOPES = ("org", "team", "project", "user")
BUDGETS = {
    "orgs": ("org", "USD", Decimal("1.2")),
    "teams": ("team", "USD", Decimal("0.7")),
    "projects": ("project", "USD", Decimal("0.5")),
    "users": ("user", "USD", Decimal("0.2")),
    "team-tokens": ("team", "tokens", Decimal(120_000)),
    "user-calls": ("user", "calls", Decimal(60)),
    "project-images": ("project", "images", Decimal(25)),
}
"""Name of a budget -> whose counters it has, in what, and how much each may spend: low enough to be reached."""
SCALES = {"USD": NANO, "tokens": 1, "calls": 1, "images": MILLION}
"""Unit -> how many of the ledger's whole numbers are one of it."""
_FIELDS = {"org": "tag:org", "team": "team", "project": "project", "user": "user"}


@dataclass(frozen=True)
class Usage:
    """What a provider says that an answer used."""

    input: int
    cached: int
    output: int
    reasoning: int
    images: int = 0

    def amounts(self, model: str) -> dict[str, Fraction]:
        """Unit -> what it comes to, in the ledger's whole numbers but not rounded to them."""
        return {
            "USD": self._dollars(model) * NANO,
            "tokens": Fraction(self.input + self.output),
            "images": Fraction(self.images * MILLION),
        }

    def _dollars(self, model: str) -> Fraction:
        if model == PICTURES:
            return self.images * Fraction(PICTURE_RATE)
        rates = {kind: Fraction(rate) for kind, rate in RATES[model].items()}
        dollars = (
            (self.input - self.cached) * rates["input"]
            + self.cached * rates["cached_input"]
            + (self.output - self.reasoning) * rates["output"]
            + self.reasoning * rates["reasoning"]
        )
        return dollars / MILLION


def counter_of(budget: str, scope: str) -> str:
    """The name that the ledger has for a counter."""
    return f"budget:{budget}|{_FIELDS[BUDGETS[budget][0]]}={scope}"


def caps() -> dict[str, Fraction]:
    """Budget -> its limit, in the ledger's whole numbers."""
    return {name: Fraction(limit) * SCALES[unit] for name, (_, unit, limit) in BUDGETS.items()}


def price_file() -> str:
    """The price list for the product."""
    lines = ["version: 2026-11-24", "book: overshoot", "prices:"]
    for model, rates in RATES.items():
        told = ", ".join(f'{kind}: "{rate}"' for kind, rate in rates.items())
        lines.append(f"  - {{provider: openai, match: [{model}], currency: USD, {told}}}")
    lines.append(f'  - {{provider: openai, match: [{PICTURES}], currency: USD, unit: images, price: "{PICTURE_RATE}"}}')
    return "\n".join(lines) + "\n"


def policy_file() -> str:
    """The budgets, a route with a fallback and one on which two targets race, for the product."""
    lines = ["version: 1", "budgets:"]
    for name, (scope, unit, limit) in BUDGETS.items():
        lines.append(f'  {name}: {{per: "{_FIELDS[scope]}", limit: "{limit} {unit}", window: total}}')
    return "\n".join(lines) + _ROUTE


_ROUTE = """
limits:
  busy: {match: {provider: n2}, limit: 40 concurrent, queue: {most: 200, wait: 1s}}
routes:
  both:
    match: {model: both}
    targets: [n1/over-a, n2/over-b]
    retry: {each: 2, most: 4, backoff_first: 20ms, backoff_most: 100ms}
    timeouts: {first_byte: 400ms}
    breaker: {failures_in_row: 0, error_share: 0%, rate_limited: 50ms}
  race:
    match: {model: race}
    targets: [n1/over-a, n2/over-b]
    retry: {each: 1, most: 3}
    hedge: {after: 60ms}
    timeouts: {first_byte: 400ms}
    breaker: {failures_in_row: 0, error_share: 0%, rate_limited: 50ms}
"""

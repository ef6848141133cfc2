"""What calls hold: the amount of each rule, for calls that are alike to a bound.

Most calls of an app are alike: one model, one limit of output, bodies of about the same length (`policies.bounds`
rounds the input up so that they are). What was reckoned for one of them is remembered for the others, whoever makes
them, until a price changes.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from policies.bounds import (
    FRAME_TOKENS,
    Tokens,
    exchanged,
    money_bound,
    output_nano,
    rounded_up,
    token_bound,
    unit_bound,
)
from policies.compiled import ModelRate, Rule
from policies.demand import MONEY_SCALE, is_currency
from policies.facts import CallFacts
from policies.ratebook import RateBook
from policies.steps import Assumed
from policies.wording import number_text
from proxy.core.money import Money
from proxy.core.record import Hold

MAX_REMEMBERED = 4096
"""So many kinds of calls are remembered; then the memory begins anew."""
DRAWN_BY_FREE_CALLS = frozenset({"calls", "concurrent"})
"""Units that a call which costs nothing draws on all the same; they need no bound either."""
_OF_OUTPUT = frozenset({"tokens", "output_tokens"})


class Share(msgspec.Struct, frozen=True):
    """What one rule makes of a call: an amount, or why there is none."""

    amount: int
    bill: str = ""
    """Currency of the call's bill where that is not the rule's."""
    text: str = ""
    """`0.0123USD`, with what stood in for a bound: `1USD:unbounded`."""
    problem: str = ""
    left_out: str = ""
    assumed: Assumed | None = None
    """What of it is no bound."""


class Shares:
    """What calls of one kind hold; each amount is reckoned when it is first asked for.

    Args:
        call: One of them. Nobody looks at its caller.
        rates: Of each target, in their order; none where no rule needs them.
    """

    __slots__ = ("_by_like", "_hold", "_tokens", "call", "rates")

    def __init__(self, call: CallFacts, rates: Sequence[ModelRate | None]) -> None:
        self.call = call
        self.rates = rates
        self._tokens: dict[int | None, tuple[Tokens, ...]] = {}
        self._by_like: dict[int, Share | None] = {}
        self._hold: Hold | None = None

    def of(self, rule: Rule, like: int) -> Share | None:
        """What a rule makes of these calls, by its group (`policies.match.Bound.like`); None where they pass it by."""
        try:
            return self._by_like[like]
        except KeyError:
            share = self._by_like[like] = self._share(rule)
            return share

    @property
    def hold(self) -> Hold | None:
        """The most that these calls can use, for their open record: by the first target, whatever rules assume."""
        if self._hold is None and self.rates and self._tokens:
            rate, tokens = self.rates[0], next(iter(self._tokens.values()))[0]
            nano = money_bound(self.call, tokens, rate) if rate else None
            cost = None if rate is None or nano is None else Money(Decimal(nano).scaleb(-MONEY_SCALE), rate.currency)
            stated = self.call.inputs.units if self.call.inputs else {}
            # What is one of several is priced by nobody once more: its cost stands beside it.
            units = {name: quantity for name, quantity in stated.items() if "*" not in name}
            self._hold = Hold(input_tokens=tokens.input, output_tokens=tokens.output, units=units, cost=cost)
        return self._hold

    @property
    def output_nano(self) -> int:
        """What a million output tokens cost at the dearest, at the target that the hold is by."""
        return self.rates[0].output_nano if self.rates and self.rates[0] is not None else 0

    @property
    def how(self) -> str:
        """Where the bounds come from, in words."""
        return "; ".join(tokens.how for one in self._tokens.values() for tokens in one)

    def _share(self, rule: Rule) -> Share | None:
        if not self.call.billable and rule.unit not in DRAWN_BY_FREE_CALLS:
            return None
        return self._money(rule) if is_currency(rule.unit) else self._count(rule)

    def _count(self, rule: Rule) -> Share:
        if rule.unit in DRAWN_BY_FREE_CALLS:
            return Share(1, text=f"1{rule.unit}")
        bounds = [unit_bound(self.call, tokens, rule.unit) for tokens in self._bounds(rule.assume_output_tokens)]
        amounts = [one for one in bounds if one is not None]
        if len(amounts) < len(bounds):
            return _fallback(rule, rule.unbounded, "unbounded", self.call.currency)
        most = max(amounts, default=0)
        return Share(most, text=_text(most, rule.unit), assumed=self._assumed_tokens(rule))

    def _assumed_tokens(self, rule: Rule) -> Assumed | None:
        if rule.unit not in _OF_OUTPUT:
            return None
        # The smallest: the target that it is of is the first to pass it.
        least = min([one.assumed for one in self._bounds(rule.assume_output_tokens) if one.assumed], default=0)
        return Assumed(least, least) if least else None

    def _money(self, rule: Rule) -> Share:
        """The dearest of what the targets of the plan may cost, in the rule's currency."""
        dearest = Share(0)
        assumed: Assumed | None = None
        for rate, tokens in zip(self.rates, self._bounds(rule.assume_output_tokens), strict=True):
            currency = rate.currency if rate else self.call.currency
            exchange = None if currency == rule.unit else rule.exchange.get(currency)
            if currency != rule.unit and exchange is None:
                found = f"other_currency={currency}"
                return Share(0, left_out=found) if rule.other_currency == "ignore" else Share(0, problem=found)
            nano = money_bound(self.call, tokens, rate) if rate else None
            if nano is None:
                # Who names no model asks for none without a price: nobody can tell what such a call is.
                priced = rate is not None or self.call.request.model is None
                stands_in = rule.unbounded if priced else rule.unknown_price
                share = _fallback(rule, stands_in, "unbounded" if priced else "unknown_price", currency)
            else:
                amount = nano if exchange is None else exchanged(nano, exchange)
                share = Share(amount, "" if exchange is None else currency, _text(amount, rule.unit))
                if rate is not None and tokens.assumed:
                    more = output_nano(tokens.assumed, rate)
                    of_it = Assumed(more if exchange is None else exchanged(more, exchange), tokens.assumed)
                    share = replace(share, assumed=of_it)
            if share.problem:
                return share
            if share.amount >= dearest.amount:
                dearest = share
            assumed = _faster(assumed, share.assumed)
        return dearest if dearest.assumed == assumed else replace(dearest, assumed=assumed)

    def _bounds(self, assumed: int | None) -> tuple[Tokens, ...]:
        """Bounds of each target's tokens where a rule assumes so many of a call that states no limit."""
        found = self._tokens.get(assumed)
        if found is None:
            found = self._tokens[assumed] = tuple([token_bound(self.call, rate, assumed) for rate in self.rates])
        return found


class ShareBook:
    """Remembers what calls hold, by everything of a call that a bound looks at.

    Args:
        rates: What models cost at the most.
        reads_bodies: Whether any rule needs them.
    """

    def __init__(self, rates: RateBook, *, reads_bodies: bool) -> None:
        self._rates = rates
        self._reads_bodies = reads_bodies
        self._remembered: dict[tuple[object, ...], Shares] = {}
        self._since_ns = self._until_ns = 0

    def find(self, call: CallFacts, now_ns: int) -> Shares:
        """What a call holds at an instant. As long as nothing changes, calls that are alike get the same object."""
        if not self._since_ns <= now_ns < self._until_ns:
            self._since_ns, self._until_ns = self._rates.span(now_ns)
            self._remembered.clear()
        inputs = call.inputs
        if inputs is None:
            read: tuple[object, ...] = (None if call.body_bytes is None else rounded_up(call.body_bytes),)
        elif inputs.units or inputs.counted:
            return self._shares(call, now_ns)
        else:
            read = (
                rounded_up(inputs.text_bytes + FRAME_TOKENS),
                len(inputs.image_bytes),
                inputs.references,
                inputs.server_tools,
                inputs.best_of,
            )
        key = (
            call.provider,
            call.operation,
            call.dialect,
            call.currency,
            call.billable,
            call.request,
            call.targets,
            *read,
        )
        found = self._remembered.get(key)
        if found is None:
            found = self._shares(call, now_ns)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def _shares(self, call: CallFacts, now_ns: int) -> Shares:
        if not (self._reads_bodies and call.billable):
            return Shares(call, ())
        model, find = call.request.model, self._rates.find
        places = call.targets or ((call.provider, model),)
        return Shares(call, [find(provider, asked or model, call.operation, now_ns) for provider, asked in places])


def _fallback(rule: Rule, stands_in: int | None, why: str, currency: str) -> Share:
    """What is held in place of a bound: what the rule says, or nothing where it refuses."""
    if stands_in is None:
        return Share(0, problem=why)
    bill = currency if is_currency(rule.unit) and currency != rule.unit else ""
    assumed = Assumed(stands_in) if stands_in else None
    return Share(stands_in, bill, f"{_text(stands_in, rule.unit)}:{why}", assumed=assumed)


def _faster(one: Assumed | None, other: Assumed | None) -> Assumed | None:
    """Of two targets' assumptions the one that is the larger amount: it is safe for the other, too."""
    if one is None or other is None:
        return one or other
    return one if one.amount >= other.amount else other


def _text(amount: int, unit: str) -> str:
    return f"{number_text(amount, unit)}{unit}"

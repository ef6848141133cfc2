"""Decisions: a plain function from the facts of a call to what may happen to it.

Rules of this file: no I/O, no clock; a refusal is a value, never an exception; every decision carries its reasons, in
the order in which the rules stand. A decision says what a call draws on (`Allow.demands`); whether that fits is the
ledger's answer, which `policies.answers` puts into words.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from policies.actions import ACTIONS
from policies.actions.base import Passed
from policies.bounds import Tokens, exchanged, money_bound, token_bound, unit_bound
from policies.compiled import NO_POLICIES, Budget, CompiledPolicies, KeyRule, ModelRate, Rule
from policies.counters import Counters, enforcement, threshold_amount
from policies.decision import Allow, Decision, Deny, Target
from policies.demand import MONEY_SCALE, Demand, Level, is_currency
from policies.facts import CallFacts
from policies.match import Bound, Matcher
from policies.ratebook import RateBook
from policies.wording import bounded, number_text
from proxy.core.money import Money
from proxy.core.record import Hold
from proxy.prices.match import matches

__all__ = ["Allow", "CallFacts", "Decision", "Deny", "Engine", "Target", "decide"]

LevelOf = Callable[[str], Level | None]
"""What is known of a counter without asking; None where nothing is."""

ACTIONS_BY_NAME = {action.name: action for action in ACTIONS}
FORBIDDEN = 403
_DRAWN_BY_FREE_CALLS = frozenset({"calls", "concurrent"})
"""Units that a call which costs nothing draws on all the same; they need no bound either."""
_SHOWN_CHARS = 80


def nothing_known(counter: str) -> Level | None:
    """Levels for a decision that is made without a ledger."""
    del counter
    return None


class Engine:
    """One set of policies, ready to decide. Replaced as a whole when they change."""

    def __init__(self, policies: CompiledPolicies = NO_POLICIES) -> None:
        self.policies = policies
        self.matcher = Matcher(policies)
        self.rates = RateBook(policies.rates)
        self.counters = Counters()
        self.reads_bodies = any(rule.unit not in _DRAWN_BY_FREE_CALLS for rule in self.matcher.rules)
        """Whether any rule needs `CallFacts.inputs`."""

    def decide(self, call: CallFacts, now_ns: int, level: LevelOf = nothing_known) -> Decision:
        """What may happen to a call at an instant (Unix time in nanoseconds)."""
        rule = self.policies.keys.get(call.key) if call.key else None
        if rule is not None and (refusal := _key_refusal(rule, call, now_ns)):
            return refusal
        found = self.matcher.find(call, now_ns)
        if not found:
            return Allow(plan=(Target(provider=call.provider),))
        return _Walk(self, call, now_ns, level).decide(found)


_NO_POLICY = Engine()


def decide(call: CallFacts, engine: Engine = _NO_POLICY, now_ns: int = 0, level: LevelOf = nothing_known) -> Decision:
    """What may happen to a call. Without policies every call goes to the provider that its path names."""
    return engine.decide(call, now_ns, level)


class _Walk:
    """One decision under way: the bounds of its call, its reasons and demands so far."""

    __slots__ = (
        "call",
        "demands",
        "downgrade",
        "engine",
        "level",
        "now_ns",
        "plan",
        "rates",
        "reasons",
        "shares",
        "tokens",
    )

    def __init__(self, engine: Engine, call: CallFacts, now_ns: int, level: LevelOf) -> None:
        self.engine = engine
        self.call = call
        self.now_ns = now_ns
        self.level = level
        self.plan = (Target(provider=call.provider),)
        self.reasons: list[str] = []
        self.demands: list[Demand] = []
        self.downgrade = ""
        self.rates = self._rates() if engine.reads_bodies and call.billable else ()
        self.tokens: dict[int | None, tuple[Tokens, ...]] = {}
        self.shares: dict[int, _Share] = {}

    def decide(self, found: Sequence[Bound]) -> Decision:
        for bound in found:
            refusal = self._draw(bound)
            if refusal is not None:
                return refusal
        return Allow(
            plan=self.plan,
            reasons=bounded(self.reasons),
            demands=tuple(self.demands),
            hold=self._hold(),
            downgrade=self.downgrade,
        )

    def _rates(self) -> tuple[ModelRate | None, ...]:
        find, call = self.engine.rates.find, self.call
        return tuple(
            [find(one.provider, one.model or call.request.model, call.operation, self.now_ns) for one in self.plan]
        )

    def _draw(self, bound: Bound) -> Deny | None:
        """Add what a call draws on by one rule, or refuse it."""
        rule = bound.rule
        if not self.call.billable and rule.unit not in _DRAWN_BY_FREE_CALLS:
            return None
        share = self.shares.get(bound.like)
        if share is None:
            share = self.shares[bound.like] = self._money(rule) if is_currency(rule.unit) else self._count(rule)
        if share.problem:
            return self._without_bound(bound, share)
        if share.left_out:
            self.reasons.append(f"{rule.policy}:{share.left_out}")
            return None
        demand = self.engine.counters.demand(bound, share.amount, self.now_ns, share.bill)
        self.demands.append(demand)
        name = f"shadow:{rule.policy}" if rule.shadow else rule.policy
        self.reasons.append(f"{name}:hold={share.text}")
        if isinstance(rule, Budget) and rule.thresholds and (level := self.level(demand.counter)):
            return self._pass_thresholds(rule, bound, level)
        return None

    def _count(self, rule: Rule) -> "_Share":
        if rule.unit in _DRAWN_BY_FREE_CALLS:
            return _Share(1, text=f"1{rule.unit}")
        bounds = [unit_bound(self.call, tokens, rule.unit) for tokens in self._tokens(rule.assume_output_tokens)]
        amounts = [one for one in bounds if one is not None]
        if len(amounts) < len(bounds):
            return _fallback(rule, rule.unbounded, "unbounded", self.call.currency)
        most = max(amounts, default=0)
        return _Share(most, text=_text(most, rule.unit))

    def _money(self, rule: Rule) -> "_Share":
        """The dearest of what the targets of the plan may cost, in the rule's currency."""
        dearest = _Share(0)
        for rate, tokens in zip(self.rates, self._tokens(rule.assume_output_tokens), strict=True):
            currency = rate.currency if rate else self.call.currency
            exchange = None if currency == rule.unit else rule.exchange.get(currency)
            if currency != rule.unit and exchange is None:
                found = f"other_currency={currency}"
                return _Share(0, left_out=found) if rule.other_currency == "ignore" else _Share(0, problem=found)
            nano = money_bound(self.call, tokens, rate) if rate else None
            if nano is None:
                stands_in = rule.unbounded if rate else rule.unknown_price
                share = _fallback(rule, stands_in, "unbounded" if rate else "unknown_price", currency)
            else:
                amount = nano if exchange is None else exchanged(nano, exchange)
                share = _Share(amount, "" if exchange is None else currency, _text(amount, rule.unit))
            if share.problem:
                return share
            if share.amount >= dearest.amount:
                dearest = share
        return dearest

    def _tokens(self, assumed: int | None) -> tuple[Tokens, ...]:
        """Bounds of each target's tokens where a rule assumes so many of a call that states no limit."""
        found = self.tokens.get(assumed)
        if found is None:
            found = self.tokens[assumed] = tuple([token_bound(self.call, rate, assumed) for rate in self.rates])
        return found

    def _without_bound(self, bound: Bound, share: "_Share") -> Deny | None:
        """A call that nothing can be held for: hard rules refuse it, others count it when it is over."""
        rule = bound.rule
        if enforcement(rule) != "hard":
            shadow = "shadow:" if rule.shadow else ""
            self.reasons.append(f"{shadow}{rule.policy}:{share.problem}")
            if not share.problem.startswith("other_currency"):
                bill = "" if self.call.currency == rule.unit or not is_currency(rule.unit) else self.call.currency
                self.demands.append(self.engine.counters.demand(bound, 0, self.now_ns, bill))
            return None
        kind = share.problem.partition("=")[0]
        self.reasons.append(f"{rule.policy}:deny:{share.problem}")
        return Deny(
            status=FORBIDDEN,
            code=f"policy_{kind}",
            message=f"{rule.policy.replace(':', ' ')} cannot hold the cost of this call: {self._why(kind)}",
            reasons=bounded(self.reasons),
        )

    def _why(self, kind: str) -> str:
        if kind == "unknown_price":
            model = (self.call.request.model or self.call.operation)[:_SHOWN_CHARS]
            return f"no price is known for {model} at {self.call.provider}"
        if kind == "other_currency":
            return f"it is billed in {self.call.currency}, and no rate of exchange is given"
        how = "; ".join(tokens.how for one in self.tokens.values() for tokens in one) or "nothing is known of it"
        return f"it has no bound ({how}); a max_tokens, or less that the request only points at, would give it one"

    def _pass_thresholds(self, rule: Budget, bound: Bound, level: Level) -> Deny | None:
        for passed in thresholds_passed(rule, bound, level, self.call):
            for name in passed.threshold.acts:
                action = ACTIONS_BY_NAME[name]
                effect = action.act(passed) if action.moment == "before" else None
                if effect is None:
                    continue
                silent = rule.shadow or (effect.deny_status and rule.enforce == "observe")
                what = f"{rule.policy}:at={passed.threshold.at / 100:g}%:{name}"
                self.reasons.append(f"shadow:{what}" if silent else what)
                if silent:
                    continue
                self.downgrade = effect.model or self.downgrade
                if effect.deny_status:
                    return Deny(
                        status=effect.deny_status,
                        code=effect.deny_code,
                        message=effect.message,
                        reasons=bounded(self.reasons),
                    )
        return None

    def _hold(self) -> Hold | None:
        """The most that the call can use, for its open record: by the first target, whatever rules assume."""
        if not self.demands or not self.rates or not self.tokens:
            return None
        rate, tokens = self.rates[0], next(iter(self.tokens.values()))[0]
        nano = money_bound(self.call, tokens, rate) if rate else None
        cost = None if rate is None or nano is None else Money(Decimal(nano).scaleb(-MONEY_SCALE), rate.currency)
        units = self.call.inputs.units if self.call.inputs else {}
        return Hold(input_tokens=tokens.input, output_tokens=tokens.output, units=units, cost=cost)


class _Share(msgspec.Struct, frozen=True):
    """What one rule makes of a call: an amount, or why there is none."""

    amount: int
    bill: str = ""
    text: str = ""
    """`0.0123USD`, with what stood in for a bound: `1USD:unbounded`."""
    problem: str = ""
    left_out: str = ""


def _fallback(rule: Rule, stands_in: int | None, why: str, currency: str) -> _Share:
    """What is held in place of a bound: what the rule says, or nothing where it refuses."""
    if stands_in is None:
        return _Share(0, problem=why)
    bill = currency if is_currency(rule.unit) and currency != rule.unit else ""
    return _Share(stands_in, bill, f"{_text(stands_in, rule.unit)}:{why}")


def _text(amount: int, unit: str) -> str:
    return f"{number_text(amount, unit)}{unit}"


def thresholds_passed(rule: Budget, bound: Bound, level: Level, call: CallFacts) -> list[Passed]:
    """The thresholds of a budget that a counter has passed, the lowest first."""
    used = level.spent + level.held
    return [
        Passed(
            budget=rule,
            scope=bound.scope,
            threshold=threshold,
            counter=level.counter,
            used=used,
            stated=bound.limit,
            call=call,
        )
        for threshold in rule.thresholds
        if used >= threshold_amount(bound.limit, threshold.at)
    ]


def _key_refusal(rule: KeyRule, call: CallFacts, now_ns: int) -> Deny | None:
    """Why a key may not make this call; None when it may."""
    if rule.disabled or (rule.expires_at_ns is not None and now_ns >= rule.expires_at_ns):
        why = "disabled" if rule.disabled else "expired"
        return Deny(status=401, code=f"key_{why}", message=f"this key is {why}", reasons=(f"key:{rule.name}:{why}",))
    for kind, allowed, value in (
        ("provider", rule.providers, call.provider.lower()),
        ("model", rule.models, (call.request.model or "").lower()),
        ("operation", rule.operations, call.operation),
    ):
        if allowed and not any(matches(glob, value) for glob in allowed):
            message = f"this key may not use the {kind} {value[:_SHOWN_CHARS] or 'that this request names'}"
            return Deny(status=FORBIDDEN, code=f"key_{kind}", message=message, reasons=(f"key:{rule.name}:{kind}",))
    return None

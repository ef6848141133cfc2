"""Decisions: a plain function from the facts of a call to what may happen to it.

Rules of this file: no I/O, no clock; a refusal is a value, never an exception; every decision carries its reasons, in
the order in which the rules stand. A decision says what a call draws on (`Allow.demands`); whether that fits is the
ledger's answer, which `policies.answers` puts into words.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from policies.actions import ACTIONS
from policies.actions.base import Passed
from policies.compiled import NO_POLICIES, Budget, CompiledPolicies, KeyRule, Rule
from policies.counters import Counters, enforcement, threshold_amount
from policies.decision import Allow, Decision, Deny, Target
from policies.demand import Demand, Level, is_currency
from policies.facts import CallFacts
from policies.match import MAX_REMEMBERED, Bound, Matcher, MatchKey
from policies.prepared import Entry, Prepared
from policies.ratebook import RateBook
from policies.shares import DRAWN_BY_FREE_CALLS, Share, ShareBook, Shares
from policies.steps import Assumed, Growth, Step
from policies.wording import bounded
from proxy.prices.match import matches

if TYPE_CHECKING:
    from proxy.core.record import Draw

__all__ = ["Allow", "CallFacts", "Decision", "Deny", "Engine", "Target", "decide"]

LevelOf = Callable[[str], Level | None]
"""What is known of a counter without asking; None where nothing is."""

ACTIONS_BY_NAME = {action.name: action for action in ACTIONS}
FORBIDDEN = 403
MAX_ALLOWED = 8192
"""So many decisions are remembered, at 2 KB each; then the memory begins anew."""
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
        self.reads_bodies = any(rule.unit not in DRAWN_BY_FREE_CALLS for rule in self.matcher.rules)
        """Whether any rule needs `CallFacts.inputs`."""
        self._shares = ShareBook(self.rates, reads_bodies=self.reads_bodies)
        self._prepared: dict[MatchKey, Prepared] = {}
        self._allowed: dict[tuple[Prepared, Shares], Allow] = {}

    def decide(self, call: CallFacts, now_ns: int, level: LevelOf = nothing_known) -> Decision:
        """What may happen to a call at an instant (Unix time in nanoseconds)."""
        rule = self.policies.keys.get(call.key) if call.key else None
        if rule is not None and (refusal := key_refusal(rule, call, now_ns)):
            return refusal
        prepared = self._prepare(call, now_ns)
        if not prepared.entries:
            return Allow(plan=(Target(provider=call.provider),))
        shares = self._shares.find(call, now_ns)
        if prepared.acting and any(_acts(entry, level) for entry in prepared.acting):
            return _Walk(self, call, now_ns, level, shares).decide(prepared)
        # Neither of them ever changes: what was decided on one call holds for the next one of its caller.
        allowed = self._allowed.get((prepared, shares))
        if allowed is not None:
            return allowed
        decision = _Walk(self, call, now_ns, level, shares).decide(prepared)
        if isinstance(decision, Allow):
            if len(self._allowed) >= MAX_ALLOWED:
                self._allowed.clear()
            self._allowed[prepared, shares] = decision
        return decision

    def _prepare(self, call: CallFacts, now_ns: int) -> Prepared:
        key = self.matcher.key(call, now_ns)
        prepared = self._prepared.get(key)
        if prepared is None or not prepared.is_good_at(now_ns):
            if len(self._prepared) >= MAX_REMEMBERED:
                self._prepared.clear()
            prepared = self._prepared[key] = Prepared(self.matcher.find(call, now_ns), self.counters, now_ns)
        return prepared


def _acts(entry: Entry, level: LevelOf) -> bool:
    """Whether a counter is so full that a threshold may change what becomes of a call."""
    known = level(entry.demand.counter)
    return known is not None and entry.acts_from is not None and known.spent + known.held >= entry.acts_from


_NO_POLICY = Engine()


def decide(call: CallFacts, engine: Engine = _NO_POLICY, now_ns: int = 0, level: LevelOf = nothing_known) -> Decision:
    """What may happen to a call. Without policies every call goes to the provider that its path names."""
    return engine.decide(call, now_ns, level)


class _Walk:
    """One decision under way: the reasons and demands of its call so far."""

    __slots__ = ("call", "demands", "downgrade", "draws", "engine", "level", "now_ns", "reasons", "shares", "steps")

    def __init__(self, engine: Engine, call: CallFacts, now_ns: int, level: LevelOf, shares: Shares) -> None:
        self.engine = engine
        self.call = call
        self.now_ns = now_ns
        self.level = level
        self.shares = shares
        self.reasons: list[str] = []
        self.demands: list[Demand] = []
        self.draws: list[Draw] = []
        self.steps: list[Step | None] = []
        self.downgrade = ""

    def decide(self, prepared: Prepared) -> Decision:
        for entry in prepared.entries:
            refusal = self._draw(entry)
            if refusal is not None:
                return refusal
        draws = tuple(self.draws)
        booked = [draw for demand, draw in zip(self.demands, draws, strict=True) if demand.kind == "budget"]
        return Allow(
            plan=(Target(provider=self.call.provider),),
            reasons=bounded(self.reasons),
            demands=tuple(self.demands),
            draws=draws,
            recorded=draws if len(booked) == len(draws) else tuple(booked),
            tells=prepared.tells,
            hold=self.shares.hold if self.demands else None,
            growth=Growth(tuple(self.steps), self.shares.output_nano) if any(self.steps) else None,
            downgrade=self.downgrade,
        )

    def _draw(self, entry: Entry) -> Deny | None:
        """Add what a call draws on by one rule, or refuse it."""
        bound = entry.bound
        share = self.shares.of(bound.rule, bound.like)
        if share is None:
            return None
        if share.problem:
            return self._without_bound(entry, share)
        if share.left_out:
            self.reasons.append(f"{bound.rule.policy}:{share.left_out}")
            return None
        self._add(entry, share.amount, share.bill, share.assumed)
        self.reasons.append(entry.holds + share.text)
        if entry.acts_from is not None and (level := self.level(entry.demand.counter)):
            return self._pass_thresholds(bound, level)
        return None

    def _add(self, entry: Entry, amount: int, bill: str, assumed: Assumed | None = None) -> None:
        if bill:
            demand = self.engine.counters.demand(entry.bound, amount, self.now_ns, bill)
            draw = replace(entry.draw, held=amount, bill=bill, exchange=demand.exchange)
        else:
            demand, draw = replace(entry.demand, amount=amount), replace(entry.draw, held=amount)
        self.demands.append(demand)
        self.draws.append(draw)
        self.steps.append(_step(entry.bound.rule, assumed) if assumed is not None else None)

    def _without_bound(self, entry: Entry, share: Share) -> Deny | None:
        """A call that nothing can be held for: hard rules refuse it, others count it when it is over."""
        rule = entry.bound.rule
        if enforcement(rule) != "hard":
            shadow = "shadow:" if rule.shadow else ""
            self.reasons.append(f"{shadow}{rule.policy}:{share.problem}")
            if not share.problem.startswith("other_currency"):
                self._add(
                    entry,
                    0,
                    "" if self.call.currency == rule.unit or not is_currency(rule.unit) else self.call.currency,
                )
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
        how = self.shares.how or "nothing is known of it"
        inputs = self.call.inputs
        if inputs is not None and inputs.counted and inputs.unknown_units:
            return f"how much it uses of {', '.join(inputs.unknown_units)} does not stand in the request"
        return f"it has no bound ({how}); a max_tokens, or less that the request only points at, would give it one"

    def _pass_thresholds(self, bound: Bound, level: Level) -> Deny | None:
        rule = bound.rule
        if not isinstance(rule, Budget):
            return None
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


def _step(rule: Rule, assumed: Assumed) -> Step | None:
    """What a hold grows by; None for a pace, which is not held to a call's end, and for an amount of nothing."""
    if not isinstance(rule, Budget) or not assumed.amount:
        return None
    if assumed.tokens:
        return Step("tokens", assumed.tokens, assumed.amount, rule.cuts)
    return Step("bytes", rule.step_bytes, assumed.amount, rule.cuts)


def key_refusal(rule: KeyRule, call: CallFacts, now_ns: int) -> Deny | None:
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

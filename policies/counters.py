"""From a rule, a scope and an instant to the counter that is drawn on, ready to take an amount."""

from typing import Any

from msgspec.structs import replace

from policies.compiled import Budget, Rule
from policies.demand import Carry, Demand, Enforce, Kind
from policies.match import Bound
from policies.windows import Span, span_at, span_before

MAX_REMEMBERED = 65_536
"""Counters that are remembered; then the memory begins anew."""
_TEN_THOUSAND = 10_000


class Template:
    """Everything of a demand but its amount, for as long as a window lasts."""

    __slots__ = ("demand", "starts_ns", "turns_ns")

    def __init__(self, demand: Demand, starts_ns: int, turns_ns: int | None) -> None:
        self.demand = demand
        """Of nothing."""
        self.starts_ns = starts_ns
        self.turns_ns = turns_ns
        """When the next window begins; None: never."""


class Counters:
    """Makes demands. What it remembers of a window it forgets when the window ends."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, str], Template] = {}

    def demand(self, bound: Bound, amount: int, now_ns: int, bill: str = "") -> Demand:
        """The share of a call in the counter of a rule; `bill` is the currency of its bill where that is another."""
        # A tenth of what making one anew takes.
        return replace(self.template(bound, now_ns, bill).demand, amount=amount)

    def template(self, bound: Bound, now_ns: int, bill: str = "") -> Template:
        """What all demands of a rule's counter have in common, at an instant."""
        key = (bound.family, bill)
        template = self._templates.get(key)
        if (
            template is None
            or (template.turns_ns is not None and now_ns >= template.turns_ns)
            or now_ns < template.starts_ns
        ):
            if len(self._templates) >= MAX_REMEMBERED:
                self._templates.clear()
            template = self._templates[key] = _template(bound, now_ns, bill)
        return template


def threshold_amount(limit: int, at: int) -> int:
    """The amount at which so many ten-thousandths of a limit are used, rounded up."""
    return -(-limit * at // _TEN_THOUSAND)


def enforcement(rule: Rule) -> Enforce:
    """How strictly a rule is kept: one in shadow is only looked at."""
    return "observe" if rule.shadow else rule.enforce


def _template(bound: Bound, now_ns: int, bill: str) -> Template:
    rule = bound.rule
    fields: dict[str, Any] = {
        "amount": 0,
        "counter": bound.family,
        "family": bound.family,
        "policy": rule.policy,
        "unit": rule.unit,
        "limit": bound.limit,
        "stated": bound.limit,
        "enforce": enforcement(rule),
        "when_unavailable": rule.when_unavailable,
        "status": rule.status,
        "shadow": rule.shadow,
        "bill": bill,
        "exchange": rule.exchange.get(bill) if bill else None,
    }
    if not isinstance(rule, Budget):
        kind: Kind = "rate" if rule.per_ns else "concurrent"
        # A burst is a share of the rule's own limit; a named scope has that share of its own.
        burst = -(-bound.limit * rule.burst // rule.limit) if rule.burst else bound.limit
        return Template(Demand(**fields | {"kind": kind, "per_ns": rule.per_ns, "limit": burst}), 0, None)
    span = span_at(rule.window, now_ns)
    fields |= {
        "counter": counter_id(bound.family, span.label),
        "limit": bound.limit + rule.grace,
        "starts_at_ns": span.starts_ns,
        "ends_at_ns": span.ends_ns,
        "also": tuple(counter_id(bound.family, label) for label in span.also),
        "bucket_ns": span.bucket_ns,
        "carry": _carry(rule, bound, span),
        "top_ups": True,
        "thresholds": tuple(threshold_amount(bound.limit, one.at) for one in rule.thresholds),
    }
    return Template(Demand(**fields), span.starts_ns, span.turns_ns)


def counter_id(family: str, label: str) -> str:
    """`budget:search|team=search@2026-11-01T00:00:00Z`; the family alone where there is no window."""
    return f"{family}@{label}" if label else family


def _carry(rule: Budget, bound: Bound, span: Span) -> Carry | None:
    before = span_before(rule.window, span) if rule.carry_most else None
    if before is None or before.starts_ns < rule.carry_since_ns:
        return None
    return Carry(counter=counter_id(bound.family, before.label), limit=bound.limit, most=rule.carry_most)

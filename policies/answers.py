"""What becomes of a decision once the ledger has answered: refusals in words, alerts, headers."""

from collections.abc import Sequence

import msgspec

from policies.compiled import Budget, Rule
from policies.decision import Deny
from policies.demand import Admitted, Demand, Level, Refused
from policies.engine import ACTIONS_BY_NAME, Engine, thresholds_passed
from policies.facts import CallFacts
from policies.limit_headers import limit_headers
from policies.match import Bound
from policies.wording import bounded, instant_text, number_text, rounded_text

_NS = 10**9
_UNAVAILABLE_RETRY_S = 5


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence for whoever gets alerts; to be sent once for each counter and threshold."""

    counter: str
    policy: str
    at: int
    """The threshold, in ten-thousandths of the limit."""
    text: str


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """What an admitted call brings with it."""

    headers: dict[str, str] = {}
    alerts: tuple[Alert, ...] = ()
    reasons: tuple[str, ...] = ()


def refusal(refused: Refused, now_ns: int, dialect: str = "") -> Deny:
    """The ledger's no, as the app is told it: which rule, what is spent, what the limit is, when it frees.

    `dialect` is the one that it is worded in.
    """
    demand = refused.demand
    name = _name(demand)
    if refused.unavailable:
        return Deny(
            status=503,
            code="ledger_unavailable",
            message=f"{name} cannot be checked just now, and its policy refuses calls then",
            reasons=(f"{demand.policy}:deny:ledger_unavailable",),
            retry_after_s=_UNAVAILABLE_RETRY_S,
        )
    retry_after_s = None
    if refused.frees_at_ns is not None:
        retry_after_s = max(1, -(-(refused.frees_at_ns - now_ns) // _NS))
    frees = f"; frees at {instant_text(refused.frees_at_ns)}" if refused.frees_at_ns is not None else ""
    reason = (
        f"{demand.policy}:deny:spent={_figure(refused.spent, demand)},held={_figure(refused.held, demand)},"
        f"hold={_figure(demand.amount, demand)},limit={_figure(refused.allowed, demand)}"
    )
    return Deny(
        status=demand.status,
        code={"budget": "budget_exceeded", "rate": "rate_limited", "concurrent": "too_many_calls"}[demand.kind],
        message=f"{name}: {_sentence(refused)}{frees}",
        reasons=bounded([reason]),
        retry_after_s=retry_after_s,
        headers=limit_headers(refused, dialect, now_ns),
    )


def cut_short(refused: Refused, now_ns: int) -> Deny:
    """The ledger's no to an answer under way that has used what was held for it, as the app is told it."""
    demand = refused.demand
    refusal_of_it = refusal(refused, now_ns)
    reason = f"{demand.policy}:cut"
    if refused.unavailable:
        return msgspec.structs.replace(refusal_of_it, reasons=(f"{reason}:ledger_unavailable",))
    spent, held, limit = (rounded_text(one, demand.unit) for one in (refused.spent, refused.held, refused.allowed))
    frees = f"; frees at {instant_text(refused.frees_at_ns)}" if refused.frees_at_ns is not None else ""
    message = (
        f"{_name(demand)}: {spent} of {limit} spent, {held} held; the answer has used its share and ends here{frees}"
    )
    return msgspec.structs.replace(refusal_of_it, message=message, reasons=(reason,))


def after_admission(
    engine: Engine, call: CallFacts, demands: Sequence[Demand], admitted: Admitted, now_ns: int
) -> Aftermath:
    """What the thresholds and the ledger's answer bring: headers, alerts, reasons."""
    reasons = [f"{counter.partition('|')[0].partition('@')[0]}:uncounted" for counter in admitted.uncounted]
    by_counter = {demand.counter: demand for demand in demands}
    for counter in admitted.would_refuse:
        demand = by_counter.get(counter)
        if demand is not None:
            reasons.append(f"{'shadow:' if demand.shadow else ''}{demand.policy}:would_deny")
    headers: dict[str, str] = {}
    alerts: list[Alert] = []
    levels = {level.counter: level for level in admitted.levels}
    if any(demand.thresholds for demand in demands):
        bounds = {bound.family: bound for bound in engine.matcher.find(call, now_ns)}
        for demand in demands:
            level, bound = levels.get(demand.counter), bounds.get(demand.family)
            if level is None or bound is None or not demand.thresholds:
                continue
            _act_after(bound, level, call, headers, alerts, reasons)
    return Aftermath(headers=headers, alerts=tuple(alerts), reasons=bounded(reasons))


def _act_after(
    bound: Bound, level: Level, call: CallFacts, headers: dict[str, str], alerts: list[Alert], reasons: list[str]
) -> None:
    rule: Rule = bound.rule
    if not isinstance(rule, Budget):
        return
    for passed in thresholds_passed(rule, bound, level, call):
        for name in passed.threshold.acts:
            action = ACTIONS_BY_NAME[name]
            effect = action.act(passed) if action.moment == "after" else None
            if effect is None:
                continue
            what = f"{rule.policy}:at={passed.threshold.at / 100:g}%:{name}"
            reasons.append(f"shadow:{what}" if rule.shadow else what)
            if rule.shadow:
                continue
            if effect.header:
                headers[effect.header[0]] = effect.header[1]
            if effect.alert:
                alert = Alert(counter=level.counter, policy=rule.policy, at=passed.threshold.at, text=effect.alert)
                alerts.append(alert)


def _name(demand: Demand) -> str:
    """`budget search (team=search)`."""
    _, _, scope = demand.family.partition("|")
    name = demand.policy.replace(":", " ", 1)
    return f"{name} ({scope.replace('|', ', ')})" if scope else name


def _sentence(refused: Refused) -> str:
    demand = refused.demand
    unit = demand.unit
    limit = rounded_text(refused.allowed, unit)
    if demand.kind == "concurrent":
        return f"{refused.held} calls are under way, and {refused.allowed} may be"
    if demand.kind == "rate":
        per = f"{demand.per_ns / _NS:g} s"
        return f"the limit is {rounded_text(demand.stated, unit)} in {per}, and this call would pass it"
    spent, held = rounded_text(refused.spent, unit), rounded_text(refused.held, unit)
    if demand.enforce == "soft":
        return f"{spent} of {limit} spent"
    return f"{spent} of {limit} spent, {held} held, and this call may use up to {rounded_text(demand.amount, unit)}"


def _figure(amount: int, demand: Demand) -> str:
    return f"{number_text(amount, demand.unit)}{demand.unit}"

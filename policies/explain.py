"""A trial in words: which rules a call falls under, what it would hold and why, and what would become of it. PURE."""

from typing import Any

from policies.bounds import token_bound
from policies.decision import Allow
from policies.demand import Demand
from policies.engine import Engine
from policies.facts import CallFacts
from policies.trial import Trial, window_text
from policies.wording import amount_text, instant_text

_MAX_MISSED = 30


def explain(engine: Engine, call: CallFacts, trial: Trial, now_ns: int) -> str:
    """The trial as a page of text."""
    lines = [*_call_lines(engine, call, now_ns), "", f"{_verdict(trial)}"]
    by_policy = {demand.policy: demand for demand in trial.demands}
    lines += ["", "Rules that it falls under, in their order:"] if trial.matched else ["", "It falls under no rule."]
    for bound in trial.matched:
        rule = bound.rule
        scope = f" for {bound.scope}" if bound.scope else ""
        marks = "".join([", shadow" if rule.shadow else "", f", {rule.enforce}"])
        lines.append(
            f"  {rule.policy}{scope}: {amount_text(bound.limit, rule.unit)} {window_text(rule)}{marks}  [{rule.place}]"
        )
        demand = by_policy.get(rule.policy)
        if demand is not None:
            until = f", empty again at {instant_text(demand.ends_at_ns)}" if demand.ends_at_ns else ""
            lines.append(f"    holds {amount_text(demand.amount, demand.unit)} in {demand.counter}{until}")
            if rule.assume_output_tokens is not None and demand.unit not in {"calls", "concurrent"}:
                rate = engine.rates.find(call.provider, call.request.model, call.operation, now_ns)
                tokens = token_bound(call, rate, rule.assume_output_tokens)
                lines.append(
                    f"    for {_count(tokens.input)} of input and {_count(tokens.output)} of output ({tokens.how})"
                )
            lines += _growing(trial, demand)
    if trial.missed:
        lines += ["", "Rules that it does not fall under:"]
        lines += [f"  {one.rule.policy}: {one.why}  [{one.rule.place}]" for one in trial.missed[:_MAX_MISSED]]
        if len(trial.missed) > _MAX_MISSED:
            lines.append(f"  and {len(trial.missed) - _MAX_MISSED} more")
    if trial.reasons:
        lines += ["", "Reasons on its record:", *(f"  {reason}" for reason in trial.reasons)]
    return "\n".join(lines)


def as_json(engine: Engine, call: CallFacts, trial: Trial, now_ns: int) -> dict[str, Any]:
    """The trial for programs."""
    decision = trial.decision
    tokens, _ = _bound(engine, call, now_ns)
    return {
        "decision": "allow" if isinstance(decision, Allow) else "deny",
        "status": None if isinstance(decision, Allow) else decision.status,
        "code": None if isinstance(decision, Allow) else decision.code,
        "message": None if isinstance(decision, Allow) else decision.message,
        "retry_after_s": None if isinstance(decision, Allow) else decision.retry_after_s,
        "downgrade": decision.downgrade if isinstance(decision, Allow) else "",
        "bound": {"input_tokens": tokens.input, "output_tokens": tokens.output, "how": tokens.how},
        "draws": [
            {
                "policy": one.policy,
                "counter": one.counter,
                "amount": amount_text(one.amount, one.unit),
                "limit": amount_text(one.limit, one.unit),
                "enforce": one.enforce,
            }
            for one in trial.demands
        ],
        "headers": trial.aftermath.headers,
        "alerts": [alert.text for alert in trial.aftermath.alerts],
        "missed": [{"policy": one.rule.policy, "why": one.why} for one in trial.missed],
        "reasons": list(trial.reasons),
    }


def _bound(engine: Engine, call: CallFacts, now_ns: int) -> tuple[Any, Any]:
    rate = engine.rates.find(call.provider, call.request.model, call.operation, now_ns)
    return token_bound(call, rate), rate


def _call_lines(engine: Engine, call: CallFacts, now_ns: int) -> list[str]:
    tokens, rate = _bound(engine, call, now_ns)
    model = call.request.model or "no model"
    caller = {"team": call.caller.team, "project": call.caller.project, "user": call.caller.user, "key": call.key}
    stated = ", ".join(f"{name} {value}" for name, value in caller.items() if value) or "nobody in particular"
    price = f"{rate.id}" if rate else "no price is known"
    return [
        f"{call.operation} of {model} at {call.provider}, by {stated}, at {instant_text(now_ns)}",
        f"It can use {_count(tokens.input)} of input and {_count(tokens.output)} of output ({tokens.how}); {price}.",
    ]


def _growing(trial: Trial, demand: Demand) -> list[str]:
    """What becomes of a hold that is no bound, should the answer go on beyond it."""
    decision = trial.decision
    if not isinstance(decision, Allow) or decision.growth is None:
        return []
    step = decision.growth.steps[trial.demands.index(demand)]
    if step is None:
        return []
    unit = "tokens of output" if step.counts == "tokens" else "bytes"
    more = f"    and {amount_text(step.amount, demand.unit)} more for every further {step.each} {unit} of a stream"
    return [f"{more}; without room it is {'cut' if step.cut else 'left to finish'}"]


def _count(tokens: int | None) -> str:
    return "any number of tokens" if tokens is None else f"{tokens} tokens"


def _verdict(trial: Trial) -> str:
    decision = trial.decision
    if isinstance(decision, Allow):
        asks = f", asking for {decision.downgrade} instead" if decision.downgrade else ""
        return f"It would be ADMITTED{asks}."
    retry = f", retry-after {decision.retry_after_s} s" if decision.retry_after_s is not None else ""
    return f"It would be REFUSED with {decision.status} {decision.code}{retry}: {decision.message}"

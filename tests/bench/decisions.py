"""What a decision costs: CPU time per call for nested budgets, among many rules and keys.

    .venv/bin/python tests/bench/decisions.py

Figures are CPU time of one core in one process. Compare them with each other within one run.
"""

import itertools
import time

from policies.compiled import Budget, CompiledPolicies, KeyRule, ModelRate, Threshold, Window
from policies.conditions import Condition, Match
from policies.engine import CallFacts, Engine
from policies.inputs import read_inputs
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

RULES = 50
KEYS = 1_000
NESTED = ((), ("team",), ("project",), ("key",), ("user",))
CALLS = 50_000
NOW_NS = 1_795_000_000 * 10**9
STEP_NS = 2_000_000
BODY = b'{"model":"MiniMax-M3","stream":true,"max_tokens":512,"messages":[%s]}' % b",".join(
    b'{"role":"user","content":"%s"}' % (b"All work and no play makes Jack a dull boy. " * 8) for _ in range(4)
)


def nested_policies(rules: int, *, thresholds: bool = True) -> CompiledPolicies:
    """Five nested budgets that every call falls under, and budgets of single teams that few do."""

    def budget(name: str, per: tuple[str, ...], match: Match) -> Budget:
        return Budget(
            name=name,
            policy=f"budget:{name}",
            match=match,
            per=per,
            unit="USD",
            limit=10**15,
            window=Window(shape="month", zone="Europe/Berlin"),
            thresholds=(Threshold(at=8000, acts=("alert",)),) if thresholds else (),
            assume_output_tokens=4096,
        )

    nested = [budget(f"nested-{'-'.join(per) or 'org'}", per, Match()) for per in NESTED]
    others = [
        budget(f"team-{number}", (), Match(conditions=(Condition(field="team", values=(f"other-{number}",)),)))
        for number in range(rules - len(NESTED))
    ]
    keys = {f"key-{number}": KeyRule(name=f"key-{number}") for number in range(KEYS)}
    rate = ModelRate(id="x", provider="minimax", models=("minimax-m3",), currency="USD", input_nano=3, output_nano=12)
    return CompiledPolicies(budgets=(*nested, *others), keys=keys, rates=(rate,))


def calls() -> list[CallFacts]:
    """One call of each key, each of a user, project and team of its own kind, with limits that differ."""
    return [
        CallFacts(
            provider="minimax",
            operation="chat",
            dialect="openai.chat",
            key=f"key-{number}",
            caller=Caller(key_id=f"k_{number}", team=f"t{number % 20}", project=f"p{number % 100}", user=f"u{number}"),
            request=RequestFacts(model="MiniMax-M3", streaming=True, max_output_tokens=512 + number),
            inputs=read_inputs(BODY, "openai.chat"),
        )
        for number in range(KEYS)
    ]


def measure(engine: Engine, asked: list[CallFacts]) -> float:
    """Microseconds of CPU for a decision."""
    now_ns = NOW_NS
    for call in asked:
        engine.decide(call, now_ns)
    started_ns = time.process_time_ns()
    for call in itertools.islice(itertools.cycle(asked), CALLS):
        now_ns += STEP_NS
        engine.decide(call, now_ns)
    return (time.process_time_ns() - started_ns) / CALLS / 1000


def main() -> None:
    """Print the table."""
    asked = calls()
    print(f"no policies                                {measure(Engine(), asked):6.2f} us")  # noqa: T201
    for rules in (len(NESTED), RULES, 1_000):
        cost = measure(Engine(nested_policies(rules)), asked)
        print(f"5 nested budgets among {rules:5} rules, {KEYS} keys {cost:6.2f} us")  # noqa: T201
    started_ns = time.process_time_ns()
    for _ in range(CALLS):
        read_inputs(BODY, "openai.chat")
    cost = (time.process_time_ns() - started_ns) / CALLS / 1000
    print(f"reading a body of {len(BODY)} bytes               {cost:6.2f} us")  # noqa: T201


if __name__ == "__main__":
    main()

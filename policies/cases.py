"""Cases beside a policy: a caller, a call, a time, what is spent, and the decision that is expected.

A file `NAME.test.yaml` holds cases for `NAME.yaml` beside it, or for the files that it names. Prices stand in the file
itself, so that a case means the same whatever models cost today.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from policies import values
from policies.answer_cases import AnswerSection, Asker, judged_by_nobody, try_answer
from policies.compiled import CompiledPolicies, ModelRate
from policies.decision import Allow, Deny
from policies.engine import Engine
from policies.facts import CallFacts, Inputs
from policies.load import TEST_SUFFIX, PolicyError, load_policies, read_source
from policies.rates import nano_per_million
from policies.route_trial import Place, RouteTrial, try_route
from policies.routes_compiled import Routing
from policies.schema import VERSION, Amount
from policies.schema_parts import PolicySection
from policies.trial import Trial, attempt
from policies.values import OneOf
from policies.wording import amount_text
from proxy.config.check import checked
from proxy.config.problems import Report
from proxy.config.section import parsed
from proxy.config.source import read_yaml
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller
from proxy.prices.values import instant_ns, rate

_MILLION = 1_000_000
_DEFAULT_NS = instant_ns("2026-11-24")

Rate = Annotated[Any, parsed(rate, str)]
Instant = Annotated[int | None, parsed(instant_ns, str)]
_Texts = Annotated[OneOf | None, parsed(values.one_of, str | list[str])]


class PriceSection(PolicySection):
    """What a model costs, for a million tokens."""

    provider: str = ""
    model: str = "*"
    currency: str = "USD"
    input: Rate = Decimal(0)
    output: Rate = Decimal(0)
    context_tokens: Annotated[int, Field(ge=1)] | None = None


class CallSection(PolicySection):
    """The call: what its request says, and who makes it."""

    provider: str = "minimax"
    model: str | None = None
    operation: str = "chat"
    dialect: str = "openai.chat"
    streaming: bool = False
    max_tokens: int | None = None
    choices: int | None = None
    body_bytes: Annotated[int, Field(ge=0)] | None = 1000
    """Length of the request's body, its text; null for one that nobody can read."""
    body: str | None = None
    """The request itself, for what targets change; one that says no more than the rest, where left out."""
    currency: str = "USD"
    billable: bool = True
    key: str = ""
    team: str = ""
    project: str = ""
    user: str = ""
    session: str = ""
    tags: dict[str, str] = {}


class ExpectSection(PolicySection):
    """What is expected; only what is stated is compared."""

    decision: Literal["allow", "deny"] | None = None
    status: int | None = None
    code: str | None = None
    message: _Texts = None
    """Texts that stand in the message."""
    reasons: _Texts = None
    """Texts each of which stands in one of the reasons."""
    draws: dict[str, Amount] | None = None
    """All rules that the call draws on, and how much."""
    header: _Texts = None
    """Texts that stand in `x-taximeter-budget`."""
    alerts: _Texts = None
    """Texts each of which stands in an alert."""
    downgrade: str | None = None
    route: str | None = None
    """The route that it takes; empty for none."""
    targets: list[str] | None = None
    """What is tried, in this order."""
    changes: dict[str, list[str]] | None = None
    """Target -> what it changes in the request."""
    outcome: str | None = None
    """What the answer came to: ok, or a class of errors."""
    rule: str | None = None
    """The rule that says so: `rule:NAME`, or a built-in one."""
    retry: bool | None = None
    """Whether the same target may be tried again."""
    fall_back: bool | None = None
    """Whether the next target may be tried."""
    retry_after: Annotated[int, Field(ge=0)] | None = None
    """Seconds."""


class CaseSection(PolicySection):
    """One case."""

    name: str = ""
    call: CallSection = CallSection()
    at: Instant = None
    """When; the first moment of 2026-11-24 UTC where left out."""
    spent: dict[str, Amount] = {}
    """What is spent, by rule and scope: `budget:search`, `budget:each|user=jo`."""
    answer: AnswerSection = AnswerSection()
    """What came back, where its outcome is expected."""
    expect: ExpectSection = ExpectSection()


class CaseFile(PolicySection):
    """A file of cases."""

    version: int | None = None
    policies: list[str] = []
    """Policy files, from the folder of this one; the one of the same name where left out."""
    prices: list[PriceSection] = []
    cases: list[CaseSection] = []


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one case went."""

    source: str
    line: int
    name: str
    differences: tuple[str, ...]
    """What is not as expected; empty for a case that holds."""


def run_file(file: Path, places: Mapping[str, Place] | None = None) -> list[Outcome]:
    """Run the cases of one file.

    Args:
        file: Of cases.
        places: Providers by name; one that is not among them is of the kind of its own name, and speaks everything.

    Raises:
        PolicyError: with every mistake of the file or of the policies that it is about.
    """
    report = Report(str(file))
    text = read_source(file, report)
    raw = None if text is None else read_yaml(text, report)
    cases = CaseFile() if raw is None else checked(raw, report, CaseFile)
    if raw is not None and cases.version != VERSION:
        report.add(("version",), f"needs version: {VERSION}")
    if raw is not None and not cases.cases:
        report.add(("cases",), "needs cases, a list")
    for index, case in enumerate(cases.cases):
        if case.expect == ExpectSection() and not report.has(("cases", index)):
            report.add(("cases", index), "expects nothing; a case that cannot fail says nothing")
    if report.problems:
        raise PolicyError(report.problems)
    own = file.with_name(file.name.removesuffix(TEST_SUFFIX) + ".yaml")
    files = [file.parent / name for name in cases.policies] or [own]
    policies = load_policies(files, rates=tuple(_rate(section) for section in cases.prices))
    return [
        _run(policies, case, places or {}, f"case {index + 1}", report.source, report.places["cases", index].line)
        for index, case in enumerate(cases.cases)
    ]


def call_facts(section: CallSection) -> CallFacts:
    """The facts of an imagined call."""
    size = section.body_bytes
    return CallFacts(
        provider=section.provider,
        operation=section.operation,
        dialect=section.dialect,
        currency=section.currency,
        billable=section.billable,
        key=section.key,
        body_bytes=size,
        inputs=None if size is None else Inputs(text_bytes=size),
        request=RequestFacts(
            model=section.model,
            streaming=section.streaming,
            max_output_tokens=section.max_tokens,
            choices=section.choices,
        ),
        caller=Caller(
            team=section.team,
            project=section.project,
            user=section.user,
            session=section.session,
            tags=section.tags,
        ),
    )


def _rate(section: PriceSection) -> ModelRate:
    return ModelRate(
        id=f"case:{section.provider}/{section.model}",
        provider=section.provider,
        models=(section.model.lower(),),
        currency=section.currency,
        input_nano=nano_per_million(section.input, _MILLION),
        output_nano=nano_per_million(section.output, _MILLION),
        context_tokens=section.context_tokens,
    )


def _run(
    policies: CompiledPolicies, case: CaseSection, places: Mapping[str, Place], number: str, source: str, line: int
) -> Outcome:
    spent = {name: amount.whole for name, amount in case.spent.items()}
    now_ns = _DEFAULT_NS if case.at is None else case.at
    engine, call = Engine(policies), call_facts(case.call)
    trial = attempt(engine, call, now_ns, spent)
    found = _differences(case.expect, trial)
    body = None if case.call.body is None else case.call.body.encode()
    ways = try_route(engine, call, trial.decision, places, now_ns, body)
    found += route_differences(case.expect, ways)
    found += _answer_differences(case, ways, policies.routing, places)
    return Outcome(source=source, line=line, name=case.name or number, differences=tuple(found))


def _answer_differences(
    case: CaseSection, ways: RouteTrial, routing: Routing, places: Mapping[str, Place]
) -> list[str]:
    """What of the outcome is not as expected: that of the first target of the route."""
    target = ways.targets[0].target if ways.targets else None
    provider = target.provider if target else case.call.provider
    place = places.get(provider) or Place(kind=provider)
    asker = Asker(
        provider=provider,
        kind=place.kind,
        model=(target.model if target else None) or case.call.model or "",
        dialect=case.call.dialect,
        streaming=case.call.streaming,
        judge=place.judge or judged_by_nobody,
    )
    tried = try_answer(case.answer, asker, routing, ways.route)
    got: dict[str, Any] = {
        "outcome": tried.outcome.outcome,
        "rule": tried.outcome.rule,
        "retry": tried.retries,
        "fall_back": tried.falls_back,
    }
    return [
        f"{key}: expected {wanted}, got {found}"
        for key, found in got.items()
        if (wanted := getattr(case.expect, key)) is not None and wanted != found
    ]


def route_differences(expect: ExpectSection, trial: RouteTrial) -> list[str]:
    """What of the route is not as expected."""
    got: dict[str, Any] = {
        "route": trial.route.name if trial.route else "",
        "targets": [one.target.id for one in trial.targets],
        "changes": {one.target.id: list(one.changes) for one in trial.targets if one.changes},
    }
    return [
        f"{key}: expected {wanted}, got {found}"
        for key, found in got.items()
        if (wanted := getattr(expect, key)) is not None and wanted != found
    ]


def _differences(expect: ExpectSection, trial: Trial) -> list[str]:
    decision = trial.decision
    got: dict[str, Any] = {"decision": "allow" if isinstance(decision, Allow) else "deny"}
    if isinstance(decision, Deny):
        got |= {"status": decision.status, "code": decision.code, "retry_after": decision.retry_after_s}
    else:
        got |= {"downgrade": decision.downgrade}
    found = []
    for key in ("decision", "status", "code", "retry_after", "downgrade"):
        wanted = getattr(expect, key)
        if wanted is not None and wanted != got.get(key):
            found.append(f"{key}: expected {wanted}, got {got.get(key)}{_why(key, decision)}")
    message = decision.message if isinstance(decision, Deny) else ""
    found += _missing("message", expect.message, [message])
    found += _missing("reasons", expect.reasons, trial.reasons)
    found += _missing("header", expect.header, list(trial.aftermath.headers.values()))
    found += _missing("alerts", expect.alerts, [alert.text for alert in trial.aftermath.alerts])
    if expect.draws is not None:
        drawn = {one.policy: amount_text(one.amount, one.unit) for one in trial.demands}
        wanted_draws = _texts(expect.draws)
        if drawn != wanted_draws:
            found.append(f"draws: expected {wanted_draws}, got {drawn}")
    return found


def _texts(draws: Mapping[str, values.Amount]) -> dict[str, str]:
    return {name: amount_text(amount.whole, amount.unit) for name, amount in draws.items()}


def _why(key: str, decision: Allow | Deny) -> str:
    return f" ({decision.message})" if key == "decision" and isinstance(decision, Deny) else ""


def _missing(key: str, wanted: OneOf | None, texts: Any) -> list[str]:
    given = () if wanted is None else wanted.values
    return [
        f"{key}: nothing has {text!r}; there is {list(texts)}" for text in given if all(text not in t for t in texts)
    ]

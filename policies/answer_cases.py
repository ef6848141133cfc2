"""Answers in cases: what came back, and the outcome that is expected of it. PURE."""

from typing import Annotated, Literal

import msgspec
from pydantic import Field

from policies.answer_text import answer_text
from policies.outcome_facts import Outcome, Phase, Seen, Trouble
from policies.outcomes import Classifier, Judge
from policies.retrying import may_fall_back, may_retry
from policies.routes_compiled import RetryRule, Route, Routing
from policies.schema_parts import PolicySection
from policies.values_routes import duration_ms
from proxy.config.section import parsed
from proxy.core.errors import REMEDIES, ErrorFacts, ErrorSeen, judge
from proxy.core.facts import AnswerHead, ResponseFacts
from proxy.dialects import DIALECTS

_NS_PER_MS = 1_000_000
_NO_RETRIES = RetryRule()

_Ms = Annotated[int | None, parsed(duration_ms, str | float)]


class AnswerSection(PolicySection):
    """What came back of the attempt at the first target."""

    status: Annotated[int, Field(ge=0, le=599)] = 200
    """0 is no answer at all."""
    headers: dict[str, str] = {}
    body: str = ""
    """The whole body; of a stream, its events."""
    way: Literal["connect", "request", "first_byte", "head", "idle", "answer"] | None = None
    """How far it had got when the way to the provider failed it."""
    timed_out: bool = False
    """Whether a limit ended it."""
    content_sent: bool = False
    """Whether the app has got any of it."""
    schema_asked: bool = False
    first_content: _Ms = None
    duration: _Ms = None


class AnswerTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer came to."""

    outcome: Outcome
    retries: bool
    """Whether the same target may be tried again."""
    falls_back: bool
    """Whether the next target may be tried."""


def judged_by_nobody(seen: ErrorSeen) -> ErrorFacts:
    """How an error is judged of a provider that nobody knows."""
    return judge(seen, "unknown", REMEDIES["unknown"])


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Whose answer it is."""

    provider: str
    kind: str
    model: str
    dialect: str
    streaming: bool
    judge: Judge = judged_by_nobody


def try_answer(section: AnswerSection, asker: Asker, routing: Routing, route: Route | None) -> AnswerTrial:
    """The outcome of an answer, and what may follow on it."""
    facts, saw_content = _read(section, asker)
    body = section.body
    if asker.streaming:
        events = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
        body = next((event for event in reversed(events) if event != "[DONE]"), "")
    phase: Phase | None = section.way
    seen = Seen(
        provider=asker.provider,
        model=asker.model,
        dialect=asker.dialect,
        status=section.status,
        headers={name.lower(): value for name, value in section.headers.items()},
        facts=facts,
        body=body.encode(),
        answer_text=answer_text(section.body.encode(), asker.dialect),
        saw_content=saw_content,
        content_sent=section.content_sent,
        trouble=None if phase is None else Trouble(phase=phase, timed_out=section.timed_out),
        stream_asked=asker.streaming,
        schema_asked=section.schema_asked,
        first_content_ns=_ns(section.first_content),
        duration_ns=_ns(section.duration),
    )
    outcome = Classifier(routing.outcomes).classify(seen, asker.kind, asker.judge)
    rule = route.retry if route is not None else _NO_RETRIES
    return AnswerTrial(outcome=outcome, retries=may_retry(outcome, rule), falls_back=may_fall_back(outcome, rule))


def _read(section: AnswerSection, asker: Asker) -> tuple[ResponseFacts, bool | None]:
    dialect = next((one for one in DIALECTS if one.name == asker.dialect), None)
    if dialect is None or not section.status:
        return ResponseFacts(), None
    usual = "text/event-stream" if asker.streaming and section.status < 300 else "application/json"
    named = {name.lower(): value for name, value in section.headers.items()}
    content_type = named.get("content-type", usual).partition(";")[0].strip().lower()
    reader = dialect.reader(AnswerHead(status=section.status, content_type=content_type))
    reader.feed(section.body.encode())
    facts = reader.finish(clean=section.way is None)
    return facts, reader.saw_content


def _ns(ms: int | None) -> int | None:
    return None if ms is None else ms * _NS_PER_MS

"""Outcomes: what an attempt came to, read from everything that came back.

Rules of this file: pure and total: whatever was seen has exactly one outcome. The operator's rules stand in their order
and the first one that holds decides; where none does, the built-in ones below do, in the order of `BUILT_IN`. What an
error of a provider means is the provider's own knowledge (`proxy.providers`): it comes in as a function and is not
repeated here. Until content has reached the app an error in a stream may be tried again like any other; from then on
nothing may.
"""

from collections.abc import Callable, Sequence

import msgspec

from policies.outcome_facts import Outcome, Phase, Seen, Word
from policies.outcome_rules import Look, holds, reads_answer_text, reads_bodies
from policies.routes_compiled import OutcomeRule
from proxy.core.error_body import error_seen
from proxy.core.errors import REMEDIES, ErrorClass, ErrorFacts, ErrorSeen, Remedy, judge
from proxy.core.facts import ResponseFacts
from proxy.core.wanted import json_value

Judge = Callable[[ErrorSeen], ErrorFacts]
"""`Provider.judge`: an error of a provider with its class and what it allows."""

_ANEW = Remedy("yes", "yes", "provider")
"""What a stream allows that ended too soon, but before the app saw anything of it."""
_DID_NOTHING: frozenset[ErrorClass] = frozenset(
    {
        "auth",
        "permission",
        "billing",
        "quota_exhausted",
        "rate_limit",
        "overloaded",
        "connect_error",
        "context_length",
        "model_not_found",
        "invalid_request",
        "request_too_large",
    }
)
"""Classes in which a provider refuses before it works; no provider bills for them."""
_NOBODY_KNOWS: frozenset[ErrorClass] = frozenset({"timeout", "content_filter"})
"""Classes in which work may have been done and billed even where the status is an error."""
_BREAKDOWNS = frozenset({"error", "failed", "abort", "network_error", "insufficient_system_resource"})
"""Finish reasons that speak of the provider; the others of the class `error` speak of what the model wrote."""
_ENDED_BY_US: frozenset[Word] = frozenset({"cancelled", "interrupted"})
"""By the app or the proxy, not by the provider."""
_PHASE_CLASSES: dict[Phase, ErrorClass] = {
    "connect": "connect_error",
    "request": "invalid_request",
    "first_byte": "connect_error",
    "head": "bad_upstream_body",
    "idle": "stream_truncated",
    "answer": "stream_truncated",
    "shutdown": "unknown",
    "budget": "unknown",
    "hedge": "unknown",
}
_PLAINLY_GOOD = Outcome(outcome="ok", rule="ok", billed=True)
_OURS: frozenset[Phase] = frozenset({"shutdown", "budget", "hedge"})
"""Phases in which we ended it ourselves."""
_HAD_THE_REQUEST: frozenset[Phase] = frozenset({"first_byte", "shutdown", "hedge"})
"""Phases whose end says nothing of what the provider had done by then."""
_LIMITED: frozenset[Phase] = frozenset({"first_byte", "idle", "answer"})
"""Phases in which a limit of ours makes it a `timeout`."""


class Verdict(msgspec.Struct, frozen=True):
    """What a built-in rule says."""

    rule: str
    word: Word
    error: ErrorFacts | None = None


class Classifier:
    """Gives attempts their outcomes, by the rules of the operator's and the built-in ones.

    Args:
        rules: The operator's, in their order.
    """

    def __init__(self, rules: Sequence[OutcomeRule] = ()) -> None:
        self.rules = tuple(rules)
        self.headers = frozenset(header.name for rule in self.rules for header in rule.headers)
        """Names, in lower case, of the response headers that rules look at."""
        self.reads_bodies = any(map(reads_bodies, self.rules))
        """Whether any rule looks at `Seen.body`."""
        self.reads_answer_text = any(map(reads_answer_text, self.rules))
        """Whether any rule looks at `Seen.answer_text`."""
        self.built_in_alone = not self.rules
        """Whether there is no rule of the operator's; then `plainly_good` may be asked first."""

    def classify(self, seen: Seen, kind: str, judge_error: Judge) -> Outcome:
        """The outcome of an attempt at a provider of that kind."""
        verdict = built_in(seen, kind, judge_error)
        if verdict.word in _ENDED_BY_US:
            return _outcome(seen, verdict)  # it says nothing of the provider
        if self.rules:
            look = Look(seen)
            rule = next((rule for rule in self.rules if holds(rule, look)), None)
            if rule is not None:
                return _ruled(seen, rule, verdict)
        return _outcome(seen, verdict)


def plainly_good(status: int, facts: ResponseFacts, *, saw_content: bool) -> Outcome | None:
    """What `classify` says without rules of an answer that is good at first sight; None where it has to look.

    Args:
        status: Of the answer, whose end has come; nothing went wrong on its way.
        facts: That its dialect read.
        saw_content: Whether any content came.
    """
    if facts.error is not None or facts.unread or facts.stream_end == "truncated" or not 200 <= status < 300:
        return None
    if not (saw_content or facts.usage.output_tokens):
        return None  # it may be empty, or unbilled
    return None if (facts.finish_reason or "").lower() in _BREAKDOWNS else _PLAINLY_GOOD


def built_in(seen: Seen, kind: str, judge_error: Judge) -> Verdict:
    """What the built-in rules say; the first that applies decides."""
    return next(verdict for rule in BUILT_IN if (verdict := rule(seen, kind, judge_error)) is not None)


def _stated(seen: Seen, kind: str, judge_error: Judge) -> Verdict | None:
    """The provider states an error: in the body of an error, in a good answer (`base_resp`), or in an event."""
    error = seen.facts.error
    if error is None and not seen.dialect and seen.body.lstrip()[:1] in {b"{", b"["}:
        error = error_seen(json_value(seen.body), seen.status)
    if error is None:
        return None
    facts = judge_error(msgspec.structs.replace(error, in_stream=seen.content_sent))
    return Verdict(f"{kind}:stated", "error", facts)


def _on_the_way(seen: Seen, kind: str, judge_error: Judge) -> Verdict | None:
    """The way to the provider failed."""
    del kind, judge_error
    trouble = seen.trouble
    if trouble is None:
        return None
    late = trouble.timed_out and trouble.phase in _LIMITED
    error_class: ErrorClass = "timeout" if late else _PHASE_CLASSES[trouble.phase]
    rule = "way:stalled" if late and trouble.phase == "idle" else f"way:{trouble.phase}"
    word: Word = "interrupted" if trouble.phase in _OURS else "broken" if seen.status else "error"
    if trouble.phase == "hedge":
        word = "cancelled"  # it would have gone on well enough: that it was broken off is held against nobody
    return Verdict(rule, word, _judged(seen, error_class, trouble.message))


def _client_left(seen: Seen, kind: str, judge_error: Judge) -> Verdict | None:
    del kind, judge_error
    if not seen.client_left:
        return None
    return Verdict("app:left", "cancelled", _judged(seen, "cancelled_by_client", "the app closed the connection"))


def _bare_status(seen: Seen, kind: str, judge_error: Judge) -> Verdict | None:
    """An error status whose body says nothing that could be read."""
    if seen.status < 400:
        return None
    return Verdict(f"{kind}:status", "error", judge_error(ErrorSeen(status=seen.status, in_stream=seen.content_sent)))


def _truncated(seen: Seen, kind: str, judge_error: Judge) -> Verdict | None:
    del kind, judge_error
    if seen.facts.stream_end != "truncated":
        return None
    message = "the stream ended without its end marker"
    return Verdict("stream:truncated", "broken", _judged(seen, "stream_truncated", message))


def _ended_in_error(seen: Seen, kind: str, judge_error: Judge) -> Verdict | None:
    """The provider cut the answer short, and says so by its finish reason alone."""
    del kind, judge_error
    reason = (seen.facts.finish_reason or "").lower()
    if reason not in _BREAKDOWNS:
        return None
    return Verdict("body:finish_reason", "error", _judged(seen, "server_error", f"the answer ended with {reason}"))


def _not_json(seen: Seen, kind: str, judge_error: Judge) -> Verdict | None:
    del kind, judge_error
    if seen.facts.unread != "not_json" or not 200 <= seen.status < 300:
        return None
    return Verdict("body:not_json", "error", _judged(seen, "bad_upstream_body", "the answer is not JSON"))


def _empty(seen: Seen, kind: str, judge_error: Judge) -> Verdict | None:
    del kind, judge_error
    if not seen.is_empty:
        return None
    return Verdict("body:empty", "error", _judged(seen, "bad_upstream_body", "the answer is empty"))


def _no_head(seen: Seen, kind: str, judge_error: Judge) -> Verdict | None:
    """Nothing came back and nobody says why."""
    del kind, judge_error
    if seen.status:
        return None
    return Verdict("way:nothing", "error", _judged(seen, "unknown", "there was no answer"))


def _good(seen: Seen, kind: str, judge_error: Judge) -> Verdict:
    del seen, kind, judge_error
    return Verdict("ok", "ok")


BUILT_IN: tuple[Callable[[Seen, str, Judge], Verdict | None], ...] = (
    _stated,
    _on_the_way,
    _client_left,
    _bare_status,
    _truncated,
    _not_json,
    _empty,
    _ended_in_error,
    _no_head,
    _good,
)
"""What the provider said counts first, then what became of the connection, then what can be seen of the answer."""


def _judged(seen: Seen, error_class: ErrorClass, message: str) -> ErrorFacts:
    remedy = _ANEW if error_class == "stream_truncated" else REMEDIES[error_class]
    return judge(ErrorSeen(status=seen.status, message=message, in_stream=seen.content_sent), error_class, remedy)


def _outcome(seen: Seen, verdict: Verdict) -> Outcome:
    error = verdict.error
    if error is None:
        return Outcome(outcome="ok", rule=verdict.rule, word=verdict.word, billed=_billed(seen, None))
    return Outcome(
        outcome=error.error_class,
        rule=verdict.rule,
        word=verdict.word,
        retry_same=error.retry_same,
        fallback=error.fallback,
        fault=error.fault,
        final=seen.content_sent or verdict.word in _ENDED_BY_US,
        billed=_billed(seen, error.error_class),
        error=error,
    )


def _ruled(seen: Seen, rule: OutcomeRule, verdict: Verdict) -> Outcome:
    """The outcome that a rule of the operator's gives, with the words of the error that the provider stated."""
    name = f"rule:{rule.name}"
    if rule.outcome == "ok":
        return Outcome(outcome="ok", rule=name, billed=_billed(seen, None))
    allowed = _judged(seen, rule.outcome, f"rule {rule.name}")
    said = verdict.error or allowed
    sent = seen.content_sent
    error = msgspec.structs.replace(
        said,
        error_class=rule.outcome,
        retry_same="no" if sent else rule.retry_same or allowed.retry_same,
        fallback="no" if sent else rule.fallback or allowed.fallback,
        fault=rule.fault or allowed.fault,
    )
    word: Word = "broken" if verdict.word == "broken" else "error"
    return _outcome(seen, Verdict(name, word, error))


def _billed(seen: Seen, error_class: ErrorClass | None) -> bool | None:
    usage = seen.facts.usage
    if usage.input_tokens or usage.output_tokens or usage.units or seen.facts.provider_cost or seen.saw_content:
        return True
    if seen.trouble is not None and seen.trouble.phase in _HAD_THE_REQUEST:
        return None
    if error_class in _DID_NOTHING or (seen.status >= 400 and error_class not in _NOBODY_KNOWS):
        return False
    return None

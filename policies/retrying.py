"""Retries and fallbacks: whether there is a next try, where, and after how long.

Rules of this file: pure; time and chance are arguments. A wait is drawn evenly from nothing up to a limit that doubles
(full jitter): that spreads the tries of many calls best. A provider that says when to come back is waited for, no less;
if it asks for more than the rule allows, the call goes elsewhere. Retries at a target draw on its budget, so that an
outage is answered with a few more calls, not with twice as many. Falling back draws on nothing: a call visits each
target of its plan once.

Source: RFC 9110, 10.2.3 (`retry-after`); `retry-after-ms` as the official SDKs read it.
"""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from policies.outcome_facts import Outcome
from policies.routes_compiled import ALL, RetryRule
from proxy.core.errors import Answer, ErrorClass

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
LONGEST_MS = 366 * 24 * 3600 * 1000
"""No wait that is stated is longer: what says so is nonsense, and as good as forever."""
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{1,12}))?")
_MOST_DOUBLINGS = 40

StopReason = Literal[
    "good", "not_allowed", "tries_used_up", "targets_used_up", "time_used_up", "retry_budget_used_up", "wait_too_long"
]
Where = Literal["same", "next", "nowhere"]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a call has got when one of its attempts has ended."""

    tries: int
    """In all, the last one included."""
    tries_here: int
    """At the target of the last one."""
    targets_left: int
    """Targets of the plan after this one that may be tried."""
    elapsed_ms: int
    """Since the call began."""
    retry_after_ms: int | None = None
    """What the provider asked for; None where it did not."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long the parts of one attempt may take, from its start (`idle_ms`: from byte to byte); None is no limit."""

    connect_ms: int | None
    first_byte_ms: int | None
    first_content_ms: int | None
    idle_ms: int | None
    attempt_ms: int | None


class NextStep(msgspec.Struct, frozen=True, kw_only=True):
    """What happens next."""

    where: Where
    wait_ms: int = 0
    reason: StopReason | None = None
    """Why there is no further try; None where there is one."""


def next_step(outcome: Outcome, rule: RetryRule, progress: Progress, random: float, budget: "RetryBudget") -> NextStep:
    """What follows an attempt. Takes a retry from the budget of its target when it says `same`.

    Args:
        outcome: What the attempt came to.
        rule: The route's.
        progress: Of the call.
        random: From 0 up to, not including, 1.
        budget: Of the target of the attempt, brought up to now by `RetryBudget.refill`.
    """
    if outcome.outcome == "ok":
        return NextStep(where="nowhere", reason="good")
    if progress.tries >= rule.tries_most:
        return NextStep(where="nowhere", reason="tries_used_up")
    if rule.call_ms is not None and progress.elapsed_ms >= rule.call_ms:
        return NextStep(where="nowhere", reason="time_used_up")
    again, elsewhere = may_retry(outcome, rule), may_fall_back(outcome, rule)
    why: StopReason = "not_allowed"
    if again:
        wait_ms = wait_before(rule, progress, random)
        why = _against_same(rule, progress, wait_ms) or ("good" if budget.take() else "retry_budget_used_up")
        if why == "good":
            return NextStep(where="same", wait_ms=wait_ms)
    if elsewhere and progress.targets_left:
        return NextStep(where="next")
    return NextStep(where="nowhere", reason="targets_used_up" if elsewhere and not again else why)


def may_retry(outcome: Outcome, rule: RetryRule) -> bool:
    """Whether the outcome allows another try at the same target."""
    return _allowed(outcome, outcome.retry_same, rule.retry_on, rule.retry_not_on)


def may_fall_back(outcome: Outcome, rule: RetryRule) -> bool:
    """Whether the outcome allows a try at another target; `policy` is for the rule to say, and no where it does not."""
    return _allowed(outcome, outcome.fallback, rule.fall_back_on, rule.fall_back_not_on)


def wait_before(rule: RetryRule, progress: Progress, random: float) -> int:
    """Milliseconds to wait before another try at the same target."""
    doublings = min(max(progress.tries_here - 1, 0), _MOST_DOUBLINGS)
    limit_ms = min(rule.backoff_first_ms << doublings, rule.backoff_most_ms)
    drawn_ms = int(limit_ms * min(max(random, 0.0), 1.0))
    # The jitter comes on top of what the provider asked for: all who were told the same come back at different times.
    return drawn_ms + (progress.retry_after_ms or 0)


def retry_after_ms(headers: Mapping[str, str], now_ns: int) -> int | None:
    """Milliseconds that an answer asks to wait from now on, rounded up; None where it says none that can be read.

    Args:
        headers: By names in lower case; `retry-after-ms` counts before `retry-after`.
        now_ns: Unix time in nanoseconds, for the date form.
    """
    stated = _number(headers.get("retry-after-ms", ""), 1)
    if stated is None:
        text = headers.get("retry-after", "").strip()
        stated = _number(text, 1000)
        if stated is None:
            stated = _until(text, now_ns)
    return None if stated is None else min(stated, LONGEST_MS)


def limits(rule: RetryRule, elapsed_ms: int) -> Limits:
    """The limits of an attempt that begins so long after its call did: none is later than the end of the call."""
    left_ms = None if rule.call_ms is None else max(0, rule.call_ms - elapsed_ms)
    attempt_ms = _least(rule.attempt_ms, left_ms)
    return Limits(
        connect_ms=_least(rule.connect_ms, attempt_ms),
        first_byte_ms=_least(rule.first_byte_ms, attempt_ms),
        first_content_ms=_least(rule.first_content_ms, attempt_ms),
        idle_ms=_least(rule.idle_ms, attempt_ms),
        attempt_ms=attempt_ms,
    )


def is_limited(rule: RetryRule) -> bool:
    """Whether a rule has any limit for `limits`."""
    stated = (rule.call_ms, rule.attempt_ms, rule.connect_ms, rule.first_byte_ms, rule.first_content_ms, rule.idle_ms)
    return any(limit is not None for limit in stated)


class RetryBudget:
    """The retries that a target may still get: a bucket that calls and time fill.

    Args:
        rule: The route's.
        now_ns: Of a clock that only goes forward; likewise below.
    """

    __slots__ = ("_at_ns", "_most", "_per_s", "_share", "held")

    def __init__(self, rule: RetryRule, now_ns: int) -> None:
        self._share = rule.budget_share
        self._per_s = rule.budget_per_s
        self._most = max(rule.budget_most, 1 if rule.budget_per_s or rule.budget_share else 0) * ALL
        self._at_ns = now_ns
        self.held = min(self._per_s * ALL, self._most)
        """Ten-thousandths of a retry."""

    def note_call(self) -> None:
        """A call's first try went to the target: it pays in its share."""
        if self.held < self._most:
            self.held = min(self.held + self._share, self._most)

    def refill(self, now_ns: int) -> None:
        """Time has passed."""
        gained = max(0, now_ns - self._at_ns) * self._per_s * ALL // NS_PER_S
        if gained > 0 or now_ns < self._at_ns:
            # A time too short to gain anything stays on the clock: frequent refills must not starve the bucket.
            self._at_ns = now_ns
        self.held = min(self.held + gained, self._most)

    def take(self) -> bool:
        """Take one retry; False, and nothing taken, where there is none."""
        if self.held < ALL:
            return False
        self.held -= ALL
        return True


def _allowed(outcome: Outcome, answer: Answer, more: tuple[ErrorClass, ...], less: tuple[ErrorClass, ...]) -> bool:
    if outcome.outcome == "ok" or outcome.final or outcome.outcome in less:
        return False
    return answer == "yes" or outcome.outcome in more


def _against_same(rule: RetryRule, progress: Progress, wait_ms: int) -> StopReason | None:
    """What speaks against another try at the same target; None where nothing does."""
    if progress.tries_here >= rule.tries_each:
        return "tries_used_up"
    if progress.retry_after_ms is not None and progress.retry_after_ms > rule.retry_after_most_ms:
        return "wait_too_long"
    if rule.call_ms is not None and progress.elapsed_ms + wait_ms >= rule.call_ms:
        return "time_used_up"
    return None


def _least(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _number(text: str, scale: int) -> int | None:
    found = _SECONDS.fullmatch(text.strip())
    if found is None:
        return None
    whole, fraction = int(found[1]) * scale, found[2] or "0"
    parts: int = 10 ** len(fraction)
    return whole - (-int(fraction) * scale // parts)


def _until(text: str, now_ns: int) -> int | None:
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text)
        at_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return max(0, -(-(int(at_s) * NS_PER_S - now_ns) // NS_PER_MS))

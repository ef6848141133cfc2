"""The compiled form of routes, outcome rules, retries, breakers and hedging: plain values, decoded by msgspec.

Like `policies.compiled`, it is made where the YAML is read and only decoded where calls are answered. Defaults are what
holds where nobody wrote anything. Rules keep the order of their files.
"""

from typing import Literal

import msgspec

from policies.conditions import Match
from proxy.core.errors import Answer, ErrorClass, Fault

OutcomeClass = Literal["ok"] | ErrorClass
"""What an attempt came to: `ok`, or one of the closed set of error classes."""
EndSeen = Literal["done_marker", "message_stop", "eof", "error", "truncated", "stalled", "broken", "empty"]
"""How an answer ended: as `StreamEnd`, and `stalled` (silence until a limit of ours), `broken` (the connection),
`empty` (a clean end before any content and without a reason for it)."""
Step = str | int
"""One step into a JSON value: the name of a member, or a place in an array (from 0)."""
ALL = 10_000
"""Shares are ten-thousandths, as in `policies.compiled.Threshold`."""


class TextMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A text is, contains or is like one of these; upper and lower case are one. A missing text is like nothing.

    Everything here is in lower case. Without any value the text need only be there.
    """

    values: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    negated: bool = False
    """Holds where the rest does not, and for a text that is missing, too."""


class HeaderMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A response header, by its name in lower case."""

    name: str
    text: TextMatch


class JsonMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A plain value in the answer's JSON as text: `1008`, `true`, `null`. Objects and arrays have no text."""

    path: tuple[Step, ...]
    """`policies.json_path.parse_path` makes it from `choices[0].message.content`."""
    text: TextMatch


class OutcomeRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Gives an attempt its outcome where everything that the rule states holds."""

    name: str
    place: str = ""
    """`policies/routes.yaml:12`, for people."""
    providers: TextMatch | None = None
    """Of the configured provider's name."""
    models: TextMatch | None = None
    """Of the model that was asked for."""
    statuses: tuple[tuple[int, int], ...] = ()
    """HTTP statuses, first and last of each range; 0 is no answer at all."""
    headers: tuple[HeaderMatch, ...] = ()
    json: tuple[JsonMatch, ...] = ()
    body: TextMatch | None = None
    """Of the text of a whole body or, in a stream, of the event that ended it."""
    finish_reasons: TextMatch | None = None
    stream_ends: tuple[EndSeen, ...] = ()
    schema_asked: bool | None = None
    """Whether the app asked for an answer by a JSON schema, or for any JSON."""
    stream_asked: bool | None = None
    answer_is_json: bool | None = None
    """Whether the text of the answer reads as JSON; where its text is not known, neither holds."""
    first_byte_over_ms: int | None = None
    first_content_over_ms: int | None = None
    duration_over_ms: int | None = None
    outcome: OutcomeClass
    retry_same: Answer | None = None
    """None leaves what the class allows; likewise `fallback` and `fault`."""
    fallback: Answer | None = None
    fault: Fault | None = None


class RetryRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a call is tried again, where, and how long it may take. Times in milliseconds; None is no limit."""

    tries_each: int = 2
    """At one target, the first one included."""
    tries_most: int = 4
    """In all."""
    retry_on: tuple[ErrorClass, ...] = ()
    """Tried again at the same target though the class alone does not allow it; never once content was sent."""
    retry_not_on: tuple[ErrorClass, ...] = ()
    fall_back_on: tuple[ErrorClass, ...] = ()
    """Falls back though the class leaves it to the policy, or does not allow it; never once content was sent."""
    fall_back_not_on: tuple[ErrorClass, ...] = ()
    backoff_first_ms: int = 200
    """The longest wait before the first retry; it doubles each time, and the wait is drawn from all of it."""
    backoff_most_ms: int = 5_000
    retry_after_most_ms: int = 10_000
    """A provider that asks for a longer wait is not waited for."""
    connect_ms: int | None = None
    first_byte_ms: int | None = None
    first_content_ms: int | None = None
    idle_ms: int | None = None
    attempt_ms: int | None = None
    call_ms: int | None = None
    """From the call's start to its end, waits included."""
    budget_share: int = 2_000
    """Retries for each ten thousand calls to a target."""
    budget_per_s: int = 1
    """Retries a second that are allowed beside the share, so that a quiet target can be retried at all."""
    budget_most: int = 100
    """Retries that can be saved up."""


class BreakerRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a target is left alone, and how it comes back. Times in milliseconds, shares in ten-thousandths."""

    failures_in_row: int = 5
    """0 does not look at rows of failures."""
    error_share: int = 5_000
    """Of the calls in the window; 0 does not look at shares."""
    calls_least: int = 20
    """In the window, before a share says anything."""
    window_ms: int = 30_000
    buckets: int = 10
    open_ms: int = 10_000
    """It doubles each time that the target fails again as soon as it is tried."""
    open_most_ms: int = 300_000
    probes: int = 1
    """Calls at a time that may try a target out (for each worker)."""
    probe_ms: int = 60_000
    """A probe that says nothing for so long is forgotten."""
    good_probes: int = 2
    """In a row, before the target is taken to be well."""
    slow_start_ms: int = 30_000
    """In which its share of calls grows from `slow_start_share` to all; 0 gives it everything at once."""
    slow_start_share: int = 1_000
    rate_limited_ms: int = 1_000
    """How long it is passed over after a rate limit that does not say."""
    rate_limited_most_ms: int = 60_000


class HedgeRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Start a second target beside a slow one; the first good answer wins."""

    after_ms: int
    """Without content for so long."""
    use_p95: bool = False
    """Wait for the target's own 95th percentile of the time to first content instead, once it is known."""
    most: int = 1
    """Further targets that may run at the same time."""


class RouteTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an attempt may go."""

    id: str
    """`minimax/MiniMax-M3#eu`: what breakers, budgets, records and people know it by."""
    provider: str
    """Name of the configured provider."""
    model: str | None = None
    """The model to ask for; None leaves the app's own."""
    key: str = ""
    """Name of the provider key to use; empty lets the provider's own rotation choose."""
    tier: int = 0
    """Targets of one tier share its calls by weight; the next tier is for when a tier is used up."""
    weight: int = 1
    strict: bool = False
    """Pass it over rather than send it a request that lacks something which changes the answer."""
    translate: str = ""
    """Dialect to translate to; empty for a target that speaks the app's own."""


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which calls go to which targets."""

    name: str
    place: str = ""
    match: Match = Match()
    targets: tuple[RouteTarget, ...]
    """Tiers in rising order."""
    sticky: str = "session"
    """Field (`session`, `user`, `tag:NAME` ...) whose calls keep to one target of a tier."""
    retry: RetryRule = RetryRule()
    breaker: BreakerRule = BreakerRule()
    hedge: HedgeRule | None = None
    hold_head: bool = True
    """Hold a stream back until its first content, so that it can still fall back."""
    hold_head_ms: int = 30_000
    hold_head_bytes: int = 64 * 1024
    continue_marked: bool = False
    """Go on with another target after content was sent, marked as such."""


class Routing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it."""

    routes: tuple[Route, ...] = ()
    outcomes: tuple[OutcomeRule, ...] = ()
    aliases: dict[str, str] = {}
    """Name an app may ask for (lower case) -> `provider/model`; resolved, none leads to another alias."""


NO_ROUTING = Routing()
"""What is in force where nobody wrote a route."""

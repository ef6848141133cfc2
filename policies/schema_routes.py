"""The sections of a policy file for routes and outcome rules."""

from typing import Annotated, Any, Literal

from pydantic import Field

from policies import values_routes as values
from policies.routes_compiled import EndSeen, OutcomeClass
from policies.schema_parts import Conditions, PolicySection
from proxy.config.section import parsed
from proxy.core.errors import ErrorClass, Fault

Ms = Annotated[int, parsed(values.duration_ms, str | float), Field(examples=["200ms", "5s"])]
Share = Annotated[int, parsed(values.share, str), Field(examples=["20%"])]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
AtLeastOne = Annotated[int, Field(ge=1, le=1_000_000)]
Texts = Annotated[Any, parsed(values.text_match, str | float | list[str] | dict[str, Any])]
YesNo = Annotated[Any, parsed(values.answer, bool | Literal["policy"])]
Targets = list[Annotated[Any, parsed(values.tier, str | list[Any] | dict[str, Any])]]


class RetrySection(PolicySection):
    """When a target is tried again."""

    each: AtLeastOne = 2
    """Tries at one target, the first one included."""
    most: AtLeastOne = 4
    """Tries in all."""
    on: list[ErrorClass] = []
    """Outcomes that are tried again though they do not allow it by themselves."""
    not_on: list[ErrorClass] = []
    """Outcomes that are not."""
    backoff_first: Ms = 200
    """The longest wait before the first retry; it doubles each time, and the wait is drawn from all of it."""
    backoff_most: Ms = 5_000
    """The longest wait at all."""
    retry_after_most: Ms = 10_000
    """A provider that asks for a longer wait is not waited for."""
    budget_share: Share = 2_000
    """Retries for so many of the calls to a target."""
    budget_per_second: Count = 1
    """Retries beside that share."""
    budget_most: Count = 100
    """Retries that can be saved up."""


class FallBackSection(PolicySection):
    """When the next target is tried."""

    on: list[ErrorClass] = []
    """Outcomes that fall back though they do not by themselves."""
    not_on: list[ErrorClass] = []
    """Outcomes that do not."""


class TimeoutSection(PolicySection):
    """How long the parts of a call may take."""

    connect: Ms | None = None
    """To a connection."""
    first_byte: Ms | None = None
    """To the first byte of the answer."""
    first_content: Ms | None = None
    """To the first content."""
    idle: Ms | None = None
    """From byte to byte."""
    attempt: Ms | None = None
    """One attempt."""
    call: Ms | None = None
    """The call, waits included."""


class BreakerSection(PolicySection):
    """When a target is left alone, and how it comes back."""

    failures_in_row: Count = 5
    """0 does not look at rows of failures."""
    error_share: Share = 5_000
    """Of the calls in the window; 0% does not look at shares."""
    calls_least: AtLeastOne = 20
    """In the window, before a share says anything."""
    window: Ms = 30_000
    """In which calls are counted."""
    open: Ms = 10_000
    """How long the target is left alone; it doubles each time that it fails again as soon as it is tried."""
    open_most: Ms = 300_000
    """The longest of that."""
    probes: AtLeastOne = 1
    """Calls at a time that may try it out."""
    good_probes: AtLeastOne = 2
    """In a row, before it is taken to be well."""
    slow_start: Annotated[int, parsed(values.duration_or_none_ms, str | float)] = 30_000
    """In which its share of calls grows to all; 0 gives it everything at once."""
    slow_start_share: Share = 1_000
    """The share that it begins with."""
    rate_limited: Ms = 1_000
    """How long it is passed over after a rate limit that does not say."""
    rate_limited_most: Ms = 60_000
    """The longest that it is passed over for one that does."""


class HedgeSection(PolicySection):
    """Start a second target beside a slow one; the first good answer wins, and what the other cost is booked."""

    after: Ms | None = None
    """Without content for so long."""
    p95: bool = False
    """Wait for the target's own 95th percentile of the time to first content instead, once it is known."""
    most: AtLeastOne = 1
    """Further targets that may run at the same time."""


class RouteOptions(PolicySection):
    """How the calls of a route are carried out."""

    sticky: str | None = None
    """Field whose calls keep to one target of a step: session (the default), user, `tag:NAME` ...; or none."""
    retry: RetrySection = RetrySection()
    """When a target is tried again."""
    fall_back: FallBackSection = FallBackSection()
    """When the next target is tried."""
    timeouts: TimeoutSection = TimeoutSection()
    """How long the parts of a call may take; the provider's own where left out."""
    breaker: BreakerSection = BreakerSection()
    """When a target is left alone."""
    hedge: HedgeSection | None = None
    """Start a second target beside a slow one."""
    hold_head: Annotated[Any, parsed(values.hold_head, bool | dict[Literal["time", "bytes"], Any])] = None
    """Hold a stream back until its first content, `{time: 30s, bytes: 64KiB}` at most; off sends bytes at once."""
    going_on: Annotated[Literal["marked", "never"] | None, Field(alias="continue")] = None
    """never: a stream that breaks off after its first content ends with an error event. marked, where another target
    goes on with it, is not there yet, and refused."""


class RouteSection(RouteOptions):
    """Which calls go to which targets."""

    match: Conditions = Conditions()
    """Which calls it is for; all, where left out."""
    targets: Targets = []
    """In the order in which they are tried; `{weights: {a: 95, b: 5}}` or a list is one step that several share."""
    note: str = ""
    """For people."""


class WhenSection(PolicySection):
    """What was seen of an attempt: all of these have to hold."""

    provider: Texts = None
    """Name of the configured provider."""
    model: Texts = None
    """The model that was asked for."""
    status: Annotated[Any, parsed(values.statuses, int | str | list[int | str])] = ()
    """HTTP status: 429, `500-599`, a list; 0 is no answer at all."""
    headers: Annotated[Any, parsed(values.headers, dict[str, Any])] = ()
    """Response headers by name."""
    json_: Annotated[Any, parsed(values.json_matches, dict[str, Any]), Field(alias="json")] = ()
    """Values of the answer's JSON by path: `base_resp.status_code: 1008`."""
    body: Texts = None
    """The text of a whole body or, in a stream, of the event that ended it."""
    finish_reason: Texts = None
    """Why the model stopped."""
    stream_end: list[EndSeen] = []
    """How the answer ended."""
    schema_asked: bool | None = None
    """Whether the app asked for JSON, or for an answer by a schema."""
    stream: bool | None = None
    """Whether the app asked for a stream."""
    answer_is_json: bool | None = None
    """Whether the text of the answer reads as JSON."""
    first_byte_over: Ms | None = None
    """The first byte took longer."""
    first_content_over: Ms | None = None
    """The first content took longer."""
    duration_over: Ms | None = None
    """It took longer in all."""


class OutcomeSection(PolicySection):
    """An outcome of your own."""

    when: WhenSection = WhenSection()
    """What was seen of the attempt."""
    is_: Annotated[Any, parsed(values.outcome_class, OutcomeClass), Field(alias="is")] = None
    """What it came to: ok, or a class of errors."""
    retry: YesNo = None
    """Whether the same target is tried again; as the class says, where left out."""
    fall_back: YesNo = None
    """Whether the next target is tried; as the class says, where left out."""
    fault: Fault | None = None
    """Whose it is; as the class says, where left out."""
    note: str = ""
    """For people."""

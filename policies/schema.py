"""The keys of a policy file, version 1. An unknown one is an error; the sections that are to come say so."""

from typing import Annotated, Any, Literal

from pydantic import Field

from policies import values
from policies.schema_parts import Conditions, PolicySection, Text, Zone
from policies.schema_routes import OutcomeSection, RouteOptions, RouteSection
from policies.steps import STEP_BYTES
from proxy.config.section import parsed

SCHEMA_FILE = "schema.json"
VERSION = 1
NOT_YET = {
    "fallbacks": "is no section: the targets of a route are its fallbacks, in their order",
    "guards": "guards are not there yet",
}
"""Sections that later versions have."""


def _not_yet(name: str) -> Any:
    def refuse(raw: Any) -> Any:
        if raw is None:
            return None
        raise ValueError(NOT_YET[name])

    return parsed(refuse)


Amount = Annotated[values.Amount, parsed(values.amount, str), Field(examples=["5 USD", "200k tokens", "1000 calls"])]
StandsIn = Annotated[values.Amount | str, parsed(values.stands_in, str), Field(examples=["deny", "allow", "0.50 USD"])]
Weekday = Annotated[int, parsed(values.weekday, str), Field(examples=["monday"])]
Fields = Annotated[tuple[str, ...], parsed(values.fields, Text), Field(examples=["user", ["team", "tag:env"]])]

StepBytes = Annotated[int, Field(ge=1024, le=2**40)]


class ExchangeRate(PolicySection):
    """What a foreign currency is worth, as somebody stated it on a day."""

    rate: Annotated[Any, parsed(values.exchange_rate, str), Field(examples=["0.14"])] = None
    """One unit of that currency in the budget's own."""
    as_of: Annotated[int | None, parsed(values.day_ns, str)] = None
    """The day that the rate is of."""


class Defaults(PolicySection):
    """What rules of this file say where they say nothing of their own."""

    zone: Zone = "UTC"
    """Whose clocks and calendar."""
    week_start: Weekday = 0
    """First day of a week."""
    enforce: Literal["hard", "soft", "observe"] = "hard"
    """hard: the worst case of a call has to fit. soft: refused once the limit is spent. observe: never refused."""
    refuse_with: Literal[429, 402] = 429
    """HTTP status of refusals."""
    unbounded: StandsIn = "deny"
    """What a call without a bound gets."""
    unknown_price: StandsIn = "deny"
    """What a call without a known price gets."""
    assume_max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """The output of calls that state no limit, for models whose own is not known."""
    unbounded_bytes: StepBytes = STEP_BYTES
    """How many bytes of a stream or a WebSocket an amount of `unbounded` or `unknown_price` stands for in a budget."""
    when_reached: Literal["cut", "finish"] | None = None
    """What a stream or WebSocket gets that has used its hold where a budget has no more: cut ends it, finish lets it go
    on. Left out: cut for `enforce: hard`, else finish."""
    other_currency: Literal["deny", "ignore"] = "deny"
    """What a call gets whose bill is in a currency that `rates` does not have."""
    when_ledger_unavailable: Literal["deny", "allow"] = "deny"
    """What calls get while nobody can be asked what is left."""
    routes: RouteOptions = RouteOptions()
    """What routes of this file say where they say nothing of their own."""


class RuleSection(PolicySection):
    """What budgets and limits have in common."""

    match: Conditions = Conditions()
    """Which calls it is for; all, where left out."""
    per: Fields = ()
    """Fields each value of which has a counter of its own."""
    limit: Amount | None = None
    """How much, with its unit."""
    named: dict[str, Amount] = {}
    """Limits of scopes that are named, as `search`, or `search/jo` where `per` has two fields."""
    mode: Literal["active", "shadow"] = "active"
    """shadow: decided and recorded, never acted on."""
    enforce: Literal["hard", "soft", "observe"] | None = None
    """See defaults."""
    refuse_with: Literal[429, 402] | None = None
    """See defaults."""
    unbounded: StandsIn | None = None
    """See defaults."""
    unknown_price: StandsIn | None = None
    """See defaults."""
    assume_max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """See defaults."""
    rates: dict[str, ExchangeRate] = {}
    """Currencies of bills that this rule counts in its own."""
    other_currency: Literal["deny", "ignore"] | None = None
    """See defaults."""
    when_ledger_unavailable: Literal["deny", "allow"] | None = None
    """See defaults."""
    note: str = ""
    """For people."""


class CarryOver(PolicySection):
    """What a window left may be spent in the next one."""

    most: Amount | None = None
    """At most so much."""
    since: Annotated[int | None, parsed(values.day_ns, str)] = None
    """Windows that began before leave nothing."""


class ThresholdSection(PolicySection):
    """What happens when so much of a budget is used, holds included."""

    at: Annotated[int | None, parsed(values.threshold, str), Field(examples=["80%"])] = None
    """Share of the limit."""
    do: list[Literal["alert", "header", "downgrade", "require_key", "deny"]] = []
    """Actions."""
    model: str | None = None
    """The model that `downgrade` asks for."""


class BudgetSection(RuleSection):
    """An amount for a window of time."""

    window: Annotated[Any, parsed(values.window, str), Field(examples=["month", "rolling 24h"])] = None
    """`hour`, `day`, `week`, `month`, `rolling 24h`, `total`."""
    zone: Zone | None = None
    """Whose calendar; see defaults."""
    week_start: Weekday | None = None
    """See defaults."""
    grace: Annotated[int | values.Amount, parsed(values.grace, str), Field(examples=["5%", "0.50 USD"])] | None = None
    """How far above the limit calls are still admitted."""
    carry_over: CarryOver | None = None
    """What a window left is added to the next."""
    thresholds: list[ThresholdSection] = []
    """What happens on the way to the limit."""
    unbounded_bytes: StepBytes | None = None
    """See defaults."""
    when_reached: Literal["cut", "finish"] | None = None
    """See defaults."""
    clamp: bool = False
    """True lowers the output limit of a call that would only fit with less, in place of refusing it."""
    clamp_min: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """No lower than that, in tokens; 256 where nothing is said."""


class QueueSection(PolicySection):
    """Calls that wait for a limit of a provider."""

    most: Annotated[int, Field(ge=1, le=100_000)] = 100
    """So many of them in each worker; further ones are refused."""
    wait: Annotated[int | None, parsed(values.every_ns, str | float), Field(examples=["5s"])] = None
    """For so long at the most; 5s where nothing is said."""


class LimitSection(RuleSection):
    """A pace: so much in so long; or, with `concurrent` as its unit, so many calls at the same time."""

    every: Annotated[int | None, parsed(values.every_ns, str | float), Field(examples=["minute", "10s"])] = None
    """The time in which the limit is there anew."""
    burst: Amount | None = None
    """How much of it may be used at once; all, where left out."""
    queue: QueueSection | None = None
    """Calls that would pass the limit wait for their turn, fairly by caller, in place of being refused."""


class KeySection(PolicySection):
    """Attributes of a virtual key; its secret lives elsewhere (`taximeter keys`)."""

    team: str = ""
    """What its calls are attributed to."""
    project: str = ""
    """What its calls are attributed to."""
    user: str = ""
    """What its calls are attributed to."""
    tags: dict[str, str] = {}
    """Tags of its calls."""
    providers: list[str] = []
    """Providers that it may call, globs allowed; all, where left out."""
    models: list[str] = []
    """Models that it may ask for; all, where left out."""
    operations: list[str] = []
    """Operations that it may use; all, where left out."""
    expires: Annotated[int | None, parsed(values.day_ns, str)] = None
    """From when on it is refused."""
    disabled: bool = False
    """True refuses its calls."""
    note: str = ""
    """For people."""


class PolicyFile(PolicySection):
    """Taximeter policies."""

    version: int | None = None
    """Version of this language: 1."""
    defaults: Defaults = Defaults()
    """What the rules of this file say where they say nothing."""
    budgets: dict[str, BudgetSection] = {}
    """Amounts for windows of time, by name."""
    limits: dict[str, LimitSection] = {}
    """Paces, by name."""
    keys: dict[str, KeySection] = {}
    """Attributes of virtual keys, by name."""
    routes: dict[str, RouteSection] = {}
    """Which calls go to which targets, by name; the first that is for a call counts."""
    outcomes: dict[str, OutcomeSection] = {}
    """What attempts came to, where the built-in rules do not say what is wanted; the first that holds counts."""
    aliases: dict[str, Annotated[str, Field(examples=["minimax/MiniMax-M3"])]] = {}
    """Model names of your own -> `provider/model`, or another alias."""
    fallbacks: Annotated[Any, _not_yet("fallbacks")] = None
    """The targets of a route are its fallbacks."""
    guards: Annotated[Any, _not_yet("guards")] = None
    """Not yet."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file, for editors."""
    schema = PolicyFile.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

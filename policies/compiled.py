"""What a worker holds of the policies: plain values, checked and resolved by `policies.compile`, decoded by msgspec.

The supervisor reads the YAML and imports the schema library and the price library; a worker gets the bytes of `to_json`
and imports none of them. Rules keep the order of their files: that is the order of demands, reasons and refusals.
"""

from decimal import Decimal
from typing import Literal

import msgspec

from policies.conditions import Match
from policies.demand import Enforce, Unavailable
from policies.keys import KeySecret, Mode
from policies.routes_compiled import NO_ROUTING, Routing
from policies.steps import STEP_BYTES
from proxy.core.price import Price

Shape = Literal["hour", "day", "week", "month", "rolling", "total"]
Act = Literal["alert", "header", "downgrade", "require_key", "deny"]

FORMAT = 1
"""Version of the compiled form; a worker refuses any other."""


class Window(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long a counter runs."""

    shape: Shape
    zone: str = "UTC"
    week_start: int = 0
    """Monday is 0."""
    length_ns: int = 0
    """`rolling` only."""
    buckets: int = 0
    """`rolling` only: into how many buckets the length is cut."""


class Threshold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens when so much is used."""

    at: int
    """Ten-thousandths of the limit of the scope: 8000 is 80 %. More than 10000 lies in the grace."""
    acts: tuple[Act, ...]
    model: str = ""
    """`downgrade`: the model to ask for instead."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What budgets and limits have in common: whom they count, in what, how much, how strictly."""

    name: str
    policy: str
    """`budget:NAME` or `limit:NAME`."""
    place: str = ""
    """`policies/teams.yaml:12`, for people."""
    match: Match = Match()
    per: tuple[str, ...] = ()
    """Fields (`team`, `user`, `tag:NAME` ...) each value of which has a counter of its own."""
    unit: str
    limit: int
    """As stated, in whole numbers of the unit's scale."""
    overrides: dict[str, int] = {}
    """Scope (`team=search`) -> limit of callers that are named."""
    enforce: Enforce = "hard"
    shadow: bool = False
    status: int = 429
    when_unavailable: Unavailable = "deny"
    unbounded: int | None = None
    """Held for a call that has no bound; None refuses it; 0 lets it pass."""
    assume_output_tokens: int | None = None
    """The output of a call that states no limit, for a model whose own is not known."""
    unknown_price: int | None = None
    """Nano-units of the currency held for a call without a price; None refuses it; 0 lets it pass."""
    exchange: dict[str, Decimal] = {}
    """Currency of a bill -> what one unit of it is in this rule's currency."""
    other_currency: Literal["deny", "ignore"] = "deny"
    """What becomes of a call whose bill is in a currency that `exchange` has not."""


class Budget(Rule, frozen=True, kw_only=True, omit_defaults=True):
    """An amount for a window of time."""

    window: Window
    grace: int = 0
    """Admitted above the limit before the refusals begin."""
    carry_most: int = 0
    """How much of what a window left is added to the next one."""
    carry_since_ns: int = 0
    """Windows that began before leave nothing."""
    thresholds: tuple[Threshold, ...] = ()
    clamp_min: int | None = None
    """Lower the output limit of a call that does not fit, but no lower than that; None refuses the call."""
    cuts: bool = True
    """Whether a call under way is ended when there is no room for what it uses beyond its hold; else it goes on."""
    step_bytes: int = STEP_BYTES
    """How many bytes of a stream an amount stands for that is held in place of a bound."""


class Limit(Rule, frozen=True, kw_only=True, omit_defaults=True):
    """A pace (`per_ns`), or a number of calls at the same time."""

    per_ns: int = 0
    """The time in which the limit refills; 0 where the unit is `concurrent`."""
    burst: int = 0
    """Capacity of the bucket; the limit where nothing is said."""
    queue_most: int = 0
    """So many calls wait for it in each worker; 0 refuses at once."""
    queue_wait_ns: int = 0
    """For so long at the most."""


class KeyRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Static attributes of a key by its name; its secret lives with the keys, never here."""

    name: str
    team: str = ""
    project: str = ""
    user: str = ""
    tags: dict[str, str] = {}
    providers: tuple[str, ...] = ()
    """Names or globs; none allows all. Likewise models and operations."""
    models: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    expires_at_ns: int | None = None
    disabled: bool = False
    revoked: bool = False
    """Ended for good by `taximeter keys revoke`; such a key is disabled, too."""


class ModelRate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The dearest that some models can cost at a provider, for holds. Money in nano-units for a million of each."""

    id: str
    """Price entry that it comes from."""
    provider: str
    """Configured provider name."""
    models: tuple[str, ...]
    """Names or globs, lower case."""
    currency: str
    input_nano: int = 0
    output_nano: int = 0
    units_nano: dict[str, int] = {}
    call_nano: int = 0
    """For each million calls, where calls themselves cost something."""
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    from_ns: int | None = None
    until_ns: int | None = None
    price: Price | None = None
    """The entry itself, so that what a call cost can be known where it ends (`proxy.core.pricing`)."""


class CompiledPolicies(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All rules in force. One value, replaced as a whole."""

    format: int = FORMAT
    generation: int = 0
    """Counts up with each load that changed something."""
    hash: str = ""
    """Of everything else in here: equal rules have equal hashes."""
    files: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()
    keys: dict[str, KeyRule] = {}
    key_mode: Mode = "passthrough"
    secrets: tuple[KeySecret, ...] = ()
    """Of the keys; hashes."""
    rates: tuple[ModelRate, ...] = ()
    routing: Routing = NO_ROUTING
    """Routes, outcome rules and aliases."""


NO_POLICIES = CompiledPolicies()
"""What is in force where nobody wrote a policy."""


def to_json(policies: CompiledPolicies) -> bytes:
    """The policies as bytes for a worker."""
    return msgspec.json.encode(policies)


def from_json(data: bytes) -> CompiledPolicies:
    """The policies from the bytes of `to_json`.

    Raises:
        msgspec.MsgspecError: when they are not of this version.
    """
    policies = msgspec.json.decode(data, type=CompiledPolicies)
    if policies.format != FORMAT:
        raise msgspec.ValidationError(f"compiled policies of format {policies.format}, not {FORMAT}")
    return policies

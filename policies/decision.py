"""What a decision is: allow with a plan and demands, or deny with a status and a sentence."""

import msgspec

from policies.demand import Demand
from policies.steps import Growth
from proxy.core.record import Draw, Hold


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where an attempt goes."""

    provider: str
    model: str | None = None
    """The model to ask for; None leaves the app's own."""


class Tell(msgspec.Struct, frozen=True):
    """A counter, and the amount used from which on there is something to tell: an alert, a header."""

    counter: str
    used: int


class Allow(msgspec.Struct, frozen=True, kw_only=True):
    """The call may go, to these targets in this order, once the ledger admits its demands."""

    plan: tuple[Target, ...]
    reasons: tuple[str, ...] = ()
    demands: tuple[Demand, ...] = ()
    draws: tuple[Draw, ...] = ()
    """The demands as records have them, one for each."""
    recorded: tuple[Draw, ...] = ()
    """Those of budgets: the others are over when the call is, and nobody keeps books of them."""
    tells: tuple[Tell, ...] = ()
    """Counters whose levels bring something, once the call is admitted (`policies.answers`)."""
    hold: Hold | None = None
    """The most that it can use, for its record; None where no rule asked."""
    growth: Growth | None = None
    """How its holds grow while it is under way; None where all of them are bounds."""
    downgrade: str = ""
    """The model, alias or `provider/model` that a threshold asks for instead (`policies.downgrade` acts on it)."""


class Deny(msgspec.Struct, frozen=True, kw_only=True):
    """The call may not go."""

    status: int
    """HTTP status of the refusal."""
    code: str
    """What refused it, machine-readable."""
    message: str
    """One sentence for the app's author: why, and what to do."""
    reasons: tuple[str, ...] = ()
    retry_after_s: int | None = None
    """When a retry may succeed; None where none will, or nobody knows."""
    headers: tuple[tuple[str, str], ...] = ()
    """Further header lines of the refusal: what a limit tells of itself."""


Decision = Allow | Deny

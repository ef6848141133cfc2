"""What an action of a threshold is: a name, the moment it acts at, and a pure function."""

from collections.abc import Callable
from typing import Literal

import msgspec

from policies.compiled import Budget, Threshold
from policies.facts import CallFacts

Moment = Literal["before", "after"]


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold that has been passed, and the call that finds it so."""

    budget: Budget
    scope: str
    """`team=search`; empty where the budget has one counter."""
    threshold: Threshold
    counter: str
    used: int
    """Spent and held, in whole numbers of the budget's unit."""
    stated: int
    """The limit as the policy states it."""
    call: CallFacts


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What an action wants."""

    header: tuple[str, str] | None = None
    """Lower-case name and value, to be added to the answer."""
    alert: str = ""
    """One sentence for whoever gets alerts; sent once for each counter and threshold."""
    model: str = ""
    """Ask for this model instead."""
    deny_status: int = 0
    """Refuse the call with this status; 0 lets it pass."""
    deny_code: str = ""
    message: str = ""
    """Why it is refused."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One action. It acts before a call is admitted, where it can change its way, or after, where it tells."""

    name: str
    moment: Moment
    act: Callable[[Passed], Effect | None]
    """Pure; None when there is nothing to do for this call."""


def used_percent(passed: Passed) -> int:
    """How much of the stated limit is used, in whole percent, rounded down."""
    return passed.used * 100 // passed.stated if passed.stated else 100

"""What calls of one kind fall under, made ready: each rule with its counter, for as long as the windows last."""

from collections.abc import Sequence

from policies.actions import ACTIONS
from policies.actions.base import Moment
from policies.compiled import Budget
from policies.counters import Counters, threshold_amount
from policies.decision import Tell
from policies.demand import Demand
from policies.match import Bound
from proxy.core.record import Draw

_MOMENTS = {action.name: action.moment for action in ACTIONS}


class Entry:
    """One rule: what a call draws on by it, but for the amount."""

    __slots__ = ("acts_from", "bound", "demand", "draw", "holds", "tells_from")

    def __init__(self, bound: Bound, demand: Demand) -> None:
        rule = bound.rule
        self.bound = bound
        self.demand = demand
        """Of nothing."""
        self.draw = Draw(counter=demand.counter, unit=demand.unit, held=0)
        self.holds = f"{'shadow:' if rule.shadow else ''}{rule.policy}:hold="
        """The reason of a hold, but for its amount."""
        self.acts_from = _first_threshold(bound, "before")
        """The amount used from which on a threshold may change what becomes of a call; None: none does."""
        self.tells_from = _first_threshold(bound, "after")


class Prepared:
    """The rules that calls of one kind fall under, in their order.

    Args:
        bounds: The rules.
        counters: Theirs.
        now_ns: An instant that it is to be good for.
    """

    __slots__ = ("acting", "entries", "since_ns", "tells", "until_ns")

    def __init__(self, bounds: Sequence[Bound], counters: Counters, now_ns: int) -> None:
        templates = [counters.template(bound, now_ns) for bound in bounds]
        self.entries = tuple(Entry(bound, one.demand) for bound, one in zip(bounds, templates, strict=True))
        self.since_ns = max((one.starts_ns for one in templates), default=0)
        turns_ns = [one.turns_ns for one in templates if one.turns_ns is not None]
        self.until_ns = min(turns_ns) if turns_ns else None
        self.acting = tuple(one for one in self.entries if one.acts_from is not None)
        self.tells = tuple(
            Tell(one.demand.counter, one.tells_from) for one in self.entries if one.tells_from is not None
        )

    def is_good_at(self, now_ns: int) -> bool:
        """Whether the windows are those of an instant."""
        return self.since_ns <= now_ns and (self.until_ns is None or now_ns < self.until_ns)


def _first_threshold(bound: Bound, moment: Moment) -> int | None:
    rule = bound.rule
    if not isinstance(rule, Budget):
        return None
    amounts = [
        threshold_amount(bound.limit, one.at)
        for one in rule.thresholds
        if any(_MOMENTS[name] == moment for name in one.acts)
    ]
    return min(amounts, default=None)

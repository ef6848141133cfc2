"""How budgets stand, for people: every counter of the present windows, with what is left of it and how long it lasts.

PURE. Forecasts are those of the alerts (`exporters.alerts.pace`), from what families spent lately by the store's rows.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from exporters.alerts.pace import Level, exhausted_at_ns, present_levels
from policies.compiled import Budget
from policies.counters import Counters, enforcement, threshold_amount
from policies.demand import Enforce
from policies.ledger.arithmetic import carried
from policies.ledger.books import Recorded, TopUp
from policies.match import Bound

_NO_RECORD = (0, 0)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One budget, for one scope, in its present window. Amounts are whole numbers of the unit's scale."""

    budget: str
    scope: str
    """`team=search`; empty where the budget has one counter, `*` where each scope has one and none has called."""
    counter: str
    unit: str
    window: str
    """`month`, `rolling` ..."""
    zone: str
    begins_ns: int
    """Unix time; 0 of a total."""
    ends_ns: int | None
    limit: int
    """Of the scope, as stated."""
    grace: int
    carry: int
    """What the window before left."""
    topped_up: int
    """Sum of the top-ups that count."""
    top_ups: tuple[TopUp, ...]
    spent: int
    """Booked."""
    held: int
    """On lease: held by calls under way, used and not booked yet, or free in the hand of a worker."""
    passed: tuple[int, ...]
    """Thresholds that are passed by what is spent and held, in ten-thousandths of the limit, rising."""
    enforce: Enforce
    shadow: bool
    exhausted_at_ns: int | None
    """When it will be spent at the pace of the last days; None where it lasts, or nobody can tell."""

    @property
    def allowed(self) -> int:
        """Everything that may be used in the window."""
        return self.limit + self.grace + self.carry + self.topped_up

    @property
    def remaining(self) -> int:
        """Neither spent nor held; negative when more is."""
        return self.allowed - self.spent - self.held


class Lately(msgspec.Struct, frozen=True, kw_only=True):
    """What families have spent in the last days."""

    spent: Mapping[str, int] = {}
    known_ns: int = 0
    """For how long it was looked at; 0 where nobody knows."""


def standings(
    budgets: Mapping[str, Budget],
    recorded: Sequence[Recorded],
    top_ups: Iterable[TopUp],
    now_ns: int,
    lately: Lately | None = None,
) -> list[Standing]:
    """Every budget in the order of the policies, its scopes in order.

    Args:
        budgets: Those in force, by `budget:NAME`.
        recorded: Counters as the books have them.
        top_ups: As the books have them.
        now_ns: Unix time.
        lately: For the forecasts; None: there are none.
    """
    by_name = {one.counter: (one.spent, one.leased) for one in recorded}
    added: dict[str, list[TopUp]] = {}
    for top_up in top_ups:
        added.setdefault(top_up.family, []).append(top_up)
    all_added = [one for each in added.values() for one in each]
    levels = {one.counter: one for one in present_levels(budgets, recorded, all_added, now_ns)}
    seen = {one.family for one in recorded} | added.keys()
    found = []
    for policy, budget in budgets.items():
        scopes = {family.partition("|")[2] for family in seen if family.partition("|")[0] == policy}
        scopes = {one for one in scopes if bool(one) == bool(budget.per)} | budget.overrides.keys()
        found += [
            _standing(budget, scope, by_name, added, now_ns, levels, lately or Lately())
            for scope in sorted(scopes) or ["*" if budget.per else ""]
        ]
    return found


def _standing(
    budget: Budget,
    scope: str,
    by_name: Mapping[str, tuple[int, int]],
    added: Mapping[str, list[TopUp]],
    now_ns: int,
    levels: Mapping[str, Level],
    lately: Lately,
) -> Standing:
    family = f"{budget.policy}|{scope}" if scope else budget.policy
    limit = budget.overrides.get(scope, budget.limit)
    demand = Counters().demand(Bound(budget, 0, family, scope, limit, 0), 0, now_ns)
    windows = [by_name.get(counter, _NO_RECORD) for counter in (*demand.also, demand.counter)]
    spent, held = sum(one[0] for one in windows), sum(one[1] for one in windows)
    counting = tuple(one for one in added.get(family, ()) if counts(one, demand.starts_at_ns, now_ns))
    carry = carried(demand.carry, sum(by_name.get(demand.carry.counter, _NO_RECORD))) if demand.carry else 0
    level = levels.get(demand.counter)
    used = lately.spent.get(family, 0)
    return Standing(
        budget=budget.name,
        scope=scope,
        counter=demand.counter,
        unit=budget.unit,
        window=budget.window.shape,
        zone=budget.window.zone,
        begins_ns=demand.starts_at_ns - len(demand.also) * demand.bucket_ns,
        ends_ns=demand.ends_at_ns,
        limit=limit,
        grace=budget.grace,
        carry=carry,
        topped_up=sum(one.amount for one in counting),
        top_ups=counting,
        spent=spent,
        held=held,
        passed=tuple(one.at for one in budget.thresholds if spent + held >= threshold_amount(limit, one.at)),
        enforce=enforcement(budget),
        shadow=budget.shadow,
        exhausted_at_ns=exhausted_at_ns(level, used, lately.known_ns, now_ns) if level is not None else None,
    )


def counts(top_up: TopUp, starts_at_ns: int, now_ns: int) -> bool:
    """Whether a top-up counts in the window that began at an instant."""
    if top_up.at_ns > now_ns:
        return False
    return top_up.at_ns >= starts_at_ns if top_up.until_ns is None else top_up.until_ns > now_ns

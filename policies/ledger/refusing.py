"""Why a call is not admitted: from what the books say of its wants to the refusal. PURE."""

from collections.abc import Sequence

from policies.demand import Demand, Refused
from policies.ledger.arithmetic import is_strict
from policies.ledger.books import Borrowed, Standing, Want
from policies.ledger.counter import LeasedCounter


def refusal(
    wants: Sequence[Want], counters: Sequence[LeasedCounter], borrowed: Borrowed
) -> tuple[Refused, bool] | None:
    """The first demand that does not fit, and whether it may when others give back; None when all do.

    Args:
        wants: What was asked for.
        counters: Of each want, with what the books have said of it.
        borrowed: What the books have said.
    """
    unmet: tuple[Want, LeasedCounter, Standing] | None = None
    for want, counter, standing in zip(wants, counters, borrowed.standings, strict=True):
        demand, strict = want.demand, is_strict(want.demand)
        if not strict and demand.enforce == "soft" and counter.spent_by_now >= counter.allowed:
            return refused_by(demand, counter, demand.ends_at_ns), False
        if not borrowed.granted and strict and (unmet is None or want.need > standing.room):
            unmet = want, counter, standing
            if want.need > standing.room:
                break
    if unmet is None:
        return None
    want, counter, standing = unmet
    may_change = want.need <= standing.room + standing.reclaimable
    return refused_by(want.demand, counter, standing.frees_at_ns), may_change


def refused_by(demand: Demand, counter: LeasedCounter, frees_at_ns: int | None) -> Refused:
    """The refusal of a demand, with the figures of its counter."""
    level = counter.level()
    return Refused(
        demand=demand,
        spent=level.spent,
        held=level.held,
        allowed=level.allowed,
        frees_at_ns=frees_at_ns,
    )

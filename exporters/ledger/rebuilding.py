"""Puts the ledger's counters back to what the store has of them, after they were lost or have drifted.

What is rebuilt is what may still be asked for: counters that the books have, and those of the budgets in force whose
window has not been over for long. The amounts include the segments that the store has; when the recorder of any machine
posts one of those later, it only shrinks the lease of its process. Segments that the store does not have yet and that
lie in this machine's journal are counted from there, at the prices of the recorder; those of another machine are waited
for.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from exporters.ledger.comparing import Ask, Line, Sums, store_sums
from policies.compiled import Budget
from policies.ledger.arithmetic import DAY_NS, KEPT_NS, family_of
from policies.ledger.books import Books, Page
from policies.windows import span_at

_LABEL = re.compile(r"(?P<second>[0-9-]+T[0-9:]+)(?:\.(?P<fraction>[0-9]+))?Z")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuilding would do."""

    lines: tuple[Line, ...]
    """Every counter that it would set, in order."""
    included: dict[str, int]
    """Journal -> last segment that the amounts include."""
    left: int
    """Counters of the books that began before the oldest rows that the store keeps: they stay as they are."""

    @property
    def changes(self) -> tuple[Line, ...]:
        """Counters that would change."""
        return tuple(line for line in self.lines if line.drift)


def plan(
    books: Books,
    ask: Ask,
    budgets: Mapping[str, Budget],
    *,
    now_ns: int,
    kept_days: int | None,
    pages: Sequence[Page] = (),
) -> Plan:
    """What is to be set. Raises BooksUnavailableError, and what `ask` raises.

    Args:
        books: The ledger's.
        ask: Asks the store.
        budgets: Those in force, by `budget:NAME`.
        now_ns: Unix time.
        kept_days: How long the store keeps calls; None: for ever.
        pages: What lies in the journal, read before this is called; the store may have it by now.
    """
    sums = with_pages(store_sums(ask, since_ns=0, now_ns=now_ns), pages)
    units = {one.counter: one.unit for page in pages for one in page.postings}
    oldest_ns = 0 if kept_days is None else now_ns - kept_days * DAY_NS
    recorded = {one.counter: one for one in books.recorded()}
    lines, left = [], 0
    for counter in sorted(recorded.keys() | sums.spent.keys()):
        known = recorded.get(counter)
        budget = budgets.get(family_of(counter).partition("|")[0])
        starts_ns = known.starts_at_ns if known is not None else _starts_ns(counter)
        if known is None and not _matters(budget, starts_ns, now_ns):
            continue
        if starts_ns < oldest_ns:
            left += known is not None
            continue
        unit = known.unit if known is not None and known.unit else units.get(counter, budget.unit if budget else "")
        spent = known.spent if known is not None else 0
        lines.append(Line(counter=counter, unit=unit, ledger=spent, store=sums.spent.get(counter, 0)))
    return Plan(lines=tuple(lines), included=sums.last, left=left)


def with_pages(sums: Sums, pages: Iterable[Page]) -> Sums:
    """The sums, and what the store does not have yet of these pages."""
    spent, last = dict(sums.spent), dict(sums.last)
    for page in pages:
        if page.segment <= sums.last.get(page.instance, 0):
            continue
        last[page.instance] = max(last.get(page.instance, 0), page.segment)
        for posting in page.postings:
            spent[posting.counter] = spent.get(posting.counter, 0) + posting.spent
    return Sums(spent, last)


def rebuild(books: Books, planned: Plan, *, now_ns: int, force: bool = False) -> tuple[str, ...]:
    """Do it. Raises BooksUnavailableError.

    Gives the processes of which segments are on the books that the store does not have; where there are any nothing was
    done, unless it is forced: then what those segments hold is no longer on the books.
    """
    included = dict(planned.included)
    if force:
        for one in books.lenders():
            included[one.instance] = max(included.get(one.instance, 0), one.posted_up_to)
    spent = {line.counter: line.store for line in planned.lines}
    return books.rebuild(spent, {line.counter: line.unit for line in planned.lines}, included, now_ns)


def _starts_ns(counter: str) -> int:
    """Start of the window that a counter's name says; 0 where it says none."""
    family = family_of(counter)
    found = _LABEL.fullmatch(counter[len(family) + 1 :]) if family != counter else None
    if found is None:
        return 0
    try:
        second = datetime.fromisoformat(f"{found['second']}+00:00")
    except ValueError:
        return 0
    return int(second.timestamp()) * 10**9 + int((found["fraction"] or "0").ljust(9, "0"))


def _matters(budget: Budget | None, starts_ns: int, now_ns: int) -> bool:
    if budget is None:
        return False
    ends_ns = span_at(budget.window, starts_ns).ends_ns
    return ends_ns is None or ends_ns > now_ns - KEPT_NS

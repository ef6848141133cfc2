"""The ledger against the store: what counters have spent by the books, and by the rows of calls.

Both take the same segments of the same journals, each at its own pace. So the store is asked for what it has of the
segments that are on the books, and a process whose last segment it does not have is told: until it has, its counters
cannot be judged.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from exporters.reports.question import Query
from policies.ledger.arithmetic import DAY_NS, KEPT_NS
from policies.ledger.books import Books, Recorded

Ask = Callable[[Query], list[tuple[Any, ...]]]
"""`exporters.reports.store.StoreReader.rows`."""

_TRIES = 5
_ALL_SEGMENTS = 2**32 - 1
_SUMS = """
SELECT counter, toString(journal) AS name, toString(sum(toInt128(amount))), max(segment),
    max(started_at) >= fromUnixTimestamp64Nano({old_ns:Int64})
FROM calls ARRAY JOIN mapKeys(draws) AS counter, mapValues(draws) AS amount
WHERE started_at >= fromUnixTimestamp64Nano({since_ns:Int64})
"""
_POSTED = """
AND segment <= transform(toString(journal), {names:Array(String)}, {upto:Array(UInt32)},
    if(started_at < fromUnixTimestamp64Nano({old_ns:Int64}), {all:UInt32}, toUInt32(0)))
"""
_GROUPED = "GROUP BY counter, name ORDER BY counter, name"
_LAST = """
SELECT toString(journal) AS name, max(segment) FROM calls
WHERE started_at >= fromUnixTimestamp64Nano({old_ns:Int64}) AND journal <> '' GROUP BY name
"""


class Sums(msgspec.Struct, frozen=True):
    """What rows of calls say."""

    spent: dict[str, int]
    """By counter."""
    last: dict[str, int]
    """Journal -> the last segment that is in the sums; of journals of the last forty days."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One counter by both."""

    counter: str
    unit: str
    ledger: int
    store: int

    @property
    def drift(self) -> int:
        """How much more the ledger has than the store."""
        return self.ledger - self.store


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All counters that could be compared."""

    lines: tuple[Line, ...]
    """In the order of their counters."""
    behind: tuple[str, ...]
    """Processes of which the books have segments that the store does not have yet."""
    left: int
    """Counters that began before the oldest rows that the store keeps."""

    @property
    def drifting(self) -> tuple[Line, ...]:
        """Those on which the two differ."""
        return tuple(line for line in self.lines if line.drift)

    @property
    def proven(self) -> tuple[Line, ...]:
        """Those on which they differ by more than what is under way: a store that is behind has too little for now."""
        return tuple(line for line in self.lines if line.drift < 0 or (line.drift and not self.behind))


def store_sums(ask: Ask, *, since_ns: int, now_ns: int, posted: Mapping[str, int] | None = None) -> Sums:
    """What the store has of calls since an instant. Raises what `ask` raises.

    Args:
        ask: Asks the store.
        since_ns: Unix time; of calls before it nothing counts.
        now_ns: Unix time.
        posted: Journal -> last segment that counts; of journals that are not named, rows of the last forty days do not
            count. None: every row counts.
    """
    sql, parameters = _SUMS, dict[str, object](since_ns=since_ns, old_ns=max(0, now_ns - KEPT_NS))
    if posted is not None:
        sql += _POSTED
        # An empty list would have no type.
        names = {**posted, "": 0}
        parameters |= {"names": list(names), "upto": list(names.values()), "all": _ALL_SEGMENTS}
    spent: dict[str, int] = {}
    last: dict[str, int] = {}
    for counter, name, amount, segment, is_recent in ask(Query(sql + _GROUPED, parameters)):
        spent[counter] = spent.get(counter, 0) + int(amount)
        if is_recent and name:
            last[name] = max(last.get(name, 0), int(segment))
    return Sums(spent, last)


def compare(
    books: Books, ask: Ask, *, now_ns: int, kept_days: int | None, wanted: Callable[[Recorded], bool] = lambda _: True
) -> Comparison:
    """Compare the two. Raises BooksUnavailableError, and what `ask` raises.

    Args:
        books: The ledger's.
        ask: Asks the store.
        now_ns: Unix time.
        kept_days: How long the store keeps calls; None: for ever.
        wanted: Which counters to compare.
    """
    books.glance("", -1)  # a reading alone does not notice that the books were lost
    recorded, posted = _together(books)
    oldest_ns = 0 if kept_days is None else now_ns - kept_days * DAY_NS
    chosen = [one for one in recorded if wanted(one)]
    known = [one for one in chosen if one.starts_at_ns >= oldest_ns]
    # First: what it has by now it has in the sums too.
    last: dict[str, int] = dict(ask(Query(_LAST, {"old_ns": max(0, now_ns - KEPT_NS)})))
    # A call that waited at the turn of a window began before it.
    since_ns = max(0, min((one.starts_at_ns for one in known), default=now_ns) - DAY_NS)
    sums = store_sums(ask, since_ns=since_ns, now_ns=now_ns, posted=posted)
    lines = [
        Line(counter=one.counter, unit=one.unit, ledger=one.spent, store=sums.spent.get(one.counter, 0))
        for one in known
    ]
    return Comparison(
        lines=tuple(lines),
        behind=tuple(name for name, segment in sorted(posted.items()) if segment > last.get(name, 0)),
        left=len(chosen) - len(known),
    )


def _together(books: Books) -> tuple[tuple[Recorded, ...], dict[str, int]]:
    """Counters and how far each journal is posted, with nothing posted in between."""
    before = _posted(books)
    for _ in range(_TRIES):
        recorded = books.recorded()
        after = _posted(books)
        if after == before:
            break
        before = after
    return recorded, before


def _posted(books: Books) -> dict[str, int]:
    return {one.instance: one.counted_up_to for one in books.lenders() if one.counted_up_to}

"""The books of one machine: a SQLite file that its workers, its recorder and the command line share.

Every step is one transaction. The file is in WAL mode: a power cut can cost the last leases, whose processes it has
ended as well. Postings are synced before the recorder moves on (`durable`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from policies.demand import Demand
from policies.ledger.arithmetic import (
    KEPT_NS,
    bucket_frees_at,
    carried,
    extra,
    family_of,
    is_strict,
    kept_until_ns,
    older_of,
    refilled,
    window_frees_at,
)
from policies.ledger.books import Borrowed, Glance, Page, Posting, Standing, Want
from policies.ledger.sqlite_file import step
from policies.ledger.sqlite_reading import SqliteReading


class _Found(msgspec.Struct):
    """A counter as a borrowing finds it."""

    room: int
    allowed: int
    at_ns: int = 0
    older: list[tuple[int, int]] = []
    """Spent and leased of the older buckets of a rolling window, oldest first."""


class SqliteBooks(SqliteReading):
    """The books in a file; made when it is not there. Thread-safe.

    Args:
        path: The file.
        durable: Whether a step is on the disk when it returns.

    Raises BooksUnavailableError when the file cannot be used.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        super().__init__(path, durable=durable)
        self._seen_version = -1
        self._own_steps = False
        """Whether this connection has changed anything since the last glance."""

    @step()
    def borrow(self, instance: str, wants: Sequence[Want], now_ns: int) -> Borrowed:
        """See Books."""
        at = self._tick(instance, now_ns)
        found = [self._find(want.demand, now_ns) for want in wants]
        needed: Counter[str] = Counter()
        for want in wants:
            needed[want.demand.counter] += want.need
        unmet = [
            is_strict(want.demand) and needed[want.demand.counter] > one.room
            for want, one in zip(wants, found, strict=True)
        ]
        granted = not any(unmet)
        standings = []
        for want, one, is_unmet in zip(wants, found, unmet, strict=True):
            lent = 0
            if granted and want.need:
                more = extra(want.demand, want.need, one.room) if needed[want.demand.counter] == want.need else 0
                lent = want.need + more
                self._lend(instance, want.demand, lent, more, one.room, at)
            if is_unmet:
                # So that a glance tells when there is room again.
                self._add_lease(instance, want.demand.counter, 0, at)
            standing = self._borrowed(instance, want, one, lent)
            standings.append(standing)
            if is_unmet and want.need <= one.room + standing.reclaimable:
                for counter in (want.demand.counter, *want.demand.also):
                    self.db.execute(
                        "UPDATE counters SET wanted = ?1, wanted_at = ?2, changed = ?2 WHERE counter = ?3",
                        (instance, at, counter),
                    )
        return Borrowed(granted, tuple(standings))

    @step()
    def cover(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """See Books."""
        at = self._tick(instance, now_ns)
        for counter, amount in amounts.items():
            self._create(counter, family_of(counter), "")
            self._add_lease(instance, counter, amount, at)

    @step()
    def give_back(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """See Books."""
        at = self._tick(instance, now_ns)
        for counter, amount in amounts.items():
            row = self.db.execute(
                "SELECT kind, coalesce((SELECT amount FROM leases WHERE counter = ?1 AND instance = ?2), 0) "
                "FROM counters WHERE counter = ?1",
                (counter, instance),
            ).fetchone()
            if row is None:
                continue
            kind, lease = row
            if kind == "rate":
                # The next refill cuts what is too much.
                self.db.execute("UPDATE counters SET level = level + ? WHERE counter = ?", (amount, counter))
                self._add_lease(instance, counter, -lease, at)
            else:
                self._add_lease(instance, counter, -min(amount, lease), at)

    @step()
    def leave(self, instance: str, counters: Sequence[str]) -> None:
        """See Books."""
        self._own_steps = True
        self.db.executemany(
            "DELETE FROM leases WHERE counter = ? AND instance = ? AND amount = 0",
            [(counter, instance) for counter in counters],
        )

    @step("BEGIN")
    def glance(self, instance: str, since: int) -> Glance:
        """See Books."""
        # Workers look often: a transaction that only reads waits for nobody and holds up nobody.
        version = self.db.execute("PRAGMA data_version").fetchone()[0]
        if since >= 0 and version == self._seen_version and not self._own_steps:
            return Glance(since, (), frozenset())
        self._seen_version, self._own_steps = version, False
        at = int(self.db.execute("SELECT steps FROM clock").fetchone()[0])
        if since < 0:
            return Glance(at, (), frozenset())
        rows = self.db.execute(
            "SELECT counter, amount, posted, spent, leased, allowed, kind, wanted, wanted_at FROM counters JOIN leases "
            "USING (counter) WHERE changed > ? AND instance = ?",
            (since, instance),
        ).fetchall()
        standings = tuple(
            Standing(
                counter=counter,
                lease=lease,
                posted=posted,
                spent=spent,
                leased=leased,
                allowed=allowed,
                room=allowed - spent - leased,
                reclaimable=leased - lease,
            )
            for counter, lease, posted, spent, leased, allowed, kind, *_ in rows
            if kind != "rate"
        )
        wanted = frozenset(row[0] for row in rows if row[7] != instance and row[8] > since)
        return Glance(at, standings, wanted, frozenset(row[0] for row in rows if row[6] == "rate"))

    @step()
    def post(self, pages: Sequence[Page], now_ns: int) -> int:
        """See Books."""
        new = 0
        for page in pages:
            at = self._tick(page.instance, now_ns)
            posted, included = self.db.execute(
                "SELECT posted, included FROM journals WHERE instance = ?", (page.instance,)
            ).fetchone()
            if page.segment <= posted:
                continue
            new += 1
            self.db.execute("UPDATE journals SET posted = ? WHERE instance = ?", (page.segment, page.instance))
            for posting in page.postings:
                self._post(page.instance, posting, at, spent=posting.spent if page.segment > included else 0)
        return new

    @step()
    def forget(self, instance: str) -> None:
        """See Books."""
        at = self._tick()
        rows = self.db.execute("SELECT counter, amount FROM leases WHERE instance = ?", (instance,)).fetchall()
        for counter, amount in rows:
            self._add_lease(instance, counter, -amount, at)
        self.db.execute("DELETE FROM leases WHERE instance = ?", (instance,))
        seen_ns = self.db.execute("SELECT coalesce(max(seen_ns), 0) FROM journals").fetchone()[0]
        self.db.execute("DELETE FROM journals WHERE seen_ns < ?", (seen_ns - KEPT_NS,))
        self.db.execute("DELETE FROM counters WHERE kept_until_ns < ? AND leased = 0", (seen_ns,))

    @step()
    def rebuild(
        self, spent: Mapping[str, int], units: Mapping[str, str], included: Mapping[str, int], now_ns: int
    ) -> tuple[str, ...]:
        """See Books."""
        at = self._tick()
        known = self.db.execute("SELECT instance, posted FROM journals ORDER BY instance").fetchall()
        ahead = tuple(instance for instance, posted in known if posted > included.get(instance, 0))
        if ahead:
            return ahead
        for counter, amount in spent.items():
            self._create(counter, family_of(counter), units.get(counter, ""))
            self.db.execute("UPDATE counters SET spent = ?, changed = ? WHERE counter = ?", (amount, at, counter))
        for instance, segment in included.items():
            self._tick(instance, now_ns)
            self.db.execute("UPDATE journals SET included = ? WHERE instance = ?", (segment, instance))
        return ()

    # inside a transaction

    def _tick(self, instance: str = "", now_ns: int = 0) -> int:
        """Number of this step; where it is one for a process, that was heard of."""
        self._own_steps = True
        if instance:
            self.db.execute(
                "INSERT INTO journals (instance, seen_ns) VALUES (?, ?) "
                "ON CONFLICT (instance) DO UPDATE SET seen_ns = max(seen_ns, excluded.seen_ns)",
                (instance, now_ns),
            )
        return int(self.db.execute("UPDATE clock SET steps = steps + 1 RETURNING steps").fetchone()[0])

    def _create(self, counter: str, family: str, unit: str) -> None:
        self.db.execute(
            "INSERT OR IGNORE INTO counters (counter, family, unit) VALUES (?, ?, ?)", (counter, family, unit)
        )

    def _find(self, demand: Demand, now_ns: int) -> _Found:
        """The counter of a demand; its row is there and up to date afterwards."""
        columns = "SELECT spent, leased, level, at_ns, newer, kept_until_ns FROM counters WHERE counter = ?"
        row = self.db.execute(columns, (demand.counter,)).fetchone()
        kept_ns = kept_until_ns(demand)
        if row is None or row[5] != kept_ns:
            self._create(demand.counter, demand.family, demand.unit)
            self.db.execute(
                "UPDATE counters SET unit = ?, kind = ?, starts_at_ns = ?, ends_at_ns = ?, kept_until_ns = ? "
                "WHERE counter = ?",
                (demand.unit, demand.kind, demand.starts_at_ns, demand.ends_at_ns, kept_ns, demand.counter),
            )
        if row is None:
            if before := older_of(demand):
                self._create(before, demand.family, demand.unit)
                self.db.execute(
                    "UPDATE counters SET newer = ?, kept_until_ns = coalesce(kept_until_ns, ?) WHERE counter = ?",
                    (demand.counter, kept_ns, before),
                )
            row = (0, 0, 0, 0, None, None)
            if demand.kind == "rate":
                self.db.execute("UPDATE counters SET kind = 'rate' WHERE counter = ?", (demand.counter,))
        spent, leased, level, at_ns, newer, _ = row
        if demand.kind == "rate":
            level, at_ns = refilled(level, at_ns, demand, now_ns, leased) if at_ns else (demand.limit, now_ns)
            self.db.execute(
                "UPDATE counters SET level = ?, at_ns = ?, allowed = ? WHERE counter = ?",
                (level, at_ns, demand.limit, demand.counter),
            )
            return _Found(level, demand.limit, at_ns)
        allowed = demand.limit + self._topped_up(demand, now_ns)
        if demand.carry is not None:
            allowed += carried(demand.carry, sum(self._used(demand.carry.counter)))
        self.db.execute("UPDATE counters SET allowed = ? WHERE counter = ?", (allowed, demand.counter))
        older = [self._used(counter) for counter in demand.also]
        room = allowed - spent - leased - sum(map(sum, older))
        return _Found(self._beside_newer(demand, room, newer), allowed, older=older)

    def _beside_newer(self, demand: Demand, room: int, newer: str | None) -> int:
        """The room of a counter that a newer one goes by as well (`Books`, invariant 5)."""
        while newer is not None:
            row = self.db.execute(
                "SELECT allowed, spent, leased, newer FROM counters WHERE counter = ?", (newer,)
            ).fetchone()
            if row is None:
                break
            allowed, spent, leased, following = row
            # What is used in a later bucket of a rolling window is used in every window that holds both.
            room = room - spent - leased if demand.bucket_ns else min(room, max(0, allowed - spent - leased))
            newer = following if demand.bucket_ns else None
        return room

    def _used(self, counter: str) -> tuple[int, int]:
        """Spent and leased."""
        row = self.db.execute("SELECT spent, leased FROM counters WHERE counter = ?", (counter,)).fetchone()
        return (row[0], row[1]) if row is not None else (0, 0)

    def _topped_up(self, demand: Demand, now_ns: int) -> int:
        if not demand.top_ups:
            return 0
        row = self.db.execute(
            "SELECT coalesce(sum(amount), 0) FROM top_ups WHERE family = ?1 AND at_ns <= ?2 "
            "AND iif(until_ns IS NULL, at_ns >= ?3, until_ns > ?2)",
            (demand.family, now_ns, demand.starts_at_ns),
        ).fetchone()
        return int(row[0])

    def _lend(self, instance: str, demand: Demand, lent: int, more: int, room: int, at: int) -> None:
        if demand.kind != "rate":
            self._add_lease(instance, demand.counter, lent, at)
            return
        # A bucket that is only observed gives what it does not have, and is none the worse for it.
        if room >= lent:
            self.db.execute("UPDATE counters SET level = level - ? WHERE counter = ?", (lent, demand.counter))
        row = self.db.execute(
            "SELECT amount FROM leases WHERE counter = ? AND instance = ?", (demand.counter, instance)
        ).fetchone()
        # What it had before is used now: only what goes beyond the need may be unused.
        self._add_lease(instance, demand.counter, more - (row[0] if row is not None else 0), at)

    def _add_lease(self, instance: str, counter: str, amount: int, at: int) -> None:
        self.db.execute(
            "INSERT INTO leases (counter, instance, amount) VALUES (?, ?, ?) "
            "ON CONFLICT (counter, instance) DO UPDATE SET amount = amount + excluded.amount",
            (counter, instance, amount),
        )
        self.db.execute("UPDATE counters SET leased = leased + ?, changed = ? WHERE counter = ?", (amount, at, counter))

    def _post(self, instance: str, posting: Posting, at: int, *, spent: int) -> None:
        self._create(posting.counter, family_of(posting.counter), posting.unit)
        row = self.db.execute(
            "SELECT amount FROM leases WHERE counter = ? AND instance = ?", (posting.counter, instance)
        ).fetchone()
        # What was used beyond the lease was never on it.
        taken_off = min(posting.set_aside, row[0]) if row is not None else 0
        self.db.execute(
            "UPDATE counters SET spent = spent + ?, leased = leased - ?, changed = ? WHERE counter = ?",
            (spent, taken_off, at, posting.counter),
        )
        self.db.execute(
            "UPDATE leases SET amount = amount - ?1, posted = posted + ?2 WHERE counter = ?3 AND instance = ?4",
            (taken_off, posting.set_aside, posting.counter, instance),
        )

    def _borrowed(self, instance: str, want: Want, found: _Found, lent: int) -> Standing:
        """How a counter stands after a borrowing."""
        demand = want.demand
        spent, leased, level, lease, posted = self.db.execute(
            "SELECT spent, leased, level, coalesce(amount, 0), coalesce(posted, 0) FROM counters LEFT JOIN leases "
            "ON leases.counter = counters.counter AND instance = ?2 WHERE counters.counter = ?1",
            (demand.counter, instance),
        ).fetchone()
        marks = ",".join("?" * len(demand.also))
        own_older = (
            self.db.execute(
                f"SELECT coalesce(sum(amount), 0) FROM leases WHERE instance = ? AND counter IN ({marks})",  # noqa: S608
                (instance, *demand.also),
            ).fetchone()[0]
            if demand.also
            else 0
        )
        older_spent, older_leased = sum(one[0] for one in found.older), sum(one[1] for one in found.older)
        is_bucket, missing = demand.kind == "rate", want.need - found.room
        if missing <= 0:
            frees_at_ns = None
        elif is_bucket:
            frees_at_ns = bucket_frees_at(demand, want.need, found.room, found.at_ns)
        else:
            frees_at_ns = window_frees_at(demand, missing, [sum(one) for one in found.older])
        return Standing(
            counter=demand.counter,
            lease=lent if is_bucket else lease,
            posted=posted,
            spent=demand.limit - level - leased + lease if is_bucket else spent,
            leased=leased,
            allowed=found.allowed,
            room=found.room - lent,
            reclaimable=leased + older_leased - lease - own_older,
            older_spent=older_spent,
            older_leased=older_leased,
            frees_at_ns=frees_at_ns,
        )

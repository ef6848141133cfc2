"""The books of one machine: a SQLite file that its workers, its recorder and the command line share.

Every step is one transaction. The file is in WAL mode: a power cut can cost the last leases, whose processes it has
ended as well. Postings are synced before the recorder moves on (`durable`).
"""

import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from policies.demand import Demand
from policies.ledger.arithmetic import BOUNDLESS, bucket_frees_at, carried, extra, refilled, window_frees_at
from policies.ledger.books import (
    BooksUnavailableError,
    Borrowed,
    Glance,
    Posting,
    Recorded,
    Standing,
    TopUp,
    Want,
)

_VERSION = 1
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TABLES = """
CREATE TABLE IF NOT EXISTS counters (
    counter TEXT PRIMARY KEY, family TEXT NOT NULL, unit TEXT NOT NULL, ends_at_ns INTEGER,
    spent INTEGER NOT NULL DEFAULT 0, allowed INTEGER NOT NULL DEFAULT 0,
    level INTEGER NOT NULL DEFAULT 0, at_ns INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS counters_by_family ON counters (family);
CREATE TABLE IF NOT EXISTS leases (
    counter TEXT NOT NULL, instance TEXT NOT NULL, amount INTEGER NOT NULL, posted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (counter, instance)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS leases_by_instance ON leases (instance);
CREATE TABLE IF NOT EXISTS wanted (counter TEXT PRIMARY KEY, instance TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY, at_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS top_ups (
    family TEXT NOT NULL, amount INTEGER NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL, at_ns INTEGER NOT NULL,
    until_ns INTEGER
);
CREATE INDEX IF NOT EXISTS top_ups_by_family ON top_ups (family);
"""
_BUSY_S = 5.0

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="SqliteBooks")


def _atomic(step: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """One transaction; what SQLite says becomes a BooksUnavailableError."""

    @wraps(step)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with self.transaction():
                return step(self, *args, **kwargs)
        except sqlite3.Error as error:
            raise BooksUnavailableError(f"the ledger {self.path} does not answer: {error}") from error

    return run


class SqliteBooks:
    """The books in a file; made when it is not there. Thread-safe.

    Args:
        path: The file.
        durable: Whether a step is on the disk when it returns.

    Raises BooksUnavailableError when the file cannot be used.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            with self.transaction():
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise BooksUnavailableError(f"the ledger {path} cannot be used: {error}") from error

    @contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """One atomic step of this process among those of all others."""
        with self._lock:
            self._db.execute(begin)
            try:
                yield
            except BaseException:  # whatever it was, no half of it may stay
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @_atomic
    def borrow(self, instance: str, wants: Sequence[Want], now_ns: int) -> Borrowed:
        """See Books."""
        rooms = [self._room(want.demand, now_ns) for want in wants]
        unmet = [want.need > room for want, room in zip(wants, rooms, strict=True)]
        granted = not any(unmet)
        standings = []
        for want, room, is_unmet in zip(wants, rooms, unmet, strict=True):
            demand = want.demand
            lent = want.need + extra(demand, want.need, room) if granted else 0
            if lent:
                self._lend(instance, demand, lent)
            frees_at_ns = self._frees_at(want, room) if is_unmet else None
            standing = self._standing(instance, demand.counter, room - lent, frees_at_ns)
            standings.append(msgspec.structs.replace(standing, lease=lent) if demand.kind == "rate" else standing)
            if is_unmet:
                for counter in (demand.counter, *demand.also):
                    self._db.execute("INSERT OR REPLACE INTO wanted VALUES (?, ?)", (counter, instance))
            elif granted and want.need:
                self._db.execute("DELETE FROM wanted WHERE counter = ?", (demand.counter,))
        return Borrowed(granted, tuple(standings))

    @_atomic
    def give_back(self, instance: str, amounts: Mapping[str, int], now_ns: int) -> None:
        """See Books."""
        del now_ns
        for counter, amount in amounts.items():
            self._db.execute(
                "UPDATE leases SET amount = amount - ? WHERE counter = ? AND instance = ?", (amount, counter, instance)
            )
            # Only a bucket has a level; the next refill cuts what is too much.
            self._db.execute("UPDATE counters SET level = level + ? WHERE counter = ? AND at_ns > 0", (amount, counter))

    def glance(self, instance: str) -> Glance:
        """See Books."""
        try:
            # Workers look often: a transaction that only reads waits for nobody and holds up nobody.
            with self.transaction("BEGIN"):
                return self._glance(instance)
        except sqlite3.Error as error:
            raise BooksUnavailableError(f"the ledger {self.path} does not answer: {error}") from error

    def _glance(self, instance: str) -> Glance:
        mine = self._db.execute("SELECT counter FROM leases WHERE instance = ?", (instance,)).fetchall()
        wanted = self._db.execute(
            "SELECT counter FROM wanted JOIN leases USING (counter) WHERE leases.instance = ? AND wanted.instance <> ?",
            (instance, instance),
        ).fetchall()
        return Glance(
            tuple(self._standing(instance, counter, None, None) for (counter,) in mine),
            frozenset(counter for (counter,) in wanted),
        )

    @_atomic
    def post(self, token: str, postings: Iterable[Posting], now_ns: int) -> bool:
        """See Books."""
        if self._db.execute("INSERT OR IGNORE INTO tokens VALUES (?, ?)", (token, now_ns)).rowcount == 0:
            return False
        for posting in postings:
            self._db.execute(
                "INSERT INTO counters (counter, family, unit, spent) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (counter) DO UPDATE SET spent = spent + excluded.spent",
                (posting.counter, family_of(posting.counter), posting.unit, posting.spent),
            )
            self._db.execute(
                "UPDATE leases SET amount = amount - ?1, posted = posted + ?1 WHERE counter = ?2 AND instance = ?3",
                (posting.set_aside, posting.counter, posting.instance),
            )
        return True

    @_atomic
    def forget(self, instance: str) -> None:
        """See Books."""
        self._db.execute("DELETE FROM leases WHERE instance = ?", (instance,))
        self._db.execute("DELETE FROM wanted WHERE instance = ?", (instance,))

    @_atomic
    def recorded(self, family: str = "") -> tuple[Recorded, ...]:
        """See Books."""
        rows = self._db.execute(
            "SELECT counter, family, unit, spent, "
            "(SELECT coalesce(sum(amount), 0) FROM leases WHERE leases.counter = counters.counter), ends_at_ns "
            "FROM counters WHERE at_ns = 0 AND (?1 = '' OR family = ?1) ORDER BY counter",
            (family,),
        ).fetchall()
        return tuple(
            Recorded(counter=counter, family=of, unit=unit, spent=spent, leased=leased, ends_at_ns=ends_at_ns)
            for counter, of, unit, spent, leased, ends_at_ns in rows
        )

    @_atomic
    def correct(self, spent: Mapping[str, int], units: Mapping[str, str], now_ns: int) -> None:
        """See Books."""
        del now_ns
        for counter, amount in spent.items():
            self._db.execute(
                "INSERT INTO counters (counter, family, unit, spent) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (counter) DO UPDATE SET spent = excluded.spent",
                (counter, family_of(counter), units[counter], amount),
            )

    @_atomic
    def top_up(self, top_up: TopUp) -> None:
        """See Books."""
        self._db.execute(
            "INSERT INTO top_ups VALUES (?, ?, ?, ?, ?, ?)",
            (top_up.family, top_up.amount, top_up.reason, top_up.by, top_up.at_ns, top_up.until_ns),
        )

    @_atomic
    def top_ups(self, family: str = "") -> tuple[TopUp, ...]:
        """See Books."""
        rows = self._db.execute(
            "SELECT family, amount, reason, by, at_ns, until_ns FROM top_ups "
            "WHERE ?1 = '' OR family = ?1 ORDER BY at_ns",
            (family,),
        ).fetchall()
        return tuple(
            TopUp(family=of, amount=amount, reason=reason, by=by, at_ns=at_ns, until_ns=until_ns)
            for of, amount, reason, by, at_ns, until_ns in rows
        )

    # inside a transaction

    def _room(self, demand: Demand, now_ns: int) -> int:
        """What can be borrowed of a counter now; its row is there and up to date afterwards."""
        row = self._db.execute("SELECT level, at_ns FROM counters WHERE counter = ?", (demand.counter,)).fetchone()
        if row is None:
            self._db.execute(
                "INSERT INTO counters (counter, family, unit, ends_at_ns) VALUES (?, ?, ?, ?)",
                (demand.counter, demand.family, demand.unit, demand.ends_at_ns),
            )
            row = (0, 0)
        if demand.kind == "rate":
            level, at_ns = refilled(row[0], row[1], demand, now_ns) if row[1] else (demand.limit, now_ns)
            self._db.execute(
                "UPDATE counters SET level = ?, at_ns = ?, allowed = ? WHERE counter = ?",
                (level, at_ns, demand.limit, demand.counter),
            )
            room = level
        else:
            allowed = demand.limit + self._topped_up(demand, now_ns)
            allowed += carried(demand.carry, self._used(demand.carry.counter) if demand.carry else 0)
            self._db.execute(
                "UPDATE counters SET allowed = ?, ends_at_ns = ? WHERE counter = ?",
                (allowed, demand.ends_at_ns, demand.counter),
            )
            room = allowed - self._used(demand.counter) - sum(self._used(counter) for counter in demand.also)
        return room if demand.enforce == "hard" else BOUNDLESS

    def _used(self, counter: str) -> int:
        row = self._db.execute(
            "SELECT coalesce((SELECT spent FROM counters WHERE counter = ?1), 0) "
            "+ coalesce((SELECT sum(amount) FROM leases WHERE counter = ?1), 0)",
            (counter,),
        ).fetchone()
        return int(row[0])

    def _topped_up(self, demand: Demand, now_ns: int) -> int:
        if not demand.top_ups:
            return 0
        row = self._db.execute(
            "SELECT coalesce(sum(amount), 0) FROM top_ups WHERE family = ?1 AND at_ns <= ?2 "
            "AND iif(until_ns IS NULL, at_ns >= ?3, until_ns > ?2)",
            (demand.family, now_ns, demand.starts_at_ns),
        ).fetchone()
        return int(row[0])

    def _lend(self, instance: str, demand: Demand, amount: int) -> None:
        if demand.kind == "rate":
            self._db.execute("UPDATE counters SET level = level - ? WHERE counter = ?", (amount, demand.counter))
            return
        self._db.execute(
            "INSERT INTO leases (counter, instance, amount) VALUES (?, ?, ?) "
            "ON CONFLICT (counter, instance) DO UPDATE SET amount = amount + excluded.amount",
            (demand.counter, instance, amount),
        )

    def _frees_at(self, want: Want, room: int) -> int | None:
        demand = want.demand
        if demand.kind == "rate":
            at_ns = self._db.execute("SELECT at_ns FROM counters WHERE counter = ?", (demand.counter,)).fetchone()[0]
            return bucket_frees_at(demand, want.need, room, at_ns)
        return window_frees_at(demand, want.need - room, [self._used(counter) for counter in demand.also])

    def _standing(self, instance: str, counter: str, room: int | None, frees_at_ns: int | None) -> Standing:
        spent, allowed, leased, lease, posted = self._db.execute(
            "SELECT spent, allowed, (SELECT coalesce(sum(amount), 0) FROM leases WHERE counter = ?1), "
            "coalesce((SELECT amount FROM leases WHERE counter = ?1 AND instance = ?2), 0), "
            "coalesce((SELECT posted FROM leases WHERE counter = ?1 AND instance = ?2), 0) "
            "FROM counters WHERE counter = ?1",
            (counter, instance),
        ).fetchone()
        return Standing(
            counter=counter,
            lease=lease,
            posted=posted,
            spent=spent,
            leased=leased,
            allowed=allowed,
            room=allowed - spent - leased if room is None else room,
            frees_at_ns=frees_at_ns,
        )


def family_of(counter: str) -> str:
    """The family that a counter belongs to: its name without the window, which begins with a date."""
    family, _, window = counter.rpartition("@")
    return family if _DATE.match(window) else counter

"""The file that `policies.ledger.sqlite_books` keeps: its tables, and steps that are done whole or not at all."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from policies.ledger.books import BooksUnavailableError

VERSION = 3
_TABLES = """
CREATE TABLE IF NOT EXISTS counters (
    counter TEXT PRIMARY KEY, family TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'budget',
    starts_at_ns INTEGER NOT NULL DEFAULT 0, ends_at_ns INTEGER, kept_until_ns INTEGER,
    spent INTEGER NOT NULL DEFAULT 0, leased INTEGER NOT NULL DEFAULT 0, allowed INTEGER NOT NULL DEFAULT 0,
    level INTEGER NOT NULL DEFAULT 0, at_ns INTEGER NOT NULL DEFAULT 0,
    newer TEXT, wanted TEXT NOT NULL DEFAULT '', wanted_at INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS counters_by_family ON counters (family);
CREATE INDEX IF NOT EXISTS counters_by_change ON counters (changed);
CREATE INDEX IF NOT EXISTS counters_by_end ON counters (kept_until_ns) WHERE kept_until_ns IS NOT NULL;
CREATE TABLE IF NOT EXISTS leases (
    counter TEXT NOT NULL, instance TEXT NOT NULL, amount INTEGER NOT NULL, posted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (counter, instance)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS leases_by_instance ON leases (instance);
CREATE TABLE IF NOT EXISTS journals (
    instance TEXT PRIMARY KEY, posted INTEGER NOT NULL DEFAULT 0, included INTEGER NOT NULL DEFAULT 0,
    seen_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS top_ups (
    family TEXT NOT NULL, amount INTEGER NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL, at_ns INTEGER NOT NULL,
    until_ns INTEGER
);
CREATE INDEX IF NOT EXISTS top_ups_by_family ON top_ups (family);
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), steps INTEGER NOT NULL);
INSERT OR IGNORE INTO clock VALUES (1, 0);
"""
_BUSY_S = 5.0

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="SqliteFile")


def step(
    begin: str = "BEGIN IMMEDIATE",
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """One transaction; what SQLite says becomes a BooksUnavailableError."""

    def decorate(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        @wraps(method)
        def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                with self.transaction(begin):
                    return method(self, *args, **kwargs)
            except (sqlite3.Error, OverflowError) as error:
                # A sum beyond 64 bits is an OverflowError of the driver.
                raise BooksUnavailableError(f"the ledger {self.path} does not answer: {error}") from error

        return run

    return decorate


class SqliteFile:
    """The file; made when it is not there. Thread-safe.

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
            self.db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._open(durable=durable)
            except BaseException:
                self.db.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise BooksUnavailableError(f"the ledger {path} cannot be used: {error}") from error

    def _open(self, *, durable: bool) -> None:
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version == VERSION:
            return
        if version:
            raise BooksUnavailableError(f"the ledger {self.path} was made by another version (format {version})")
        with self.transaction():
            for statement in _TABLES.split(";"):
                self.db.execute(statement)
            self.db.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """One atomic step of this process among those of all others."""
        with self._lock:
            self.db.execute(begin)
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:  # whatever it was, no half of it may stay
                # SQLite takes a transaction back by itself where the disk fails.
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.db.close()

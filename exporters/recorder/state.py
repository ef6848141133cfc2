"""What the recorder must not forget: how far it has read, which calls are under way, what each sink has.

One SQLite file. Every step is one transaction, so that a count is raised exactly when the segment it comes from is
done. Thread-safe. All methods raise `sqlite3.Error` when the disk does.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

_TABLES = """
CREATE TABLE IF NOT EXISTS read (instance TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_calls (
    instance TEXT NOT NULL, call_id TEXT NOT NULL, line BLOB NOT NULL, PRIMARY KEY (instance, call_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors (
    sink TEXT NOT NULL, instance TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (sink, instance)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parcels (
    sink TEXT NOT NULL, position INTEGER NOT NULL, instance TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (sink, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS passed (
    sink TEXT NOT NULL, instance TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (sink, instance)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS doubts (instance TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (
    source TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (source, name)
) WITHOUT ROWID;
"""
_LOSSES = ""
"""The source under which losses are counted; no sink is called that."""
_BEGUN = ""
"""Instead of an instance: the file has been told what was there before it."""


class State:
    """The recorder's memory.

    A file that is damaged is put aside and a new one begun, and `state_damaged` is counted: what is still in the
    journal is read and offered again, to the store only what it lacks (`doubts_on_disk`), and calls under way that only
    the old file knew of are lost. The same goes for a file that somebody has removed, but for the count.

    Args:
        path: The SQLite file; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                # The disk is full, or not ours to write: the file is not to blame.
                raise
            path.rename(path.with_suffix(".damaged"))
            for side_file in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                side_file.unlink(missing_ok=True)
            self._db = _open(path)
            with self._transaction():
                self._add_counts(_LOSSES, {"state_damaged": 1})

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def begin(self, present: Mapping[str, int]) -> None:
        """Note what was there before this file was; does nothing when that is noted already.

        Args:
            present: Instance -> number of its last segment, open or sealed: another recorder may have delivered them.
        """
        if self._one("SELECT number FROM doubts WHERE instance = ?", (_BEGUN,)) is None:
            with self._lock, self._transaction():
                self._db.executemany("INSERT OR REPLACE INTO doubts VALUES (?, ?)", [*present.items(), (_BEGUN, 0)])

    def read_up_to(self, instance: str) -> int:
        """Number of the last segment that was read; 0 for an instance that is new."""
        row = self._one("SELECT number FROM read WHERE instance = ?", (instance,))
        return int(row[0]) if row else 0

    def commit_read(
        self,
        instance: str,
        number: int,
        *,
        opened: Mapping[str, bytes],
        closed: Iterable[str],
        losses: Mapping[str, int],
    ) -> None:
        """Note that a segment was read.

        Args:
            instance: Whose segment it is.
            number: Of the segment.
            opened: Calls that it opens and does not close, with their lines.
            closed: Calls that it closes.
            losses: What it says was lost, by reason.
        """
        with self._lock, self._transaction():
            self._db.executemany(
                "DELETE FROM open_calls WHERE instance = ? AND call_id = ?", [(instance, call_id) for call_id in closed]
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO open_calls VALUES (?, ?, ?)",
                [(instance, call_id, line) for call_id, line in opened.items()],
            )
            self._add_counts(_LOSSES, losses)
            self._db.execute("INSERT OR REPLACE INTO read VALUES (?, ?)", (instance, number))

    def open_lines(self, instance: str) -> list[bytes]:
        """The lines of all calls of an instance that are under way, in the order of their ids."""
        sql = "SELECT line FROM open_calls WHERE instance = ? ORDER BY call_id"
        with self._lock:
            return [bytes(row[0]) for row in self._db.execute(sql, (instance,))]

    def open_calls(self) -> int:
        """How many calls of all instances are under way, as far as was read."""
        row = self._one("SELECT count(*) FROM open_calls", ())
        return int(row[0]) if row else 0

    def cursors(self, sink: str) -> dict[str, int]:
        """Instance -> number of the last segment that a sink has."""
        with self._lock:
            return dict(self._db.execute("SELECT instance, number FROM cursors WHERE sink = ?", (sink,)))

    def parcel(self, sink: str) -> list[tuple[str, int]]:
        """(instance, number) of the segments that a sink was being given; none when it has taken them."""
        with self._lock:
            sql = "SELECT instance, number FROM parcels WHERE sink = ? ORDER BY position"
            return [(str(instance), int(number)) for instance, number in self._db.execute(sql, (sink,))]

    def commit_parcel(self, sink: str, segments: Iterable[tuple[str, int]]) -> None:
        """Note which segments a sink is to be given next, all together."""
        with self._lock, self._transaction():
            self._db.execute("DELETE FROM parcels WHERE sink = ?", (sink,))
            self._db.executemany(
                "INSERT INTO parcels VALUES (?, ?, ?, ?)",
                [(sink, position, *segment) for position, segment in enumerate(segments)],
            )

    def commit_delivered(self, sink: str, cursors: Mapping[str, int], counts: Mapping[str, int]) -> None:
        """Note what a sink has now, that nothing is on its way to it any more, and what it counted.

        Args:
            sink: Whose it is.
            cursors: Instance -> number of the last segment that it has.
            counts: To be added, by name.
        """
        with self._lock, self._transaction():
            self._add_counts(sink, counts)
            self._db.executemany(
                "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)",
                [(sink, instance, number) for instance, number in cursors.items()],
            )
            self._db.executemany(
                "DELETE FROM passed WHERE sink = ? AND instance = ?", [(sink, instance) for instance in cursors]
            )
            self._db.execute("DELETE FROM parcels WHERE sink = ?", (sink,))

    def passed(self, sink: str) -> dict[str, int]:
        """Instance -> number of the last segment that was given up behind those that are on their way to a sink."""
        with self._lock:
            return dict(self._db.execute("SELECT instance, number FROM passed WHERE sink = ?", (sink,)))

    def commit_given_up(
        self,
        sink: str,
        *,
        cursors: Mapping[str, int],
        passed: Mapping[str, int],
        counts: Mapping[str, int],
        losses: Mapping[str, int],
    ) -> None:
        """Note what a sink will never get.

        Args:
            sink: Whose it is.
            cursors: Instance -> number of the last segment that it has or will never get.
            passed: The same for instances of which something is on its way to it.
            counts: To be added to what it counted, by name.
            losses: To be added to what was lost, by reason.
        """
        with self._lock, self._transaction():
            self._add_counts(sink, counts)
            self._add_counts(_LOSSES, losses)
            for table, numbers in (("cursors", cursors), ("passed", passed)):
                self._db.executemany(
                    f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608 - those above
                    [(sink, instance, number) for instance, number in numbers.items()],
                )

    def losses(self) -> dict[str, int]:
        """Everything lost so far, by reason."""
        return self.counts(_LOSSES)

    def counts(self, sink: str) -> dict[str, int]:
        """Everything a sink has counted so far, by name."""
        with self._lock:
            return dict(self._db.execute("SELECT name, count FROM counts WHERE source = ?", (sink,)))

    def forget(self, instance: str, *, may_return: bool = False) -> None:
        """Nothing is left of an instance.

        Args:
            instance: Its name.
            may_return: Nobody knows why it is gone: should it come back (a disk that was not mounted), it is in doubt
                what sinks have of it.
        """
        with self._lock, self._transaction():
            last = self._db.execute(
                "SELECT max(number) FROM (SELECT number FROM read WHERE instance = ?1"
                " UNION ALL SELECT number FROM cursors WHERE instance = ?1"
                " UNION ALL SELECT number FROM doubts WHERE instance = ?1)",
                (instance,),
            ).fetchone()[0]
            for table in ("read", "open_calls", "cursors", "passed", "doubts"):
                self._db.execute(f"DELETE FROM {table} WHERE instance = ?", (instance,))  # noqa: S608 - those above
            if may_return and last:
                self._db.execute("INSERT INTO doubts VALUES (?, ?)", (instance, last))

    def known_instances(self) -> set[str]:
        """Every instance that something is remembered of."""
        with self._lock:
            rows = self._db.execute("SELECT instance FROM read UNION SELECT instance FROM cursors")
            return {str(row[0]) for row in rows}

    def _add_counts(self, source: str, counts: Mapping[str, int]) -> None:
        self._db.executemany(
            "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            [(source, name, count) for name, count in counts.items()],
        )

    def _one(self, sql: str, values: tuple[str, ...]) -> tuple[int] | None:
        with self._lock:
            row: tuple[int] | None = self._db.execute(sql, values).fetchone()
            return row

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)


class Memory(msgspec.Struct, kw_only=True):
    """What a recorder's file says, at one moment."""

    read: dict[str, int] = {}
    """Instance -> number of the last segment that was read."""
    cursors: dict[str, dict[str, int]] = {}
    """Sink -> instance -> number of the last segment that it has."""
    under_way: dict[str, int] = {}
    """Sink -> how many segments are on their way to it."""
    open_calls: int = 0
    losses: dict[str, int] = {}
    counts: dict[str, dict[str, int]] = {}
    """Sink -> what it counted, by name."""


def memory_on_disk(path: Path) -> Memory:
    """What a recorder's file says, without touching it; nothing where there is none to be read."""
    memory = Memory()
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        return memory
    # What can be read is told: the file may be an older one, or damaged.
    with contextlib.closing(db), contextlib.suppress(sqlite3.Error):
        memory.losses = dict(db.execute("SELECT name, count FROM counts WHERE source = ?", (_LOSSES,)))
        for sink, name, count in db.execute("SELECT source, name, count FROM counts WHERE source != ?", (_LOSSES,)):
            memory.counts.setdefault(sink, {})[name] = count
        memory.read = dict(db.execute("SELECT instance, number FROM read"))
        for sink, instance, number in db.execute("SELECT sink, instance, number FROM cursors"):
            memory.cursors.setdefault(sink, {})[instance] = number
        memory.under_way = dict(db.execute("SELECT sink, count(*) FROM parcels GROUP BY sink"))
        memory.open_calls = int(db.execute("SELECT count(*) FROM open_calls").fetchone()[0])
    return memory


def doubts_on_disk(path: Path) -> dict[str, int]:
    """Instance -> number of its last segment that is older than a recorder's file: who has those is not known from it.

    Nothing where there is no file. Raises sqlite3.Error.
    """
    if not path.exists():
        return {}
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT instance, number FROM doubts WHERE instance != ?", (_BEGUN,)))


def losses_on_disk(path: Path) -> dict[str, int]:
    """What a recorder's file says was lost, by reason, without touching it; empty where there is none to be read."""
    return memory_on_disk(path).losses


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # FULL: a cursor that a power cut turns back would be harmless, an open call that it forgets would not.
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_TABLES)
    except sqlite3.Error:
        db.close()
        raise
    return db


class _Transaction:
    """All of it, or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error:
                # A full disk may have rolled it back already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        elif self._db.in_transaction:
            self._db.execute("ROLLBACK")

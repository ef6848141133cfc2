"""What was told, what is to be told, and what of it has arrived: `run/alerts.sqlite`, across restarts and kills.

Rules of this file: whatever changes together is one transaction; the sightings of a batch are taken once, by its token;
a message that was put together stays as it is until it was taken, so that it can be sent again under the same id.
"""

import contextlib
import sqlite3
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from exporters.alerts.alert import ONCE, STANDING, Event, Kind, Message, Notice, Severity, Sighting, Signal, rank

MAX_WAITING = 500
"""Notices that wait for one channel; beyond that the oldest go, and are counted."""
MAX_TOGETHER = 100
"""Notices in one message."""
_SECOND_NS = 10**9
_REMEMBERED_NS = 86_400 * _SECOND_NS
"""How long a window that is over is remembered, for calls that are recorded late."""
_TABLES = """
CREATE TABLE IF NOT EXISTS alerts (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, signal BLOB NOT NULL, since_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
    told_ns INTEGER NOT NULL, count INTEGER NOT NULL, until_ns INTEGER, quiet_ns INTEGER, is_over INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, message_id TEXT, notice BLOB NOT NULL,
    at_ns INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS levels (counter TEXT PRIMARY KEY, spent INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pace (
    family TEXT NOT NULL, bucket INTEGER NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (family, bucket)
) WITHOUT ROWID;
"""


class Memory:
    """The file. For one thread.

    Args:
        path: The file; made when it is not there, and begun anew when it is damaged.
        channels: Name of each channel and the mildest severity that it gets.
        repeat_s: After how long an alert that lasts is told again; None: never.

    Raises sqlite3.Error, OSError: it cannot be used.
    """

    def __init__(self, path: Path, channels: Mapping[str, Severity], repeat_s: float | None) -> None:
        self._channels = channels
        self._repeat_ns = None if repeat_s is None else int(repeat_s * _SECOND_NS)
        self.dropped = 0
        """Notices that no channel took in time, since the start."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _open(path)
        except sqlite3.OperationalError:
            raise  # busy, or a full disk: what is in it is good
        except sqlite3.DatabaseError:
            path.replace(path.with_suffix(".damaged"))
            for companion in ("-wal", "-shm"):
                path.with_name(path.name + companion).unlink(missing_ok=True)
            self._db = _open(path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # what is seen

    def take(self, token: str, sightings: Iterable[Sighting], now_ns: int) -> bool:
        """Take what the calls of a batch say; False when that batch was taken before."""
        with self.transaction():
            if self.fact("token") == token:
                return False
            self.note("token", token)
            for sighting in sightings:
                self._see(sighting, now_ns)
        return True

    def look(self, kinds: Collection[Kind], sightings: Iterable[Sighting], now_ns: int) -> None:
        """Take everything that there is of these kinds: standing alerts that are not among it are over."""
        with self.transaction():
            seen = set()
            for sighting in sightings:
                seen.add(sighting.key)
                self._see(sighting, now_ns)
            for kind in STANDING.intersection(kinds):
                for key in self.open_keys(kind) - seen:
                    self._end(key, now_ns)

    def expire(self, now_ns: int) -> None:
        """End what is over by itself."""
        with self.transaction():
            over = "SELECT key FROM alerts WHERE NOT is_over AND until_ns <= ?"
            for (key,) in self._db.execute(over, (now_ns,)).fetchall():
                self._end(key, now_ns)
            self._db.execute("DELETE FROM alerts WHERE quiet_ns IS NOT NULL AND last_ns + quiet_ns < ?", (now_ns,))
            self._db.execute("DELETE FROM alerts WHERE is_over AND until_ns < ?", (now_ns - _REMEMBERED_NS,))

    def open_keys(self, kind: Kind) -> set[str]:
        """The alerts of a kind that last."""
        rows = self._db.execute("SELECT key FROM alerts WHERE kind = ? AND NOT is_over", (kind,))
        return {key for (key,) in rows}

    def _see(self, sighting: Sighting, now_ns: int) -> None:
        row = self._db.execute(
            "SELECT since_ns, told_ns, count, is_over FROM alerts WHERE key = ?", (sighting.key,)
        ).fetchone()
        quiet_ns = None if sighting.quiet_s is None else int(sighting.quiet_s * _SECOND_NS)
        if row is None:
            if sighting.until_ns is not None and sighting.until_ns <= now_ns:
                return  # news of a window that is over is none
            signal = sighting.describe()
            self._db.execute(
                "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    *(sighting.key, sighting.kind, msgspec.json.encode(signal), now_ns, now_ns, now_ns),
                    *(sighting.count, sighting.until_ns, quiet_ns),
                ),
            )
            self._tell(_notice(sighting.key, "opened", signal, (now_ns, now_ns, sighting.count)))
            return
        since_ns, told_ns, count, is_over = row
        if is_over:
            return
        count += sighting.count
        self._db.execute(
            "UPDATE alerts SET last_ns = ?, count = ?, quiet_ns = ? WHERE key = ?",
            (now_ns, count, quiet_ns, sighting.key),
        )
        is_due = self._repeat_ns is not None and told_ns + self._repeat_ns <= now_ns
        if is_due and sighting.kind not in ONCE:
            signal = sighting.describe()
            self._db.execute(
                "UPDATE alerts SET told_ns = ?, signal = ? WHERE key = ?",
                (now_ns, msgspec.json.encode(signal), sighting.key),
            )
            self._tell(_notice(sighting.key, "repeated", signal, (now_ns, since_ns, count)))

    def _end(self, key: str, now_ns: int) -> None:
        """Say that an alert is over, where that says anything, and forget it (one of a window later)."""
        kind, data, since_ns, count, until_ns = self._db.execute(
            "SELECT kind, signal, since_ns, count, until_ns FROM alerts WHERE key = ?", (key,)
        ).fetchone()
        ended = until_ns is not None and until_ns <= now_ns
        if kind == "exceeded" or (kind in STANDING and not ended):
            signal = msgspec.json.decode(data, type=Signal)
            self._tell(_notice(key, "resolved", signal, (now_ns, since_ns, count)))
        if ended:
            self._db.execute("UPDATE alerts SET is_over = 1 WHERE key = ?", (key,))
        else:
            self._db.execute("DELETE FROM alerts WHERE key = ?", (key,))

    # what is told

    def _tell(self, notice: Notice) -> None:
        for channel, mildest in self._channels.items():
            if rank(notice.signal.severity) >= rank(mildest):
                self._db.execute(
                    "INSERT INTO outbox (channel, notice, at_ns) VALUES (?, ?, ?)",
                    (channel, msgspec.json.encode(notice), notice.at_ns),
                )
                self._bound(channel)

    def _bound(self, channel: str) -> None:
        gone = self._db.execute(
            "DELETE FROM outbox WHERE channel = ?1 AND message_id IS NULL AND id <= "
            "(SELECT id FROM outbox WHERE channel = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (channel, MAX_WAITING),
        )
        self.dropped += max(0, gone.rowcount)

    def next_message(self, channel: str, now_ns: int, group_s: float) -> Message | None:
        """What a channel is to get now: the message that is under way, else what has waited for its fellows."""
        under_way = self._db.execute(
            "SELECT message_id FROM outbox WHERE channel = ? AND message_id IS NOT NULL ORDER BY id LIMIT 1", (channel,)
        ).fetchone()
        if under_way is not None:
            return self._message(under_way[0])
        first = self._db.execute("SELECT min(at_ns) FROM outbox WHERE channel = ?", (channel,)).fetchone()[0]
        if first is None or first > now_ns - int(group_s * _SECOND_NS):
            return None
        message_id = uuid.uuid4().hex
        with self.transaction():
            self._db.execute(
                "UPDATE outbox SET message_id = ?1 WHERE id IN "
                "(SELECT id FROM outbox WHERE channel = ?2 ORDER BY id LIMIT ?3)",
                (message_id, channel, MAX_TOGETHER),
            )
        return self._message(message_id)

    def _message(self, message_id: str) -> Message:
        rows = self._db.execute("SELECT notice FROM outbox WHERE message_id = ? ORDER BY id", (message_id,))
        notices = tuple(msgspec.json.decode(data, type=Notice) for (data,) in rows)
        return Message(message_id=message_id, notices=notices)

    def sent(self, message: Message) -> None:
        """A message was taken, or never will be."""
        with self.transaction():
            self._db.execute("DELETE FROM outbox WHERE message_id = ?", (message.message_id,))

    def forget_channels(self) -> None:
        """Drop what waits for channels that are not configured any more."""
        marks = ", ".join("?" for _ in self._channels)
        with self.transaction():
            self._db.execute(f"DELETE FROM outbox WHERE channel NOT IN ({marks})", tuple(self._channels))  # noqa: S608 - question marks

    # what is remembered besides

    def fact(self, name: str) -> str | None:
        """What was noted under a name; None where nothing was."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def note(self, name: str, value: str) -> None:
        """Note something."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def levels(self) -> dict[str, int]:
        """Counter -> what it had spent at the last look."""
        return dict(self._db.execute("SELECT counter, spent FROM levels").fetchall())

    def add_pace(self, levels: Mapping[str, int], grown: Mapping[str, int], bucket: int, oldest: int) -> None:
        """Note how counters stand, and what families have spent since the last look, in a bucket of time."""
        with self.transaction():
            self._db.execute("DELETE FROM levels")
            self._db.executemany("INSERT INTO levels VALUES (?, ?)", levels.items())
            self._db.executemany(
                "INSERT INTO pace VALUES (?, ?, ?) ON CONFLICT (family, bucket) DO UPDATE SET "
                "spent = spent + excluded.spent",
                [(family, bucket, spent) for family, spent in grown.items()],
            )
            self._db.execute("DELETE FROM pace WHERE bucket < ?", (oldest,))

    def spent_lately(self) -> dict[str, int]:
        """Family -> what it has spent in all buckets that are kept."""
        return dict(self._db.execute("SELECT family, sum(spent) FROM pace GROUP BY family").fetchall())

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One step, all of it or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:  # whatever it was, no half of it may stay
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _open(path: Path) -> sqlite3.Connection:
    # Made where the recorder starts, used in the thread of the sink.
    db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_TABLES)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _notice(key: str, event: Event, signal: Signal, when: tuple[int, int, int]) -> Notice:
    at_ns, since_ns, count = when
    return Notice(key=key, event=event, at_ns=at_ns, since_ns=since_ns, count=count, signal=signal)

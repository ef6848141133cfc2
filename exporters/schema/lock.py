"""One migrator at a time, by the one thing that ClickHouse does atomically: it takes an insert token once.

The lock has generations. Whoever wants it inserts its name under the token of the next generation; of several at once
the store keeps the row of one and drops those of the others, and everybody reads whose it is. On a cluster the table is
one replicated table over all nodes, so that Keeper decides. The holder says every few seconds that it is still there; a
lock whose holder has been silent for a minute (by the store's clock) is taken over, and one whose holder was a process
of this machine that is no more is free at once, so that a killed migrator blocks nobody for long.

A holder that was frozen for longer than that may wake up beside its successor. What it then does is still harmless:
every statement of the schema may be run twice, and inserts carry tokens. The lock keeps the work from being done twice
and its order strict; it is not what keeps the sums right.
"""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from types import TracebackType
from typing import NamedTuple, Self

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from exporters.schema.errors import SchemaError

LOCK_TABLE = """\
CREATE TABLE IF NOT EXISTS schema_lock
(
    generation UInt64,
    owner      String,
    event      LowCardinality(String),
    at         DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (generation, at)
SETTINGS non_replicated_deduplication_window = 1000"""
"""Events: `taken`, `kept` (still there), `freed`."""

LEASE_S = 60.0
_BEAT_S = 10.0
_POLL_S = 0.2
_STATE = """\
SELECT generation, anyIf(owner, event = 'taken'), countIf(event = 'freed') > 0,
    dateDiff('millisecond', max(at), now64(3))
FROM schema_lock GROUP BY generation ORDER BY generation DESC LIMIT 1"""


class _Holding(NamedTuple):
    generation: int
    owner: str
    freed: bool
    silent_s: float

    def is_free(self, lease_s: float) -> bool:
        return self.freed or self.silent_s > lease_s or _is_dead(self.owner)


class MigrationLock:
    """The right to change the schema, as a context manager.

    Args:
        client: A connection without a session; it is used from a second thread as well.
        replicated: Whether the table is that of a cluster, so that this node may be behind the others.
        wait_s: How long to wait for another holder.
        lease_s: After which silence a holder counts as dead.

    Raises:
        SchemaError: When entered: another one still holds it after that time.
    """

    def __init__(
        self, client: Client, *, replicated: bool = False, wait_s: float = 60.0, lease_s: float = LEASE_S
    ) -> None:
        self._client = client
        self._replicated = replicated
        self._wait_s = wait_s
        self._lease_s = lease_s
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._generation = 0
        self._over = threading.Event()
        self._beating: threading.Thread | None = None

    def __enter__(self) -> Self:
        deadline_s = time.monotonic() + self._wait_s
        while not self._took():
            if time.monotonic() > deadline_s:
                raise SchemaError(
                    f"Another Taximeter ({self._holding().owner}) is at work on the schema: "
                    f"wait until it is done, or for {self._lease_s:.0f} s if it is dead."
                )
            self._over.wait(_POLL_S)
        self._beating = threading.Thread(target=self._beat, name="migration-lock", daemon=True)
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._beating:
            self._beating.join()
        # A store that cannot be told has lost nothing: the lock runs out.
        with contextlib.suppress(ClickHouseError):
            self._say("freed", token=f"schema-lock-{self._generation}-freed")

    def confirm(self) -> None:
        """Make sure before the next step that nobody has taken over. Raises SchemaError."""
        holding = self._holding()
        if (holding.generation, holding.owner) != (self._generation, self._owner):
            raise SchemaError(f"Another Taximeter ({holding.owner}) has taken over the work on the schema.")

    def _took(self) -> bool:
        before = self._holding()
        if not before.is_free(self._lease_s):
            return False
        self._generation = before.generation + 1
        self._say("taken", token=f"schema-lock-{self._generation}-taken")
        return self._holding()[:2] == (self._generation, self._owner)

    def _holding(self) -> _Holding:
        if self._replicated:
            self._client.command("SYSTEM SYNC REPLICA schema_lock")
        rows = self._client.query(_STATE).result_rows
        if not rows:
            return _Holding(0, "", freed=True, silent_s=0.0)
        generation, owner, freed, silent_ms = rows[0]
        return _Holding(int(generation), str(owner), freed=bool(freed), silent_s=int(silent_ms) / 1000)

    def _beat(self) -> None:
        count = 0
        while not self._over.wait(_BEAT_S):
            count += 1
            # A beat that is missed is made up for by the next.
            with contextlib.suppress(ClickHouseError):
                self._say("kept", token=f"schema-lock-{self._generation}-{self._owner}-{count}")

    def _say(self, event: str, *, token: str) -> None:
        row = {"generation": self._generation, "owner": self._owner, "event": event}
        self._client.raw_insert(
            "schema_lock",
            insert_block=json.dumps(row).encode(),
            fmt="JSONEachRow",
            settings={"insert_deduplication_token": token, "async_insert": 0, "insert_deduplicate": 1},
        )


def _is_dead(owner: str) -> bool:
    """Whether the holder was a process of this machine, and is none any more."""
    host, _, rest = owner.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False

"""The store, asked which rows it has, so that only those that it lacks are given to it.

What: for rows that come a second way (a journal of another machine, an entry out of quarantine), where the
deduplication token of the first way may not be known. A row is known by its call, in `attempts` by its number too.

Config: as `exporters.clickhouse.sink`.

Example: `MissingOnlySink(settings, settings.journal_dir).deliver(batch)`

Source: the ClickHouse fact sheet, section 7: two tokens with the same content are two inserts.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from exporters.clickhouse.client import blames_rows, brief, connect
from exporters.clickhouse.halving import Rows
from exporters.clickhouse.rows import AttemptRow, CallRow
from exporters.clickhouse.sink import ClickHouseSink
from exporters.recorder.ports import Batch, SinkUnavailableError
from proxy.settings import Settings, StoreSettings

Table = Literal["calls", "attempts"]
Key = tuple[str, int]
"""Id of the call, number of the attempt; of a call the number is 0."""

_KEYS_AT_ONCE = 2000
"""A query may have 256 KiB."""
_LAST_S = 9_223_372_036
"""The last whole second that nanoseconds in 64 bits can tell."""
_NOT_THERE = frozenset({60, 81})
"""Codes of ClickHouse: no such table, no such database."""


class _Row(msgspec.Struct):
    """As much of a row as says which one it is."""

    call_id: str
    started_at: str
    attempt: int = 0


class RowError(ValueError):
    """A row that the store cannot take; the message is its own."""


class MissingOnlySink(ClickHouseSink):
    """The store as a sink that takes what it lacks; what it has is counted as `known`.

    Where rows were left out, the rest goes under a token and under marks of its own: those of the batch may have been
    used for other rows already, and would make the store or us take these for known.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._cut: dict[str, str] = {}
        """Table -> digest of the rows that are left of a batch, where some were left out."""

    def _rows(self, batch: Batch, counts: Counter[str]) -> tuple[list[CallRow], list[AttemptRow]]:
        calls, attempts = super()._rows(batch, counts)
        client = self._connected()
        known = known_keys(client, "calls", calls)
        counts["known"] += len(known)
        lacked_calls = [row for row in calls if _key("calls", row) not in known]
        # A recorder that ended in between has inserted the attempts of a call and not the call.
        known = known_keys(client, "attempts", attempts)
        lacked_attempts = [row for row in attempts if _key("attempts", row) not in known]
        self._cut.clear()
        if len(lacked_calls) < len(calls):
            self._cut["calls"] = _digest("calls", lacked_calls)
        if len(lacked_attempts) < len(attempts):
            self._cut["attempts"] = _digest("attempts", lacked_attempts)
        return lacked_calls, lacked_attempts

    def _insert(self, batch: Batch, table: str, rows: Rows) -> int:
        if digest := self._cut.get(table):
            batch = msgspec.structs.replace(
                batch, token=f"{batch.token}/{digest}", instance=f"{batch.instance}-{digest[:8]}"
            )
        return super()._insert(batch, table, rows)

    def known_calls(self, call_ids: Collection[str]) -> set[str]:
        """Those of the calls that the store has. Raises SinkUnavailableError."""
        with self._mapped():
            return _known_calls(self._connected(), call_ids)

    def insert_missing(self, table: str, lines: Sequence[bytes], token: str) -> tuple[int, int]:
        """Insert rows that are ready-made JSON, unless they are there.

        Args:
            table: `calls` or `attempts`.
            lines: A row each.
            token: Stands for these rows for ever.

        Returns:
            How many were inserted, and how many were known.

        Raises:
            RowError: The store refuses them still, or one of them is no row.
            SinkUnavailableError: Try again later.
        """
        if table not in {"calls", "attempts"}:
            raise RowError(f"there is no table {table}")
        try:
            rows = [msgspec.json.decode(line, type=_Row) for line in lines]
        except (msgspec.DecodeError, UnicodeError) as error:
            raise RowError(f"a line is no row: {error}") from error
        with self._mapped():
            client = self._connected()
            known = known_keys(client, "calls" if table == "calls" else "attempts", rows)
            wanted = [line for line, row in zip(lines, rows, strict=True) if _key(table, row) not in known]
            try:
                if wanted:
                    settings = {**self._pinned, "insert_deduplication_token": token}
                    client.raw_insert(table, insert_block=b"\n".join(wanted), fmt="JSONEachRow", settings=settings)
            except ClickHouseError as error:
                if blames_rows(error):
                    raise RowError(brief(error)) from error
                raise
        return len(wanted), len(lines) - len(wanted)


class Trial:
    """A sink that takes nothing and only counts: `known` calls, and `calls` that the store lacks."""

    name = ClickHouseSink.name

    def __init__(self, settings: Settings) -> None:
        self._store: StoreSettings = settings.store
        self._client: Client | None = None

    def check(self) -> None:
        """Nothing to prepare."""

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        """Count. Raises SinkUnavailableError."""
        ids = {priced.call.call_id for priced in batch.calls}
        try:
            if self._client is None:
                self._client = connect(self._store, database=self._store.database)
            known = _known_calls(self._client, ids)
        except ClickHouseError as error:
            if not (isinstance(error, DatabaseError) and error.code in _NOT_THERE):
                raise SinkUnavailableError(brief(error)) from error
            known = set()
        return {"known": len(known), "calls": len(batch.calls) - len(known)}

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()


def known_keys(
    client: Client, table: Table, rows: Sequence[CallRow] | Sequence[AttemptRow] | Sequence[_Row]
) -> set[Key]:
    """Keys of the rows that the table has. Raises ClickHouseError."""
    found: set[Key] = set()
    column = "toInt32(0)" if table == "calls" else "toInt32(attempt)"
    for start in range(0, len(rows), _KEYS_AT_ONCE):
        part = rows[start : start + _KEYS_AT_ONCE]
        # Tables are ordered by time: so only what is near is read.
        seconds = [float(row.started_at) for row in part]
        answer = client.query(
            f"SELECT call_id, {column} FROM {table} WHERE call_id IN %(ids)s"  # noqa: S608 - two names of our own
            " AND started_at >= toDateTime64(%(first)s, 9) AND started_at <= toDateTime64(%(last)s, 9)",
            parameters={
                "ids": tuple({row.call_id for row in part}),
                "first": math.floor(min(seconds)),
                "last": min(_LAST_S, math.ceil(max(seconds))),
            },
        )
        found.update((str(call_id), int(attempt)) for call_id, attempt in answer.result_rows)
    return found & {_key(table, row) for row in rows}


def _known_calls(client: Client, call_ids: Collection[str]) -> set[str]:
    ids = sorted(call_ids)
    found: set[str] = set()
    for start in range(0, len(ids), _KEYS_AT_ONCE):
        part = tuple(ids[start : start + _KEYS_AT_ONCE])
        answer = client.query("SELECT call_id FROM calls WHERE call_id IN %(ids)s", parameters={"ids": part})
        found.update(str(row[0]) for row in answer.result_rows)
    return found


def _key(table: str, row: CallRow | AttemptRow | _Row) -> Key:
    return row.call_id, 0 if table == "calls" else row.attempt


def _digest(table: str, rows: Sequence[CallRow] | Sequence[AttemptRow]) -> str:
    keys = " ".join(f"{call_id}.{attempt}" for call_id, attempt in (_key(table, row) for row in rows))
    return hashlib.sha256(keys.encode("utf-8", "replace")).hexdigest()[:32]

"""The store, asked row by row what it has: for rows that it may have got under a token that nobody knows any more.

A row is known by its call, in `attempts` by its number too.

Source: the ClickHouse fact sheet, section 7: two tokens with the same content are two inserts.
"""

import hashlib
import math
from collections.abc import Collection, Sequence
from typing import Literal

import msgspec
from clickhouse_connect.driver.client import Client

from exporters.clickhouse.rows import AttemptRow, CallRow

Table = Literal["calls", "attempts"]
Key = tuple[str, int]
"""Id of the call, number of the attempt; of a call the number is 0."""

_KEYS_AT_ONCE = 2000
"""A query may have 256 KiB."""
_LAST_S = 9_223_372_036
"""The last whole second that nanoseconds in 64 bits can tell."""


class BareRow(msgspec.Struct):
    """As much of a row as says which one it is."""

    call_id: str
    started_at: str
    attempt: int = 0


SomeRow = CallRow | AttemptRow | BareRow


def known_keys(
    client: Client, table: Table, rows: Sequence[CallRow] | Sequence[AttemptRow] | Sequence[BareRow]
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
    return found & {row_key(table, row) for row in rows}


def known_calls(client: Client, call_ids: Collection[str]) -> set[str]:
    """Those of the calls that the store has, whenever they were. Raises ClickHouseError."""
    ids = sorted(call_ids)
    found: set[str] = set()
    for start in range(0, len(ids), _KEYS_AT_ONCE):
        part = tuple(ids[start : start + _KEYS_AT_ONCE])
        answer = client.query("SELECT call_id FROM calls WHERE call_id IN %(ids)s", parameters={"ids": part})
        found.update(str(row[0]) for row in answer.result_rows)
    return found


def row_key(table: Table, row: SomeRow) -> Key:
    """Which row it is."""
    return row.call_id, 0 if table == "calls" else row.attempt


def digest_of(table: Table, rows: Sequence[CallRow] | Sequence[AttemptRow]) -> str:
    """Stands for exactly these rows; 32 hex characters."""
    keys = " ".join(f"{call_id}.{attempt}" for call_id, attempt in (row_key(table, row) for row in rows))
    return hashlib.sha256(keys.encode("utf-8", "replace")).hexdigest()[:32]

"""The store, asked which rows it has, so that only those that it lacks are given to it.

What: for rows that come a second way (a journal of another machine, an entry out of quarantine), where the
deduplication token of the first way may not be known. A row is known by its call, in `attempts` by its number too.

Config: as `exporters.clickhouse.sink`.

Example: `MissingOnlySink(settings).deliver(batch)`

Source: the ClickHouse fact sheet, section 7: two tokens with the same content are two inserts.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from exporters.clickhouse.client import blames_rows, brief, connect
from exporters.clickhouse.known import BareRow, Table, known_calls, known_keys, row_key
from exporters.clickhouse.sink import ClickHouseSink
from exporters.recorder.ports import Batch, SinkUnavailableError
from proxy.settings import Settings, StoreSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_NOT_THERE = frozenset({60, 81})
"""Codes of ClickHouse: no such table, no such database."""


class RowError(ValueError):
    """A row that the store cannot take; the message is its own."""


class MissingOnlySink(ClickHouseSink):
    """The store as a sink that takes what it lacks; what it has is counted as `known`."""

    def known_calls(self, call_ids: Collection[str]) -> set[str]:
        """Those of the calls that the store has. Raises SinkUnavailableError."""
        with self._mapped():
            return known_calls(self._connected(), call_ids)

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
            rows = [msgspec.json.decode(line, type=BareRow) for line in lines]
        except (msgspec.DecodeError, UnicodeError) as error:
            raise RowError(f"a line is no row: {error}") from error
        kind: Table = "calls" if table == "calls" else "attempts"
        with self._mapped():
            known = known_keys(self._connected(), kind, rows)
            wanted = [line for line, row in zip(lines, rows, strict=True) if row_key(kind, row) not in known]
            try:
                if wanted:
                    self._post(kind, rows, b"\n".join(wanted), token)
            except ClickHouseError as error:
                if blames_rows(error):
                    raise RowError(brief(error)) from error
                raise
        return len(wanted), len(lines) - len(wanted)

    def _is_doubtful(self, batch: Batch) -> bool:
        return bool(batch.calls)


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
            known = known_calls(self._client, ids)
        except ClickHouseError as error:
            if not (isinstance(error, DatabaseError) and error.code in _NOT_THERE):
                raise SinkUnavailableError(brief(error)) from error
            known = set()
        return {"known": len(known), "calls": len(batch.calls) - len(known)}

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

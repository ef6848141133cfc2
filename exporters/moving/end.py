"""One of the two servers of a copy."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from clickhouse_connect.driver.external import ExternalData

from exporters.clickhouse.client import INSERT_SETTINGS, brief
from exporters.moving.errors import CopyError, UnavailableError
from exporters.store.remote import literal

MARK = "taximeter store copy"
"""The comment of our statements in the server's log."""
KEY = ("call_id", "attempt")
_KEY_TYPES = "call_id String, attempt UInt8"
_UNDER_WAY_S = 120.0
_LOOK_AGAIN_S = 0.2
_PASSING = frozenset(
    {
        60,  # UNKNOWN_TABLE: of a snapshot, which ends with its store
        81,  # UNKNOWN_DATABASE: likewise
        159,  # TIMEOUT_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        236,  # ABORTED
        242,  # TABLE_IS_READ_ONLY
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        394,  # QUERY_WAS_CANCELLED: the server is going down
        425,  # SYSTEM_ERROR
        999,  # KEEPER_EXCEPTION
    }
)

Key = tuple[str, int]


class End:
    """A database on a server. Every method raises UnavailableError or CopyError.

    Args:
        client: A connection to the server.
        database: Where the tables are.
        name: What people call this end in messages.
        token_mark: Goes into every token, so that what was taken under another mark, and deleted, is taken again.
    """

    def __init__(self, client: Client, database: str, name: str, *, token_mark: str = "") -> None:
        self.database = database
        self.name = name
        self.client = client
        self._token_mark = token_mark
        known = client.server_settings
        self._pinned = {name: value for name, value in INSERT_SETTINGS.items() if not known or name in known}

    def rows(self, sql: str, keys: Sequence[Key] | None = None) -> list[list[Any]]:
        """The rows of a query as decoded JSON; `keys` are there as the table `keys`."""
        body = self._ask(sql, "JSONCompactEachRow", keys)
        return [msgspec.json.decode(line) for line in body.splitlines()]

    def native(self, sql: str, keys: Sequence[Key] | None = None) -> bytes:
        """The result of a query as the server keeps it."""
        return self._ask(sql, "Native", keys)

    def insert(self, table: str, columns: Sequence[str], data: bytes, token: str) -> None:
        """Insert what `native` gave; the same token changes nothing a second time."""
        with self.explained():
            self.client.raw_insert(
                f"{self.database}.{table}",
                column_names=columns,
                insert_block=data,
                fmt="Native",
                settings={
                    **self._pinned,
                    "insert_deduplication_token": f"{self._token_mark}{token}",
                    "log_comment": MARK,
                },
            )

    def wait_for_inserts(self) -> None:
        """Wait until no insert of an earlier copy is under way: it would land behind our back."""
        sql = (
            "SELECT toString(count()) FROM system.processes WHERE startsWith(upper(query), 'INSERT') "
            f"AND Settings['log_comment'] = {literal(MARK)}"
        )
        deadline = time.monotonic() + _UNDER_WAY_S
        while int(self.rows(sql)[0][0]):
            if time.monotonic() > deadline:
                raise CopyError(f"another copy to {self.name} is under way there: wait until it has ended")
            time.sleep(_LOOK_AGAIN_S)

    def _ask(self, sql: str, form: str, keys: Sequence[Key] | None) -> bytes:
        external = None
        if keys is not None:
            lines = b"".join(msgspec.json.encode(key) + b"\n" for key in keys)
            external = ExternalData(file_name="keys", data=lines, fmt="JSONCompactEachRow", structure=_KEY_TYPES)
        with self.explained():
            settings = {"log_comment": MARK}
            return self.client.raw_query(sql, fmt=form, external_data=external, settings=settings)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """The errors of the client as ours: for who uses it directly."""
        try:
            yield
        except (DatabaseError, OperationalError) as error:
            code = getattr(error, "code", None)
            if code is None or code in _PASSING:
                raise UnavailableError(f"{self.name}: {brief(error)}") from error
            raise CopyError(f"{self.name} refuses: {brief(error)}") from error
        except ClickHouseError as error:
            raise UnavailableError(f"{self.name}: {brief(error)}") from error

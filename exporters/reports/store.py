"""The one place of I/O in this room: a question goes to the store over the ClickHouse HTTP interface.

The embedded store and a ClickHouse of the operator's are the same here: an address, a user, a database.
"""

import logging
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from clickhouse_connect.driver.external import ExternalData
from clickhouse_connect.driver.httputil import get_pool_manager

from exporters.reports.errors import EmptyStoreError, ReportError, StoreRefusedError, StoreUnreachableError
from exporters.reports.parquet import TABLE, Handed
from exporters.reports.question import Query
from proxy.settings import StoreSettings

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 120

_MOST_REASON_CHARS = 300

NOT_THERE = frozenset({60, 81})
"""UNKNOWN_TABLE and UNKNOWN_DATABASE: nothing has been recorded here yet."""
NOT_LET_IN = frozenset({192, 193, 194, 497, 516})
"""UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, ACCESS_DENIED, AUTHENTICATION_FAILED."""


class StoreReader:
    """Runs queries that only read. A connection is made at the first query; `close` gives it back."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._client: Client | None = None

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        """The rows of the answer, in its order.

        Raises `StoreUnreachableError`, `EmptyStoreError` (no table yet) or `StoreRefusedError`.
        """
        try:
            if self._client is None:
                self._client = self._connect()
            found = self._client.query(query.sql, parameters=query.parameters).result_rows
        except ClickHouseError as error:
            raise self._explained(error) from error
        return [tuple(row) for row in found]

    def parquet(self, rows: Handed) -> bytes:
        """The rows as a Parquet file of the engine's; raises as `rows` does."""
        try:
            if self._client is None:
                self._client = self._connect()
            table = ExternalData(file_name=TABLE, data=rows.lines, fmt="JSONEachRow", structure=rows.structure)
            made: bytes = self._client.raw_query(rows.sql, fmt="Parquet", external_data=table)
        except ClickHouseError as error:
            raise self._explained(error) from error
        return made

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connect(self) -> Client:
        store = self._settings
        url = urlsplit(store.url)
        for talker in ("clickhouse_connect", "urllib3"):
            # What they log is also raised; a command says it in a sentence.
            logging.getLogger(talker).setLevel(logging.CRITICAL)
        return clickhouse_connect.get_client(
            interface=url.scheme,
            host=url.hostname,
            port=url.port or (8443 if url.scheme == "https" else 8123),
            proxy_path=url.path,
            username=store.reader_user,
            password=store.reader_password,
            database=store.database,
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=ANSWER_TIMEOUT_S,
            autogenerate_session_id=False,
            verify=store.tls_verify,
            ca_cert=store.tls_ca_file,
            # A pool of our own keeps the way to a store on this machine out of an HTTP proxy of the environment.
            pool_mgr=get_pool_manager() if store.embedded else None,
        )

    def _explained(self, error: ClickHouseError) -> ReportError:
        """The error as a sentence for whoever asked for a report."""
        store = self._settings
        code = error.code if isinstance(error, DatabaseError) else None
        if code is None:
            hint = "is `taximeter serve` running?" if store.embedded else "check `store.url` in the configuration."
            return StoreUnreachableError(f"No store answers at {store.url}: {hint}")
        if code in NOT_THERE:
            return EmptyStoreError(f"The store at {store.url} holds no calls yet: send one through the proxy first.")
        if code in NOT_LET_IN:
            return StoreRefusedError(f"The store at {store.url} does not let us read: user or password are wrong.")
        return StoreRefusedError(f"The store at {store.url} could not answer: {_reason(error)}")


def _reason(error: ClickHouseError) -> str:
    """What the engine said, without what the driver and the server put around it."""
    line = str(error).strip().partition("\n")[0]
    said = line.rpartition("DB::Exception: ")[2].partition(" (version ")[0]
    return said[:_MOST_REASON_CHARS].rstrip(".") + "."

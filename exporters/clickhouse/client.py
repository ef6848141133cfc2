"""A connection to the store, and what its errors mean for a batch."""

import logging
import re
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from clickhouse_connect.driver.httputil import get_pool_manager

from proxy.settings import StoreSettings

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60
_MAX_ERROR_CHARS = 500

INSERT_SETTINGS: dict[str, str | int] = {
    # The answer means that the rows are in the table, not in a queue; the default has changed between versions.
    "async_insert": 0,
    "wait_for_async_insert": 1,
    "wait_end_of_query": 1,
    # A token that was seen is not taken again, neither by the table nor by what hangs on it.
    "insert_deduplicate": 1,
    "deduplicate_insert": "enable",
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # A distributed table must not answer before its shards have the rows.
    "distributed_foreground_insert": 1,
    # A wrong clock may spread one segment over many days.
    "max_partitions_per_insert_block": 0,
    # A segment is one block: it is there whole or not at all.
    "max_insert_block_size": 1_048_576,
    "min_insert_block_size_rows": 1_048_576,
    "min_insert_block_size_bytes": 0,
    "input_format_parallel_parsing": 0,
    # A column that the table does not have must not vanish silently.
    "input_format_skip_unknown_fields": 0,
    "input_format_defaults_for_omitted_fields": 1,
    "input_format_json_named_tuples_as_objects": 1,
}
"""Pinned with every insert, whatever the server's or the account's defaults are."""

_CONTENT_ERRORS = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        25,  # CANNOT_PARSE_ESCAPE_SEQUENCE
        26,  # CANNOT_PARSE_QUOTED_STRING
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        33,  # CANNOT_READ_ALL_DATA
        38,  # CANNOT_PARSE_DATE
        41,  # CANNOT_PARSE_DATETIME
        43,  # ILLEGAL_TYPE_OF_ARGUMENT
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        130,  # CANNOT_READ_ARRAY_FROM_TEXT
        131,  # TOO_LARGE_STRING_SIZE
        190,  # SIZES_OF_ARRAYS_DONT_MATCH
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        376,  # CANNOT_PARSE_UUID
        407,  # DECIMAL_OVERFLOW
        441,  # CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING
        467,  # CANNOT_PARSE_BOOL
        469,  # VIOLATED_CONSTRAINT
        691,  # UNKNOWN_ELEMENT_OF_ENUM
    }
)
"""Codes that blame the rows themselves, so that the same rows would be refused for ever."""
_VIEW = re.compile(r"while pushing to view (\S+)")


def connect(store: StoreSettings, *, database: str | None = None, answer_timeout_s: int = ANSWER_TIMEOUT_S) -> Client:
    """A connection that remembers nothing from one request to the next. Raises what clickhouse-connect raises.

    Args:
        store: Address and account.
        database: The database that plain table names mean; None for the account's own.
        answer_timeout_s: How long the store may be silent. What has no answer by then may still go on there.
    """
    # What it logs it also raises; the recorder reports that once and counts it, a command says it in a sentence.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    parts = urlsplit(store.url)
    return clickhouse_connect.get_client(
        host=parts.hostname or "localhost",
        port=parts.port or (8443 if parts.scheme == "https" else 8123),
        interface=parts.scheme,
        username=store.user,
        password=store.password,
        database=database or "__default__",
        verify=store.tls_verify,
        ca_cert=store.tls_ca_file,
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=answer_timeout_s,
        # Sessions would serialise the requests and keep settings.
        autogenerate_session_id=False,
        # Rows travel over loopback or a data centre: the time to compress them is worth more than the bytes.
        compress=False,
        client_name="taximeter",
        # The embedded store is on loopback, whatever proxy the environment names.
        pool_mgr=get_pool_manager() if store.embedded else None,
    )


def blames_rows(error: ClickHouseError) -> bool:
    """Whether the store refused the content: the same rows would be refused again."""
    return isinstance(error, DatabaseError) and error.code in _CONTENT_ERRORS


def blamed_view(error: ClickHouseError) -> str:
    """The materialized view that could not work with the rows; empty where none is to blame.

    The table itself has the rows by then. A row may hold such words too: whoever believes them has to see for itself.
    """
    found = _VIEW.search(str(error)) if blames_rows(error) else None
    return found[1] if found else ""


def brief(error: Exception) -> str:
    """The first words of an error, on one line."""
    return " ".join(str(error).split())[:_MAX_ERROR_CHARS]

"""What the read-only user may run. `readonly=1` does most of it; this is what it leaves open in the embedded engine.

There, `readonly=1` alone lets a query read any file (`file('/etc/passwd')` as a scalar function, also by APPLY or as
the argument of arrayMap), open connections while a statement is described, write files (INTO OUTFILE), stop other
queries (KILL) and learn which files exist (EXISTS). Looking for names in the client's text would be a guess; here the
engine's own parser prints the statement first, with comments gone and every escape undone, and the names are looked
for in that.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from exporters.store.engine import Connection, read_text, run
from exporters.store.errors import READONLY, StoreError
from exporters.store.statement import plain, shape, tokens

# fmt: off
_HARMLESS_TABLE_FUNCTIONS = frozenset({
    "format", "generate_series", "generaterandom", "generateseries", "merge", "null", "numbers", "numbers_mt",
    "primes", "sqlstandardvalues", "values", "view", "viewexplain", "viewifpermitted", "zeros", "zeros_mt",
})
# fmt: on
_TALKS_TO_MODELS = re.compile(r"(?:ai|AI)[A-Z]\w*")

# fmt: off
_SETTINGS = frozenset({
    "cast_string_to_dynamic_use_inference", "date_time_input_format", "date_time_output_format", "extremes", "final",
    "join_use_nulls", "limit", "log_comment", "max_block_size", "max_bytes_to_read", "max_execution_time",
    "max_result_bytes", "max_result_rows", "max_rows_to_read", "max_threads", "offset", "read_overflow_mode",
    "result_overflow_mode", "session_timezone", "timeout_overflow_mode", "use_query_cache",
})
# fmt: on
_SETTING_FAMILIES = tuple(f"output_format_{one}_" for one in ("arrow", "binary", "csv", "json", "parquet", "tsv"))
"""Only looks and limits: nothing that names a file, holds an expression, lifts a limit or changes what is allowed."""


class Guard(NamedTuple):
    """The names that a reader may not use."""

    calls: frozenset[bytes]
    """Lower case; forbidden as a function. Table functions that reach outside, as this engine knows them."""
    names: frozenset[bytes]
    """Exact; forbidden anywhere, because a scalar function need not be called to be used."""

    def check(self, connection: Connection, sql: bytes) -> None:
        """Raises StoreError (READONLY) unless a reader may run this READ_ONLY statement."""
        # The value of a parameter is read as TSV, so that the statement gets there whole.
        text = sql.decode("utf-8", "surrogateescape")
        escaped = text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
        printed = run(connection, b"SELECT formatQuerySingleLine({q:String})", "TSVRaw", {"q": escaped}).body
        self._check_printed(printed)

    def _check_printed(self, printed: bytes) -> None:
        asks_for_tables = shape(printed).first in {"EXISTS", "SHOW"}
        previous = b""
        for token in tokens(printed):
            piece = printed[token.start : token.end]
            if token.kind in {"word", "quoted"}:
                name = plain(printed, token)
                if name in self.names or (asks_for_tables and b"/" in name):
                    raise _refused(name)
                previous = name.lower()
                continue
            if piece == b"(" and previous in self.calls:
                raise _refused(previous)
            previous = b""


def make_guard(connection: Connection) -> Guard:
    """The guard for this engine: whatever table function it has is forbidden unless we know it to be harmless."""
    tables = set(read_text(connection, b"SELECT name FROM system.table_functions").split("\n"))
    scalars = set(read_text(connection, b"SELECT name FROM system.functions").split("\n"))
    calls = {name.lower() for name in tables} - _HARMLESS_TABLE_FUNCTIONS
    models = {name for name in scalars if _TALKS_TO_MODELS.fullmatch(name)}
    names = {"file", *models}
    return Guard(frozenset(name.encode() for name in calls), frozenset(name.encode() for name in names))


def check_settings(settings: Mapping[str, str]) -> None:
    """Raises StoreError (READONLY) unless a reader may set all of these for a query."""
    for name in settings:
        if name not in _SETTINGS and not name.startswith(_SETTING_FAMILIES):
            raise StoreError(READONLY, f"Cannot modify '{name[:80]}' setting in readonly mode")


def _refused(name: bytes) -> StoreError:
    detail = f"'{name.decode('utf-8', 'replace')[:80]}' is not allowed in readonly mode"
    return StoreError(READONLY, detail)

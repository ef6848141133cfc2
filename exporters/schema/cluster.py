"""The same DDL for a cluster: what one server has as a table is there a local table on every shard and one over them.

A table whose rows belong to a trace, or that a materialized view fills, is spread: `calls_local` is a replicated
table on every shard, and `calls`, the name that is written to and read from, is Distributed over them. All rows of a
trace are on one shard. Materialized views work from local table to local table, views read the distributed ones. Any
other table is small and stands whole on every node: all nodes are replicas of one table. PURE: text in, text out.

The servers need the macros `shard` and `replica`. Paths in Keeper hold the names of database and table, not a UUID, so
that the same statement, run again, makes the tables of a node that was added later.

Source: the ClickHouse fact sheet, section 7.
"""

import re
from collections.abc import Iterable
from typing import Protocol

from exporters.schema.statement import (
    Alter,
    CreateMaterializedView,
    CreateTable,
    CreateView,
    Drop,
    Insert,
    StatementError,
    has_alias,
    parse,
    quote_identifier,
    quote_text,
    tables_read,
)

LOCAL = "_local"
"""Ends the name of the table that a shard keeps its rows in."""
REMEMBERED_INSERTS = 100_000
"""How many insert tokens a replicated table remembers: a day of one recorder that delivers every second."""
REMEMBERED_S = 7 * 86_400
"""And for how long. The server's own hour would let a segment in twice that waited for longer."""

_TRACE = "trace_id"
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window\s*=\s*(?P<inserts>[0-9]+)")
_COLUMN_COMMAND = re.compile(r"(ADD|DROP|MODIFY|RENAME|COMMENT|CLEAR)\s+COLUMN\b", re.IGNORECASE)
_NOT_OF_DISTRIBUTED = re.compile(r"(CLEAR\s+COLUMN|(ADD|DROP|MODIFY|RENAME|COMMENT)\s+(?!COLUMN)\w+)\b", re.IGNORECASE)


class Form(Protocol):
    """Makes the statements that are run out of those that are written."""

    def create_database(self) -> str:
        """The statement that makes the database."""

    def local(self, table: str) -> str:
        """The name of the table that holds the rows."""

    def of(self, sql: str) -> tuple[str, ...]:
        """The statements to run for this one. Raises StatementError."""

    def qualified(self, table: str) -> str:
        """The same with its database, quoted."""

    def on_cluster(self) -> str:
        """What follows the name of a table in DDL; empty on one server."""

    def system(self, table: str) -> str:
        """A table of `system` as it must be named to see every shard once."""


class ServerForm:
    """One server: statements are run as they are written."""

    def __init__(self, database: str) -> None:
        self._database = database

    def create_database(self) -> str:
        """The statement that makes the database."""
        return f"CREATE DATABASE IF NOT EXISTS {quote_identifier(self._database)}"

    def local(self, table: str) -> str:
        """The same name."""
        return table

    def of(self, sql: str) -> tuple[str, ...]:
        """The statement."""
        return (sql,)

    def qualified(self, table: str) -> str:
        """The table with its database, quoted."""
        return f"{quote_identifier(self._database)}.{quote_identifier(table)}"

    def on_cluster(self) -> str:
        """Nothing."""
        return ""

    def system(self, table: str) -> str:
        """The table of this server."""
        return f"system.{table}"


class ClusterForm:
    """Makes the statements for a cluster.

    Args:
        cluster: Its name in `remote_servers`.
        database: The database that the tables are in, on every node.
        statements: Every statement of the schema, as for one server; it says which tables there are.

    Raises:
        StatementError: One of them has no form on a cluster.
    """

    def __init__(self, cluster: str, database: str, statements: Iterable[str]) -> None:
        self._cluster = cluster
        self._database = database
        self._on = f"ON CLUSTER {quote_identifier(cluster)}"
        seen = [parse(statement) for statement in statements]
        made = [one for one in seen if isinstance(one, CreateTable)]
        views = [one for one in seen if isinstance(one, CreateMaterializedView)]
        targets = {view.target for view in views}
        self.spread = frozenset(one.name for one in made if _TRACE in one.columns or one.name in targets)
        """Tables of which every shard has a part."""
        self.whole = frozenset(one.name for one in made) - self.spread
        """Tables that every node has the whole of."""
        self._materialized = frozenset(view.name for view in views)

    def create_database(self) -> str:
        """The statement that makes the database on every node."""
        return f"CREATE DATABASE IF NOT EXISTS {quote_identifier(self._database)} {self._on}"

    def local(self, table: str) -> str:
        """The name of the table that holds the rows."""
        return table + LOCAL if table in self.spread else table

    def of(self, sql: str) -> tuple[str, ...]:
        """The statements that do on a cluster what this one does on one server. Raises StatementError."""
        statement = parse(sql)
        match statement:
            case CreateTable():
                return self._create_table(statement)
            case CreateMaterializedView(name=name, target=target, select=select):
                head = f"CREATE MATERIALIZED VIEW IF NOT EXISTS {quote_identifier(name)} {self._on}"
                return (f"{head} TO {quote_identifier(self.local(target))} AS\n{self._from_local(select)}",)
            case CreateView(name=name, replace=replace, select=select):
                head = "CREATE OR REPLACE VIEW" if replace else "CREATE VIEW IF NOT EXISTS"
                name = quote_identifier(name)
                return (f"{head} {name} {self._on} AS\n{select}",)
            case Alter():
                return self._alter(statement)
            case Insert(name=name, rest=rest):
                # Run on one node: what it reads is the whole table, and the sums of a roll-up may stand on any shard.
                return (f"INSERT INTO {quote_identifier(self.local(name))} {rest}",)
            case Drop(name=name, view=view):
                names = [name] if view or name not in self.spread else [name, self.local(name)]
                kind = "VIEW" if view else "TABLE"
                return tuple(f"DROP {kind} IF EXISTS {quote_identifier(one)} {self._on} SYNC" for one in names)

    def qualified(self, table: str) -> str:
        """The table that holds the rows with its database, quoted."""
        return f"{quote_identifier(self._database)}.{quote_identifier(self.local(table))}"

    def on_cluster(self) -> str:
        """`ON CLUSTER name`, with a blank before it."""
        return f" {self._on}"

    def system(self, table: str) -> str:
        """The table of one replica of every shard."""
        return f"cluster({quote_text(self._cluster)}, system, {table})"

    def engine_arguments(self, table: str) -> str:
        """Where a table is in Keeper, and what the replica is called there."""
        if table in self.spread:
            return "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
        return "'/clickhouse/tables/{database}/{table}', '{shard}-{replica}'"

    def _create_table(self, table: CreateTable) -> tuple[str, ...]:
        local = quote_identifier(self.local(table.name))
        arguments = self.engine_arguments(table.name)
        if table.engine_arguments:
            arguments += f", {table.engine_arguments}"
        made = (
            f"CREATE TABLE IF NOT EXISTS {local} {self._on}\n{table.body}\n"
            f"ENGINE = Replicated{table.engine}({arguments})\n{_remembering(table.clauses)}"
        )
        if table.name not in self.spread:
            return (made,)
        place = f"{quote_text(self._cluster)}, {quote_text(self._database)}, {quote_text(self.local(table.name))}"
        over = (
            f"CREATE TABLE IF NOT EXISTS {quote_identifier(table.name)} {self._on} AS {local}\n"
            f"ENGINE = Distributed({place}, {_sharding_key(table)})"
        )
        return made, over

    def _alter(self, statement: Alter) -> tuple[str, ...]:
        name = statement.name
        if name in self._materialized:
            queries = [self._from_local(command) for command in statement.commands]
            return (f"ALTER TABLE {quote_identifier(name)} {self._on} {', '.join(queries)}",)
        commands = [_remembering(command) for command in statement.commands]
        made = f"ALTER TABLE {quote_identifier(self.local(name))} {self._on} {', '.join(commands)}"
        columns = [c for c in commands if _COLUMN_COMMAND.match(c) and not _NOT_OF_DISTRIBUTED.match(c)]
        if name not in self.spread or not columns:
            return (made,)
        return made, f"ALTER TABLE {quote_identifier(name)} {self._on} {', '.join(columns)}"

    def _from_local(self, select: str) -> str:
        """The query, reading the local tables; their names go on meaning the same in the rest of it."""
        for token in reversed(list(tables_read(select))):
            if token.name in self.spread:
                alias = "" if has_alias(select, token) else f" AS {quote_identifier(token.name)}"
                local = quote_identifier(self.local(token.name))
                select = f"{select[: token.start]}{local}{alias}{select[token.end :]}"
        return select


def _remembering(clauses: str) -> str:
    """The window of a plain table as that of a replicated one, which has an age as well."""

    def window(found: re.Match[str]) -> str:
        inserts = max(REMEMBERED_INSERTS, int(found["inserts"]))
        return f"replicated_deduplication_window = {inserts}, replicated_deduplication_window_seconds = {REMEMBERED_S}"

    return _WINDOW.sub(window, clauses)


def _sharding_key(table: CreateTable) -> str:
    """Where a row goes. It must be the same at every try: a token is remembered by the shard that has seen it."""
    columns = (_TRACE,) if _TRACE in table.columns else table.order_by
    if not columns:
        raise StatementError(f"{table.name} must be ordered by columns: they say which shard a row goes to.")
    return f"cityHash64({', '.join(map(quote_identifier, columns))})"

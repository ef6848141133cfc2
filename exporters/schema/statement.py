"""DDL as values: which table a statement makes or changes, of which columns and engine. PURE.

It reads the few forms that migrations are written in, and says so when it meets another: what is made of a statement
(its form on a cluster, what a database is compared with) must not rest on a guess.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<text>'(?:[^'\\]|\\.|'')*')
    |(?P<quoted>`(?:[^`\\]|\\.)*`)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>[0-9][A-Za-z0-9_.]*)
    |(?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_NO_COLUMN = frozenset({"INDEX", "PROJECTION", "CONSTRAINT", "PRIMARY"})
_AFTER_TYPE = frozenset({"DEFAULT", "MATERIALIZED", "ALIAS", "EPHEMERAL", "CODEC", "TTL", "COMMENT"})


class StatementError(ValueError):
    """A statement of a form that no migration may have; the text says which."""


class Token(NamedTuple):
    """A piece of SQL that is neither white space nor comment."""

    kind: str
    """text, quoted, word, number or mark."""
    text: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """The identifier without its quotes."""
        return re.sub(r"\\(.)", r"\1", self.text[1:-1]) if self.kind == "quoted" else self.text

    def says(self, word: str) -> bool:
        """Whether it is this keyword or mark."""
        return self.kind in {"word", "mark"} and self.text.upper() == word


class CreateTable(msgspec.Struct, frozen=True, kw_only=True):
    """CREATE TABLE with columns and an engine of the MergeTree family."""

    name: str
    columns: dict[str, str]
    """Name -> type as it is written; empty where the statement leaves it to the default."""
    body: str
    """Columns and indexes, in their brackets."""
    engine: str
    engine_arguments: str
    """What stands in the brackets of the engine; empty without."""
    clauses: str
    """PARTITION BY ... SETTINGS."""
    order_by: tuple[str, ...]
    """The plain columns of the sorting key."""


class CreateMaterializedView(msgspec.Struct, frozen=True, kw_only=True):
    """CREATE MATERIALIZED VIEW ... TO a table of ours."""

    name: str
    target: str
    select: str


class CreateView(msgspec.Struct, frozen=True, kw_only=True):
    """CREATE VIEW, or CREATE OR REPLACE VIEW."""

    name: str
    replace: bool
    select: str


class Alter(msgspec.Struct, frozen=True, kw_only=True):
    """ALTER TABLE with its commands one by one."""

    name: str
    commands: tuple[str, ...]


class Insert(msgspec.Struct, frozen=True, kw_only=True):
    """INSERT INTO a table of ours."""

    name: str
    rest: str
    """From after the name of the table."""


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """DROP TABLE, or DROP VIEW, IF EXISTS."""

    name: str
    view: bool


Statement = CreateTable | CreateMaterializedView | CreateView | Alter | Insert | Drop


def tokens(sql: str) -> list[Token]:
    """The pieces of a statement, in order."""
    return [
        Token(found.lastgroup or "", found[0], found.start(), found.end())
        for found in _TOKEN.finditer(sql)
        if found.lastgroup != "space"
    ]


def parse(sql: str) -> Statement:
    """What a statement does. Raises StatementError for a form that is none of the above."""
    reader = _Reader(sql)
    if reader.take("CREATE", "TABLE", "IF", "NOT", "EXISTS"):
        return _create_table(reader)
    if reader.take("CREATE", "MATERIALIZED", "VIEW", "IF", "NOT", "EXISTS"):
        name = reader.name()
        reader.need("TO", f"{name} must write TO a table")
        target = reader.name()
        reader.need("AS", f"{name} must give its query after AS")
        return CreateMaterializedView(name=name, target=target, select=reader.rest())
    replace = reader.take("CREATE", "OR", "REPLACE", "VIEW")
    if replace or reader.take("CREATE", "VIEW", "IF", "NOT", "EXISTS"):
        name = reader.name()
        reader.need("AS", f"{name} must give its query after AS")
        return CreateView(name=name, replace=replace, select=reader.rest())
    if reader.take("ALTER", "TABLE"):
        name = reader.name()
        return Alter(name=name, commands=tuple(_pieces(reader.sql, reader.left())))
    if reader.take("INSERT", "INTO"):
        return Insert(name=reader.name(), rest=reader.rest())
    for kind in ("TABLE", "VIEW"):
        if reader.take("DROP", kind, "IF", "EXISTS"):
            return Drop(name=reader.name(), view=kind == "VIEW")
    begin = " ".join(token.text for token in tokens(sql)[:5])
    raise StatementError(f"A migration may not hold a statement that begins with {begin!r}.")


def tables_read(sql: str) -> Iterator[Token]:
    """The names after FROM and JOIN that are plain tables."""
    seen = tokens(sql)
    for before, token, after in zip(seen, seen[1:], [*seen[2:], None], strict=False):
        called = after is not None and (after.says("(") or after.says("."))
        if (before.says("FROM") or before.says("JOIN")) and token.kind in {"word", "quoted"} and not called:
            yield token


def has_alias(sql: str, table: Token) -> bool:
    """Whether a name gives the table that is read a name of its own."""
    following = [token for token in tokens(sql) if token.start >= table.end]
    if not following or following[0].kind not in {"word", "quoted"}:
        return False
    return following[0].kind == "quoted" or not _AFTER_TABLE.fullmatch(following[0].text)


_AFTER_TABLE = re.compile(
    "WHERE|PREWHERE|GROUP|ORDER|LIMIT|HAVING|UNION|SETTINGS|FORMAT|FINAL|SAMPLE|WINDOW|QUALIFY|ON|USING|JOIN|INNER|LEFT"
    "|RIGHT|FULL|CROSS|ANY|ALL|ASOF|SEMI|ANTI|GLOBAL|ARRAY|EXCEPT|INTERSECT",
    re.IGNORECASE,
)
"""What may follow a table that has no name of its own."""


class _Reader:
    """Goes along the tokens of one statement."""

    def __init__(self, sql: str) -> None:
        self.sql = sql.strip().removesuffix(";").rstrip()
        self._tokens = tokens(self.sql)
        self._at = 0

    def take(self, *words: str) -> bool:
        """Go past these words if they are next."""
        following = self._tokens[self._at : self._at + len(words)]
        found = len(following) == len(words) and all(map(Token.says, following, words))
        self._at += len(words) * found
        return found

    def need(self, word: str, otherwise: str) -> None:
        """Go past this word. Raises StatementError."""
        if not self.take(word):
            raise StatementError(f"{otherwise}.")

    def name(self) -> str:
        """An unqualified name. Raises StatementError."""
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        if token is None or token.kind not in {"word", "quoted"}:
            raise StatementError("A name is missing.")
        self._at += 1
        if self.take("."):
            raise StatementError(f"{token.name} must not name a database: that is the connection's.")
        return token.name

    def brackets(self) -> list[Token]:
        """What is from the bracket that is next to its counterpart, both included; empty when none is next."""
        first = self._at
        if first >= len(self._tokens) or not self._tokens[first].says("("):
            return []
        depth = 0
        for index in range(first, len(self._tokens)):
            depth += (self._tokens[index].text in _OPENING) - (self._tokens[index].text in _CLOSING)
            if depth == 0:
                self._at = index + 1
                return self._tokens[first : self._at]
        raise StatementError("A bracket is not closed.")

    def left(self) -> list[Token]:
        """The tokens that are left."""
        return self._tokens[self._at :]

    def rest(self) -> str:
        """The text that is left."""
        return self.sql[self._tokens[self._at].start :] if self._at < len(self._tokens) else ""


def _create_table(reader: _Reader) -> CreateTable:
    name = reader.name()
    body = reader.brackets()
    reader.need("ENGINE", f"{name} must give its columns in brackets, and its engine after them")
    reader.need("=", f"{name} must give its engine after =")
    engine = reader.name()
    if not engine.endswith("MergeTree") or engine.startswith("Replicated"):
        raise StatementError(f"{name} must be of the MergeTree family, and not Replicated: that is the cluster's form.")
    arguments = reader.brackets()
    return CreateTable(
        name=name,
        columns=dict(filter(None, (_column(reader.sql, piece) for piece in _split(body[1:-1])))),
        body=_text(reader.sql, body),
        engine=engine,
        engine_arguments=_text(reader.sql, arguments[1:-1]),
        clauses=reader.rest(),
        order_by=_order_by(reader.left()),
    )


def added_column(sql: str) -> tuple[str, str] | None:
    """Name and type of the column that a command of ALTER adds or changes; None for any other command."""
    reader = _Reader(sql)
    if not (reader.take("ADD", "COLUMN") or reader.take("MODIFY", "COLUMN")):
        return None
    _ = reader.take("IF", "NOT", "EXISTS") or reader.take("IF", "EXISTS")
    return _column(reader.sql, reader.left())


def _column(sql: str, piece: Sequence[Token]) -> tuple[str, str] | None:
    """Name and type of a column; None for an index and the like."""
    if not piece or (piece[0].kind == "word" and piece[0].text.upper() in _NO_COLUMN):
        return None
    kind = _Reader(sql[piece[1].start : piece[-1].end]) if len(piece) > 1 else None
    if kind is None or piece[1].kind != "word" or piece[1].text.upper() in _AFTER_TYPE:
        return piece[0].name, ""
    word = kind.name()
    inner = kind.brackets()
    return piece[0].name, word + _text(kind.sql, inner)


def _order_by(clauses: Sequence[Token]) -> tuple[str, ...]:
    for index, token in enumerate(clauses):
        if token.says("ORDER") and index + 2 < len(clauses) and clauses[index + 1].says("BY"):
            key = clauses[index + 2 :]
            if not key[0].says("("):
                return () if len(key) > 1 and key[1].says("(") else (key[0].name,)
            inside = _closed(key)
            return tuple(piece[0].name for piece in _split(inside) if len(piece) == 1)
    return ()


def _closed(seen: Sequence[Token]) -> Sequence[Token]:
    """What is between the first bracket and its counterpart."""
    depth = 0
    for index, token in enumerate(seen):
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth == 0:
            return seen[1:index]
    return seen[1:]


def _split(seen: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The parts between the commas that are in no bracket."""
    depth = first = 0
    for index, token in enumerate(seen):
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth == 0 and token.says(","):
            yield seen[first:index]
            first = index + 1
    if seen[first:]:
        yield seen[first:]


def _pieces(sql: str, seen: Sequence[Token]) -> Iterator[str]:
    return (_text(sql, piece) for piece in _split(seen))


def _text(sql: str, seen: Sequence[Token]) -> str:
    return sql[seen[0].start : seen[-1].end] if seen else ""


def quote_identifier(name: str) -> str:
    """A name as SQL, whatever is in it."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def quote_text(text: str) -> str:
    """A string literal, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

"""Where the parts of a statement stand: enough to route it, never enough to judge it. PURE.

The engine writes a result into a named pipe and reads inserted data from one, so two clauses have to be put into the
client's text: `INTO OUTFILE` before its FORMAT, `FROM INFILE` before the SETTINGS, FORMAT or VALUES of an insert.
Whoever uses these places has the engine itself confirm what the changed text is (`classify_query`).
Source of the lexical rules: ClickHouse documentation, "Syntax" (comments, literals, heredoc, identifiers).
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

# What is not closed reaches to the end of the text, and a list of numbers is one token: linear time on any input.
_TOKEN = re.compile(
    rb"""
    (?P<blank>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>'(?:[^'\\]|\\.|'')*+(?:'|\\?\Z))
    |(?P<quoted>`(?:[^`\\]|\\.|``)*+(?:`|\\?\Z)|"(?:[^"\\]|\\.|"")*+(?:"|\\?\Z))
    |(?P<heredoc>\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))
    |(?P<word>[A-Za-z_]\w*)
    |(?P<number>\d[\w.]*(?:[\s,]+\d[\w.]*)*)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<sign>.)
    """,
    re.DOTALL | re.VERBOSE | re.ASCII,
)
_DATA_BEGINS = re.compile(rb"[ \t\f]*(\r?\n)?")
_AFTER_INTO = frozenset({b"TABLE", b"FUNCTION"})
_NO_DATA = frozenset({b"SELECT", b"WITH", b"FROM", b"WATCH"})
_STATEFUL = frozenset({"SET", "USE", "BEGIN", "COMMIT", "ROLLBACK"})
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"0": b"\0", b"b": b"\b", b"f": b"\f", b"a": b"\a", b"v": b"\v"}
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)

Kind = Literal["blank", "string", "quoted", "heredoc", "word", "number", "open", "close", "sign"]


class Token(NamedTuple):
    """A piece of the text; `depth` counts the brackets around it."""

    kind: Kind
    start: int
    end: int
    depth: int


class Insert(NamedTuple):
    """An INSERT whose data follow the statement."""

    clause_at: int
    """Where `FROM INFILE` goes: the end of the table, function or column list."""
    rest_at: int
    """Where what follows the clause begins: SETTINGS, FORMAT or VALUES."""
    format_at: int
    """Where FORMAT or VALUES begins."""
    format: str
    data_at: int
    """Where the data begin."""


class Shape(NamedTuple):
    """What a text looks like from outside."""

    first: str
    """The first keyword in capitals; empty if there is none."""
    format: str | None
    """The format that the statement asks for itself."""
    outfile_at: int
    """Where `INTO OUTFILE` goes: before FORMAT, or at the end of the statement."""
    has_file_clause: bool
    """True when the statement names a file of its own (INTO OUTFILE, FROM INFILE)."""
    is_temporary: bool

    @property
    def changes_session(self) -> bool:
        """True when the statement leaves something behind on its connection."""
        return self.first in _STATEFUL or self.is_temporary

    def without_format(self, sql: bytes) -> "Shape":
        """The other reading, in which FORMAT is the name of a column."""
        return self._replace(format=None, outfile_at=len(sql.rstrip(b"; \t\r\n")))


def tokens(sql: bytes) -> Iterator[Token]:
    """The tokens of a text, blanks and comments left out. Never raises: what is no token is a sign."""
    depth = 0
    for match in _TOKEN.finditer(sql):
        kind: Kind = match.lastgroup  # type: ignore[assignment]  # the groups are named after Kind
        if kind == "blank":
            continue
        if kind == "close":
            depth = max(0, depth - 1)
        yield Token(kind, match.start(), match.end(), depth)
        if kind == "open":
            depth += 1


def insert_data(text: bytes, *, complete: bool) -> Insert | Literal["other", "more"]:
    """Find where the data of an INSERT begin, in the beginning of a request.

    "other": no insert with data. "more": the answer needs more of the text; never when it is `complete`.
    """
    waiting: Literal["other", "more"] = "other" if complete else "more"
    reader = iter(tokens(text))
    first = next(reader, None)
    if first is None or (first.end == len(text) and not complete):
        return waiting
    if _word(text, first) != b"INSERT":
        return "other"
    into = next(reader, None)
    name = next(reader, None)
    if name is not None and _word(text, name) in _AFTER_INTO:
        name = next(reader, None)
    if into is None or name is None:
        return waiting
    clause_at, rest_at = name.end, 0
    for token in reader:
        if token.end == len(text) and not complete:
            return waiting
        word = _word(text, token) if token.depth == 0 else b""
        if word in _NO_DATA or (not rest_at and text[token.start : token.end] == b";"):
            return "other"
        if word in {b"SETTINGS", b"FORMAT", b"VALUES"}:
            rest_at = rest_at or token.start
        if word == b"VALUES":
            return Insert(clause_at, rest_at, token.start, "Values", token.end)
        if word == b"FORMAT":
            return _format_clause(text, reader, (clause_at, rest_at, token.start), waiting, complete=complete)
        if not rest_at:
            clause_at = token.end
    return waiting


def _format_clause(
    text: bytes,
    reader: Iterator[Token],
    places: tuple[int, int, int],
    waiting: Literal["other", "more"],
    *,
    complete: bool,
) -> Insert | Literal["other", "more"]:
    name = next(reader, None)
    if name is None or name.kind != "word":
        return waiting if name is None else "other"
    blank = _DATA_BEGINS.match(text, name.end)
    data_at = blank.end() if blank else name.end
    if not complete and text[data_at:] in {b"", b"\r"} and not text.endswith(b"\n"):
        return waiting
    return Insert(*places, text[name.start : name.end].decode(), data_at)


def shape(sql: bytes) -> Shape:
    """Look a whole statement over."""
    first, previous = "", b""
    form: str | None = None
    format_at, end, last_start = -1, 0, -1
    named, temporary, settings = False, False, False
    for token in tokens(sql):
        piece = sql[token.start : token.end]
        word = _word(sql, token) if token.depth == 0 and previous != b"." else b""
        first = first or word.decode()
        if previous == b"FORMAT" and token.kind == "word":
            form, format_at, settings = piece.decode(), last_start, False
        elif form is not None and word == b"SETTINGS":
            settings = True
        elif form is not None and piece != b";" and not settings:
            form = None
        named = named or (word == b"OUTFILE" and previous == b"INTO") or (word == b"INFILE" and previous == b"FROM")
        temporary = temporary or word == b"TEMPORARY"
        if piece != b";":
            end = token.end
        previous, last_start = word or piece, token.start
    return Shape(first, form, format_at if form is not None else end, named, temporary)


def selects_from_data(sql: bytes) -> bool:
    """True for an INSERT that selects from the data behind it: `INSERT ... SELECT ... FROM input('...') FORMAT ...`."""
    pieces = [sql[token.start : token.end].upper() for token in tokens(sql)]
    return any(pair == (b"INPUT", b"(") for pair in pairwise(pieces))


def into_pipe(sql: bytes, form: Shape, path: str, default_format: str) -> bytes:
    """The statement with its result going into a file, in its own format or else in the default one."""
    clause = b"\nINTO OUTFILE " + quoted(path) + b" TRUNCATE "
    if form.format is not None:
        return sql[: form.outfile_at] + clause + sql[form.outfile_at :]
    return sql[: form.outfile_at] + clause + b"FORMAT " + default_format.encode()


def from_pipe(sql: bytes, insert: Insert, path: str) -> bytes:
    """The insert with its data coming from a file instead of from behind the statement."""
    clause = b" FROM INFILE " + quoted(path) + b" COMPRESSION 'none' "
    settings = sql[insert.rest_at : insert.format_at]
    return sql[: insert.clause_at] + clause + settings + b"\nFORMAT " + insert.format.encode()


def quoted(text: str) -> bytes:
    """A string literal."""
    return b"'" + text.encode("utf-8", "surrogateescape").replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def identifier(name: str) -> bytes:
    """An identifier that can be nothing else."""
    return b"`" + name.encode("utf-8", "surrogateescape").replace(b"\\", b"\\\\").replace(b"`", b"\\`") + b"`"


def plain(sql: bytes, token: Token) -> bytes:
    """The name that a word or a quoted identifier stands for."""
    piece = sql[token.start : token.end]
    if token.kind != "quoted":
        return piece
    return _ESCAPE.sub(_unescaped, piece[1:-1].replace(piece[:1] * 2, piece[:1]))


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code[1:], 16)]) if len(code) == 3 else _ESCAPES.get(code, code)


def _word(sql: bytes, token: Token) -> bytes:
    return sql[token.start : token.end].upper() if token.kind == "word" else b""

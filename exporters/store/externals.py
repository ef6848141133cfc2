"""Tables that a request brings along (external data): made for one statement, gone after it."""

import re
from dataclasses import dataclass
from pathlib import Path

from exporters.store.engine import Connection, run
from exporters.store.errors import BAD_ARGUMENTS, StoreError
from exporters.store.statement import identifier, quoted, tokens

_NAME = re.compile(r"\w+", re.ASCII)


@dataclass(frozen=True, slots=True)
class External:
    """One such table: its name, its columns as `name Type, ...`, the format of the file and the file."""

    name: str
    structure: str
    format: str
    file: Path


def load(connection: Connection, external: External) -> None:
    """Make the temporary table and fill it. Raises StoreError.

    The columns go through the engine's own parser first and only names and types come back: a client's text that was
    put into CREATE could carry an engine, a default or a query that its user may not use.
    """
    if not _NAME.fullmatch(external.format):
        raise StoreError(BAD_ARGUMENTS, f"Invalid format of external table {external.name}")
    described = run(connection, b"DESCRIBE TABLE null(" + quoted(external.structure) + b")", "RowBinary").body
    columns = [identifier(name) + b" " + kind for name, kind in _names_and_types(described)]
    table = identifier(external.name)
    run(connection, b"CREATE TEMPORARY TABLE " + table + b" (" + b", ".join(columns) + b")")
    source = quoted(str(external.file)) + b" COMPRESSION 'none' FORMAT " + external.format.encode()
    run(connection, b"INSERT INTO " + table + b" FROM INFILE " + source)


def drop(connection: Connection, external: External) -> None:
    """Remove the temporary table. Raises StoreError."""
    run(connection, b"DROP TEMPORARY TABLE IF EXISTS " + identifier(external.name))


def structure_of_types(types: str) -> str:
    """The structure that a list of types alone stands for: columns `_1`, `_2` and so on."""
    text = types.encode("utf-8", "surrogateescape")
    cuts = [token.start for token in tokens(text) if token.depth == 0 and text[token.start : token.end] == b","]
    starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, len(text)]
    pieces = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    parts = [piece.decode("utf-8", "surrogateescape").strip() for piece in pieces]
    return ", ".join(f"_{number} {part}" for number, part in enumerate(parts, 1))


def _names_and_types(described: bytes) -> list[tuple[str, bytes]]:
    """The first two of the seven text columns that DESCRIBE gives, as RowBinary: escaped by nothing."""
    cells, at = [], 0
    while at < len(described):
        length, shift = 0, 0
        while True:
            byte = described[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        cells.append(described[at : at + length])
        at += length
    width = 7
    return [(cells[i].decode("utf-8", "surrogateescape"), cells[i + 1]) for i in range(0, len(cells), width)]

"""Gives what lies in quarantine a second chance, after an upgrade or a repair: it is on the books once, or stays there.

Lines of the journal go back into it as an instance of their own (`exporters.journal.put_back`), for every sink. Rows
that the store refused go to the store alone, under a token of their entry. Either way the store is asked first which
calls it has, and those are left out: a call may have been closed as interrupted in the meantime.
"""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from exporters.journal.put_back import put_back
from exporters.journal.quarantine import Entry, Quarantine
from exporters.journal.reader import LINE_DECODER, instances
from proxy.core.record import RECORD_VERSION, CallRecord, JournalLine, LossRecord, OpenRecord

_MAY_BE_CLOSED = frozenset({"damaged", "unreadable"})
"""Reasons for which the end of a call may lie in quarantine while it counts as under way."""
DROPPED = "quarantine_dropped"
"""Loss: lines that somebody has taken out of quarantine for good."""
_ROWS = "refused-"


class Store(Protocol):
    """What the store is asked; `exporters.clickhouse.missing.MissingOnlySink` is it."""

    def known_calls(self, call_ids: Collection[str]) -> set[str]:
        """Those of the calls that it has. Raises SinkUnavailableError."""

    def insert_missing(self, table: str, lines: Sequence[bytes], token: str) -> tuple[int, int]:
        """Insert rows; how many, and how many it had. Raises ValueError, SinkUnavailableError."""


class Resubmitted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an entry."""

    id: str
    done: bool
    """Whether it has left the quarantine."""
    put_back: int = 0
    """Lines that went into the journal, or rows that went into the store."""
    known: int = 0
    """Lines of calls that the store has already."""
    unreadable: int = 0
    """Lines that went along and come back into quarantine, as they can still not be read."""
    instance: str = ""
    """The instance of the journal that holds them now."""
    why: str = ""
    """Why it stays."""


def resubmit(quarantine: Quarantine, entry: Entry, *, journal_dir: Path, store: Store) -> Resubmitted:
    """Put one entry back. Raises OSError, SinkUnavailableError; then, and after a kill, it is there still or done.

    Args:
        quarantine: Of the journal.
        entry: What to put back.
        journal_dir: The folder of all instances.
        store: The store that the recorder delivers to.
    """
    lines = entry.read()
    if entry.reason.startswith(_ROWS):
        return _rows(quarantine, entry, lines, store)
    return _lines(quarantine, entry, lines, journal_dir, store)


def drop(quarantine: Quarantine, entry: Entry, *, journal_dir: Path) -> None:
    """Give up an entry for good: noted, and counted as a loss by the recorder. Raises OSError."""
    digest = hashlib.sha256(entry.path.read_bytes()).hexdigest()
    quarantine.note("dropped", entry, lines=entry.lines, sha256=digest, why=entry.why)
    loss = LossRecord(v=RECORD_VERSION, at_ns=int(entry.put_at_s * 1e9), counts={DROPPED: entry.lines})
    put_back(journal_dir, entry, [msgspec.json.encode(loss)])


def _rows(quarantine: Quarantine, entry: Entry, lines: list[bytes], store: Store) -> Resubmitted:
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest()[:32]
    table = entry.reason.removeprefix(_ROWS)
    try:
        inserted, known = store.insert_missing(table, lines, f"{entry.id}-{digest}/{table}")
    except ValueError as error:
        return Resubmitted(id=entry.id, done=False, why=str(error))
    quarantine.note("resubmitted", entry, rows=inserted, known=known)
    quarantine.forget(entry)
    return Resubmitted(id=entry.id, done=True, put_back=inserted, known=known)


def _lines(quarantine: Quarantine, entry: Entry, lines: list[bytes], journal_dir: Path, store: Store) -> Resubmitted:
    records = [_decoded(line) for line in lines]
    if not any(records):
        return Resubmitted(id=entry.id, done=False, why="no line of it can be read")
    if entry.instance in instances(journal_dir):
        if any(isinstance(record, OpenRecord) for record in records):
            why = f"it holds the beginning of a call, and the journal of {entry.instance} may yet hold its end"
            return Resubmitted(id=entry.id, done=False, why=why)
        if entry.reason in _MAY_BE_CLOSED and any(isinstance(record, CallRecord) for record in records):
            why = f"its calls may yet be closed as interrupted, with the journal of {entry.instance}"
            return Resubmitted(id=entry.id, done=False, why=why)
    ids = {record.call_id for record in records if isinstance(record, CallRecord | OpenRecord)}
    known = store.known_calls(ids) if ids else set()
    kept = [
        line
        for line, record in zip(lines, records, strict=True)
        if not isinstance(record, CallRecord | OpenRecord) or record.call_id not in known
    ]
    result = Resubmitted(
        id=entry.id,
        done=True,
        put_back=len(kept),
        known=len(lines) - len(kept),
        unreadable=sum(record is None for record in records),
    )
    quarantine.note("resubmitted", entry, lines=result.put_back, known=result.known)
    return msgspec.structs.replace(result, instance=put_back(journal_dir, entry, kept))


def _decoded(line: bytes) -> JournalLine | None:
    try:
        return LINE_DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeError):
        return None

"""Reads the journals of all instances, each in its order, and closes what dead processes left open.

Reading comes before shipping and is done once per segment, whatever the sinks do: it matches `call` lines with `open`
lines over the segments, adds up losses, and puts what cannot be read into quarantine. All of it is blocking work for a
thread. Each step may be cut short by a kill and is then done again with the same result.
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from exporters.journal.names import open_name
from exporters.journal.put_back import finish
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import (
    Content,
    Listing,
    Segment,
    add_segment,
    claim_dead,
    instances,
    last_number,
    list_segments,
    read_segment,
    recover,
    remove_abandoned,
)
from exporters.recorder.interrupted import close_interrupted
from exporters.recorder.state import State
from proxy.core.record import RECORD_VERSION, CallRecord, JournalLine, LossRecord, OpenRecord

_CLOCK_TICK_NS = 1_000_000_000


class Found(msgspec.Struct, kw_only=True):
    """What one look at the journal brought."""

    read: dict[str, int] = {}
    """Instance -> number of the last segment that was read, for all of them."""
    new_segments: int = 0
    """Segments that were read now."""
    new_bytes: int = 0
    old: list[Segment] = []
    """Segments that a former run has read and that still lie in the journal: not every sink has them, or a kill came
    before they were put away. Each is told once."""
    finished: set[str] = set()
    """Instances whose process is dead and whose every line is read and closed."""
    interrupted: int = 0
    """Calls that were closed for dead processes."""
    errors: list[str] = []


class _Stub(msgspec.Struct):
    """As much of an unreadable line as says what it is about."""

    line: str = ""
    call_id: str = ""
    v: int = 0


class _Followed(msgspec.Struct):
    """One instance, as far as it is known."""

    read: int
    finished: bool = False
    quiet_since_ns: int = 0
    """When its folder last changed, if that is what was listed; 0 when the folder has to be listed."""


class Follower:
    """The reading side of the recorder.

    Args:
        journal_dir: The folder of all instances.
        state: How far was read, and what is under way.
        quarantine: Where unreadable lines go.
        offer: Told what is in each segment that was read, for whoever needs it next.
    """

    def __init__(
        self,
        journal_dir: Path,
        state: State,
        quarantine: Quarantine,
        offer: Callable[[Segment, Content], None] = lambda _segment, _content: None,
    ) -> None:
        self._journal_dir = journal_dir
        self._state = state
        self._quarantine = quarantine
        self._offer = offer
        self._followed: dict[str, _Followed] = {}
        if journal_dir.is_dir():
            finish(journal_dir)
            remove_abandoned(journal_dir)
        state.begin({name: number for name in instances(journal_dir) if (number := last_number(journal_dir, name))})
        for gone in state.known_instances() - set(instances(journal_dir)):
            state.forget(gone, may_return=True)

    def look(self) -> Found:
        """Read everything that is new. Trouble with one instance is reported and does not hold up the others."""
        found = Found()
        present = instances(self._journal_dir)
        for gone in self._followed.keys() - set(present):
            del self._followed[gone]
        for instance in present:
            try:
                followed = self._followed.get(instance) or self._meet(instance, found)
                if not followed.finished:
                    self._follow(instance, followed, found)
            except (OSError, sqlite3.Error) as error:
                found.errors.append(f"journal {instance}: {error}")
        for instance, followed in self._followed.items():
            found.read[instance] = followed.read
            if followed.finished:
                found.finished.add(instance)
        return found

    def _meet(self, instance: str, found: Found) -> _Followed:
        """An instance seen first in this run; segments that a former run has read may not be shipped yet."""
        followed = _Followed(self._state.read_up_to(instance))
        sealed = list_segments(self._journal_dir, instance).sealed
        found.old += (segment for number, segment in sealed.items() if number <= followed.read)
        self._followed[instance] = followed
        return followed

    def _follow(self, instance: str, followed: _Followed, found: Found) -> None:
        lock = claim_dead(self._journal_dir, instance)
        if lock is None:
            if not self._is_quiet(instance, followed):
                self._read_sealed(followed, list_segments(self._journal_dir, instance, after=followed.read), found)
            return
        with lock:
            recover(self._journal_dir, instance, self._quarantine)
            # It was dead before this look: so the listing is the last word.
            self._read_sealed(followed, list_segments(self._journal_dir, instance, after=followed.read), found)
            if lines := self._state.open_lines(instance):
                self._close_open(instance, followed, lines)
                found.interrupted += len(lines)
                self._read_sealed(followed, list_segments(self._journal_dir, instance, after=followed.read), found)
            followed.finished = True

    def _is_quiet(self, instance: str, followed: _Followed) -> bool:
        """Whether nothing can have been sealed since the last look: a folder with a long backlog is dear to list."""
        folder = self._journal_dir / instance
        if (folder / open_name(followed.read + 1)).exists():
            # Segments are sealed in order.
            return True
        changed_ns = folder.stat().st_mtime_ns
        quiet = changed_ns == followed.quiet_since_ns
        # A change in the same tick of the file system's clock would not show: only a time that is past is trusted.
        followed.quiet_since_ns = changed_ns if time.time_ns() - changed_ns > _CLOCK_TICK_NS else 0
        return quiet

    def _read_sealed(self, followed: _Followed, listing: Listing, found: Found) -> None:
        """Read in order; stop before a segment that is still open, step over those that are gone."""
        for number in sorted(listing.sealed):
            gap = range(followed.read + 1, number)
            if any(missing in listing.open for missing in gap):
                return
            # Where nothing was ever read, the first ones may have been shipped by a recorder whose state is gone.
            missing = len(gap) if followed.read else 0
            self._read(listing.sealed[number], losses={"segment_missing": missing} if missing else {})
            followed.read = number
            found.new_segments += 1
            found.new_bytes += size_bytes(listing.sealed[number])

    def _read(self, segment: Segment, losses: dict[str, int]) -> None:
        content = read_segment(segment)
        stubs = [_stub(line) for line in content.bad]
        for reason in ("newer", "unreadable" if content.intact else "damaged"):
            lines = [
                line
                for line, stub in zip(content.bad, stubs, strict=True)
                if (stub.v > RECORD_VERSION) == (reason == "newer")
            ]
            if lines:
                self._quarantine.put(segment.instance, segment.number, reason, lines)
        if not content.intact:
            _add(losses, "segment_damaged", 1)
        if content.missing:
            _add(losses, "journal_line_missing", content.missing)
        opened, closed = _match(content.records, losses)
        for stub in stubs:
            # The call has ended, and waits in quarantine: it must not be closed as interrupted, and so be twice.
            if stub.line == "call":
                opened.pop(stub.call_id, None)
                closed.append(stub.call_id)
        self._state.commit_read(segment.instance, segment.number, opened=opened, closed=closed, losses=losses)
        self._offer(segment, content)

    def _close_open(self, instance: str, followed: _Followed, lines: list[bytes]) -> None:
        """Close the calls of a dead process in a segment of our own behind its last one."""
        last_sign_ns = max(path.stat().st_mtime_ns for path in (self._journal_dir / instance).iterdir())
        records = [
            close_interrupted(msgspec.json.decode(line, type=OpenRecord), last_sign_ns=last_sign_ns) for line in lines
        ]
        add_segment(self._journal_dir, instance, followed.read + 1, records)


def _stub(line: bytes) -> _Stub:
    try:
        return msgspec.json.decode(line, type=_Stub)
    except (msgspec.DecodeError, UnicodeError):
        return _Stub()


def _match(records: list[JournalLine], losses: dict[str, int]) -> tuple[dict[str, bytes], list[str]]:
    """Calls that the records open and leave open, and calls that they close.

    A call that goes on to another target, or holds more, is opened again: one that is opened and closed in here may
    have been opened in an earlier segment all the same.
    """
    opened: dict[str, OpenRecord] = {}
    closed: list[str] = []
    for record in records:
        if isinstance(record, CallRecord):
            opened.pop(record.call_id, None)
            closed.append(record.call_id)
        elif isinstance(record, OpenRecord):
            opened[record.call_id] = record
        elif isinstance(record, LossRecord):
            for reason, count in record.counts.items():
                _add(losses, reason, count)
    return {call_id: msgspec.json.encode(record) for call_id, record in opened.items()}, closed


def _add(counts: dict[str, int], name: str, count: int) -> None:
    counts[name] = counts.get(name, 0) + count


def size_bytes(segment: Segment) -> int:
    """Of its file; 0 when that is gone."""
    try:
        return segment.path.stat().st_size
    except FileNotFoundError:
        return 0

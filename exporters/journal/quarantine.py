"""Where lines go that cannot be read or that a sink refuses: kept, counted by reason, and in nobody's way.

The name of a file says it all: `<instance>.<segment number>.<reason>.<lines>.jsonl`; beside it may stand a `.why` with
the words of whoever refused. The same trouble met again writes the same file again, so that counts stay true.

Reasons: `torn` (the last line of a process that died), `damaged` (a segment whose bytes have changed), `unreadable` (no
record), `newer` (of a later version), `no_row` (a call that no row could be made of), `refused-<table>` (a row that the
store refused for what is in it).
"""

import contextlib
import re
import time
from pathlib import Path

import msgspec

from exporters.journal.files import sync_dir, write_whole
from exporters.journal.names import quarantine_dir

_FILE = re.compile(
    r"(?P<instance>[A-Za-z0-9_-]+)\.(?P<number>[0-9]{8,})\.(?P<reason>[a-z_-]+)\.(?P<lines>[0-9]+)\.jsonl"
)
_MAX_WHY_CHARS = 4000
_NOTES = "notes.jsonl"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of one segment that were put aside together for one reason."""

    id: str
    """The name of the file without its suffix."""
    instance: str
    """Whose journal they stood in."""
    number: int
    """Of their segment."""
    reason: str
    lines: int
    path: Path

    @property
    def put_at_s(self) -> float:
        """When they were put there, Unix time; 0 when the file is gone."""
        try:
            return self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    @property
    def why(self) -> str:
        """The words of whoever refused them; empty where the reason says all."""
        try:
            return self.path.with_suffix(".why").read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def read(self) -> list[bytes]:
        """The lines, without line feeds. Raises OSError."""
        return self.path.read_bytes().splitlines()


class Quarantine:
    """The quarantine of one journal folder. The folder is made with the first file in it."""

    def __init__(self, journal_dir: Path) -> None:
        self._folder = quarantine_dir(journal_dir)

    def put(self, instance: str, number: int, reason: str, lines: list[bytes], *, why: str = "") -> Path:
        """Keep lines of a segment. `reason` is made of `a-z`, `_` and `-`. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{instance}.{number:08d}.{reason}.{len(lines)}.jsonl"
        if why:
            write_whole(path.with_suffix(".why"), why[:_MAX_WHY_CHARS].encode("utf-8", "replace"))
        write_whole(path, b"".join(line + b"\n" for line in lines))
        return path

    def counts(self) -> dict[str, int]:
        """Lines in quarantine, by reason."""
        found: dict[str, int] = {}
        for entry in self.entries():
            found[entry.reason] = found.get(entry.reason, 0) + entry.lines
        return found

    def entries(self) -> list[Entry]:
        """Everything in quarantine, by instance and segment."""
        if not self._folder.is_dir():
            return []
        matches = [(path, _FILE.fullmatch(path.name)) for path in self._folder.iterdir()]
        found = [
            Entry(
                id=path.stem,
                instance=match["instance"],
                number=int(match["number"]),
                reason=match["reason"],
                lines=int(match["lines"]),
                path=path,
            )
            for path, match in matches
            if match
        ]
        return sorted(found, key=lambda entry: (entry.instance, entry.number, entry.reason))

    def entry(self, id_or_beginning: str) -> Entry | None:
        """The entry of that id, or the only one whose id begins so; None when there is none, or more than one."""
        found = [entry for entry in self.entries() if entry.id.startswith(id_or_beginning)]
        exact = [entry for entry in found if entry.id == id_or_beginning]
        return exact[0] if exact else found[0] if len(found) == 1 else None

    def forget(self, entry: Entry) -> None:
        """Remove what is left of an entry: its file, if it is there, and the words beside it. Raises OSError."""
        for path in (entry.path, entry.path.with_suffix(".why")):
            path.unlink(missing_ok=True)
        sync_dir(self._folder)

    def note(self, done: str, entry: Entry, **more: object) -> None:
        """Write down what somebody is about to do with an entry. Raises OSError."""
        said = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "done": done, "id": entry.id, **more}
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / _NOTES).open("ab") as file:
            file.write(msgspec.json.encode(said) + b"\n")

    def notes(self) -> list[dict[str, object]]:
        """What was done with entries so far, oldest first."""
        try:
            lines = (self._folder / _NOTES).read_bytes().splitlines()
        except FileNotFoundError:
            return []
        found: list[dict[str, object]] = []
        for line in lines:
            # The last one may be torn.
            with contextlib.suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line, type=dict[str, object]))
        return found

    def mark(self, mark: str, text: str) -> None:
        """Remember a text, over any crash, under a name of letters that a file may have. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / f".{mark}.mark", text.encode())

    def marked(self, mark: str) -> str:
        """The text that was given to `mark`; empty when there is none. Raises OSError."""
        try:
            return (self._folder / f".{mark}.mark").read_text()
        except FileNotFoundError:
            return ""

    def unmark(self, mark: str) -> None:
        """Forget a mark. Raises OSError."""
        (self._folder / f".{mark}.mark").unlink(missing_ok=True)
        sync_dir(self._folder)

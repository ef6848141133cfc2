"""Where lines go that cannot be read or that a sink refuses: kept, counted by reason, and in nobody's way.

The name of a file says it all: `<instance>.<segment number>.<reason>.<lines>.jsonl`; beside it may stand a `.why` with
the words of whoever refused. The same trouble met again writes the same file again, so that counts stay true.
"""

import re
from pathlib import Path

from exporters.journal.files import sync_dir, write_whole
from exporters.journal.names import quarantine_dir

_FILE = re.compile(r"[A-Za-z0-9_-]+\.[0-9]{8,}\.(?P<reason>[a-z_-]+)\.(?P<lines>[0-9]+)\.jsonl")
_MAX_WHY_CHARS = 4000


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
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if match := _FILE.fullmatch(path.name):
                    found[match["reason"]] = found.get(match["reason"], 0) + int(match["lines"])
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

"""Takes an entry out of quarantine and puts lines into the journal in its place: both or neither.

The lines become the only segment of an instance of their own, whose process is dead, so that the recorder takes them as
it takes all others: once. They lie in a folder that is no instance yet; the entry's file is moved into it, which is the
one step that counts; then the folder gets its name. A crash before that step changes nothing, and one after it is made
good by `finish`, which the recorder calls at its start, and whoever calls `put_back` next.
"""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from exporters.journal.files import sync_dir, write_whole
from exporters.journal.names import NEW_DIR_SUFFIX, ORIGIN_NAME, SegmentName, new_instance
from exporters.journal.quarantine import Entry, Quarantine

ROLE = "again"
"""The beginning of the names of such instances."""

_ABANDONED_AFTER_S = 60.0


def put_back(journal_dir: Path, entry: Entry, lines: Sequence[bytes]) -> str:
    """Let lines, without line feeds, take the place of an entry; the name of their instance. Raises OSError."""
    finish(journal_dir)
    instance = new_instance(ROLE)
    new = journal_dir / f".{instance}{NEW_DIR_SUFFIX}"
    new.mkdir()
    try:
        data = b"".join(line + b"\n" for line in lines)
        name = SegmentName(1, len(lines), hashlib.sha256(data).hexdigest())
        write_whole(new / name.file_name, data)
        entry.path.rename(new / ORIGIN_NAME)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        raise
    _publish(new)
    Quarantine(journal_dir).forget(entry)
    return instance


def finish(journal_dir: Path) -> int:
    """Complete what a crash has cut short, and remove what it left of nothing; how many were completed."""
    finished = 0
    for new in sorted(journal_dir.glob(f".{ROLE}-*{NEW_DIR_SUFFIX}")):
        # Somebody else may just be doing the same.
        with contextlib.suppress(FileNotFoundError):
            if (new / ORIGIN_NAME).exists():
                _publish(new)
                finished += 1
            elif time.time() - new.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(new)
    return finished


def _publish(new: Path) -> None:
    final = new.with_name(new.name.removeprefix(".").removesuffix(NEW_DIR_SUFFIX))
    try:
        sync_dir(new)
        new.rename(final)
    except FileNotFoundError:
        if not final.exists():
            raise
    sync_dir(new.parent)

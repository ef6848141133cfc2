"""No room: a small file system in memory that something else fills to its last byte, or a journal at its bound."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.until import until
from tests.faults.account import Told
from tests.faults.relay import Harm, unharmed
from tests.faults.stage import PATIENCE_S, Stage

SIZE_BYTES = 32 * 1024 * 1024
QUOTA_BYTES = 200_000
"""Of the journal, where that is what is used up: some two seconds of calls."""
_FEW = 10
BALLAST = "somebody-elses-file"


class NoFileSystemError(Exception):
    """A file system of that size cannot be had here; the message says why."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A tmpfs on `folder` until the block ends. Raises NoFileSystemError."""
    if os.geteuid() != 0:
        raise NoFileSystemError("only root may mount a tmpfs")
    folder.mkdir(exist_ok=True)
    if folder.is_mount():
        # A run that was killed left it behind.
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES},mode=700", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise NoFileSystemError(f"mounting a tmpfs is not allowed: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


async def full(stage: Stage) -> None:
    """Full for a while, and then not."""
    await stage.instant()
    ballast = stage.data_dir / BALLAST
    _fill(ballast)
    enough = stage.load.over + stage.dice.randint(20, 80)

    def stays_full() -> bool:
        # What the product gives back to the file system while it tidies is taken at once.
        _fill(ballast)
        return stage.load.over >= enough

    await until(stays_full, limit_s=PATIENCE_S)
    ballast.unlink()
    await stage.calls(40)


async def used_up(stage: Stage) -> None:
    """The store is away until the journal has used up what it may use, and for some calls more."""
    assert stage.relay
    await stage.instant()
    stage.relay.choose = lambda _: Harm("refuse")
    await until(lambda: sum(map(_size_bytes, stage.sealed())) >= QUOTA_BYTES, limit_s=PATIENCE_S)
    enough = stage.load.over + 60
    await until(lambda: stage.load.over >= enough, limit_s=PATIENCE_S)
    stage.relay.choose = unharmed
    await until(lambda: len(stage.sealed()) < _FEW, limit_s=PATIENCE_S)
    await stage.calls(40)


async def restarted(stage: Stage) -> None:
    """Workers end, so that calls whose ends could not be written are closed."""
    await until(stage.is_quiet, limit_s=PATIENCE_S)
    await stage.end()
    await stage.start_again()


async def told(stage: Stage) -> Told:
    """Calls that there was no room for, by the product's own count."""
    losses = await stage.losses()
    return Told(
        calls=losses.get("journal_write_failed", 0) + losses.get("journal_full", 0),
        refused=losses.get("journal_full_refused", 0),
    )


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _fill(path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        size_bytes = 1 << 20
        while size_bytes:
            try:
                file.write(bytes(size_bytes))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size_bytes //= 2

"""Folders of files: copied so that the first failure is the one that is told, and brought to the disk for good."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def copy_folder(source: Path, target: Path, on_bytes: Callable[[int], None] = lambda _: None) -> None:
    """Copy a folder to a place where there is none yet. Raises the OSError of the first thing that cannot be copied.

    Args:
        source: What is copied.
        target: What it is called there; its parent must be there. Only the owner may enter it.
        on_bytes: Hears the size of every file that was copied.
    """
    target.mkdir(mode=0o700)
    for path in sorted(source.iterdir()):
        if path.is_dir():
            copy_folder(path, target / path.name, on_bytes)
        else:
            shutil.copyfile(path, target / path.name)
            on_bytes(path.stat().st_size)


def sync_folder(folder: Path) -> None:
    """Wait until everything in a folder is on the disk, and the folder with it. Raises OSError."""
    for path in [*folder.rglob("*"), folder]:
        sync_path(path)


def sync_path(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Why it failed, in words."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "the disk is full"
    return error.strerror or str(error)

"""The names of the journal's files and folders. PURE but for `new_instance`."""

import os
import re
import time
from pathlib import Path

import msgspec

LOCK_NAME = "lock"
RESERVE_NAME = "reserve"
ORIGIN_NAME = "origin"
OPEN_SUFFIX = ".open"
SEALED_SUFFIX = ".jsonl"
QUARANTINE_DIR = ".quarantine"
SHIPPED_DIR = ".shipped"
NEW_DIR_SUFFIX = ".new"

_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_OPEN = re.compile(r"(?P<number>[0-9]{8,})\.open")
_SEALED = re.compile(r"(?P<number>[0-9]{8,})-(?P<lines>[0-9]+)-(?P<sha256>[0-9a-f]{64})\.jsonl")


class SegmentName(msgspec.Struct, frozen=True):
    """What the name of a sealed segment says of it."""

    number: int
    """Counts from 1 within the instance."""
    lines: int
    sha256: str
    """Of the whole file, 64 hex characters."""

    @property
    def file_name(self) -> str:
        """The name in the folder of the instance."""
        return f"{self.number:08d}-{self.lines}-{self.sha256}.jsonl"


def new_instance(role: str) -> str:
    """A name that no other process has or had: the role, the second of its start (UTC) and 32 random bits."""
    return f"{role}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(4).hex()}"


def is_instance(name: str) -> bool:
    """Whether a folder of the journal is that of an instance."""
    return _INSTANCE.fullmatch(name) is not None


def open_name(number: int) -> str:
    """Name of the segment that is being written."""
    return f"{number:08d}{OPEN_SUFFIX}"


def parse_open(name: str) -> int | None:
    """Number of an open segment; None for any other file."""
    match = _OPEN.fullmatch(name)
    return int(match["number"]) if match else None


def parse_sealed(name: str) -> SegmentName | None:
    """What a sealed segment's name says; None for any other file."""
    match = _SEALED.fullmatch(name)
    return SegmentName(int(match["number"]), int(match["lines"]), match["sha256"]) if match else None


def quarantine_dir(journal_dir: Path) -> Path:
    """Where unreadable and refused lines go."""
    return journal_dir / QUARANTINE_DIR


def shipped_dir(journal_dir: Path) -> Path:
    """Where segments are kept once every sink has them."""
    return journal_dir / SHIPPED_DIR

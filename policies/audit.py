"""The audit log: who changed keys, budgets and policies, when, and to what. Lines are only ever added.

One JSON object a line, in `data_dir/audit.jsonl`; nothing in it is a secret. A change that cannot be noted is not made:
the note comes first.
"""

import errno
import os
import time
from pathlib import Path

import msgspec

FILE_NAME = "audit.jsonl"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change."""

    at_ns: int
    """Unix time."""
    by: str
    """Who made it: the user of the operating system, or `supervisor`."""
    action: str
    """`key.create`, `key.revoke`, `budget.top_up`, `policies.load` ..."""
    subject: str
    """What was changed: the key's name, the counter's family, the files."""
    detail: dict[str, str] = {}


class Log(msgspec.Struct, frozen=True):
    """What the log holds."""

    entries: tuple[Entry, ...]
    """Oldest first."""
    unreadable: int
    """Lines that are no entry: torn by a crash of the machine, or by a full disk."""


def note(data_dir: Path, action: str, subject: str, *, by: str, **detail: str) -> Entry:
    """Add a line, and have it on the disk. Raises OSError."""
    entry = Entry(at_ns=time.time_ns(), by=by, action=action, subject=subject, detail=detail)
    line = msgspec.json.encode(entry) + b"\n"
    descriptor = os.open(data_dir / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        if end and os.pread(descriptor, 1, end - 1) != b"\n":
            line = b"\n" + line  # the last one was torn: it is not to take this one with it
        if os.write(descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, "no room for the audit log", str(data_dir / FILE_NAME))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    return entry


def read(data_dir: Path) -> Log:
    """The whole log. Raises OSError, unless there never was one."""
    found: list[Entry] = []
    unreadable = 0
    try:
        lines = (data_dir / FILE_NAME).read_bytes().split(b"\n")
    except FileNotFoundError:
        return Log((), 0)
    decoder = msgspec.json.Decoder(Entry)
    for line in lines:
        if not line:
            continue
        try:
            found.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unreadable += 1
    return Log(tuple(found), unreadable)


def entries(data_dir: Path) -> tuple[Entry, ...]:
    """Every change that can be read, oldest first. Raises OSError, unless there never was one."""
    return read(data_dir).entries

"""The audit log: who changed keys, budgets and policies, when, and to what. Lines are only ever added.

One JSON object a line, in `data_dir/audit.jsonl`; nothing in it is a secret. A change that cannot be noted is not made:
the note comes first.
"""

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


def note(data_dir: Path, action: str, subject: str, *, by: str, **detail: str) -> Entry:
    """Add a line, and have it on the disk. Raises OSError."""
    entry = Entry(at_ns=time.time_ns(), by=by, action=action, subject=subject, detail=detail)
    descriptor = os.open(data_dir / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(entry) + b"\n")
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    return entry


def entries(data_dir: Path) -> tuple[Entry, ...]:
    """Every change that can be read, oldest first. Raises OSError, unless there never was one."""
    found = []
    try:
        lines = (data_dir / FILE_NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    decoder = msgspec.json.Decoder(Entry)
    for line in lines:
        try:
            found.append(decoder.decode(line))
        except msgspec.MsgspecError:
            continue  # torn by a crash of the machine
    return tuple(found)

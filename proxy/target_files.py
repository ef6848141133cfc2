"""Files of the run folder by which the workers of a machine, and people, tell each other how targets are.

- `targets/<worker>.json`: what one worker knows of each target; only that worker writes it.
- `target-orders.json`: which targets somebody drained or restored by hand, and when. It outlives restarts.

A file that cannot be read says nothing; it never stops anybody.
"""

import os
import time
from pathlib import Path
from typing import Literal

import msgspec

from policies.health import Snapshot

NOTES_DIR = "targets"
ORDERS_NAME = "target-orders.json"
STALE_S = 600.0
"""What a worker last said counts no longer than that: one that lives says something every minute."""

Order = Literal["drain", "restore"]


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants of a target."""

    order: Order
    at_ns: int
    """Unix time."""


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker knows."""

    worker: str
    written_at_s: float
    """Unix time."""
    targets: dict[str, Snapshot]
    """By the id of the target."""


def write_notes(run_dir: Path, notes: Notes) -> bool:
    """Replace what a worker has said; False where that cannot be written."""
    folder = run_dir / NOTES_DIR
    try:
        folder.mkdir(exist_ok=True)
        _replace(folder / f"{notes.worker}.json", msgspec.json.encode(notes))
    except OSError:
        return False
    return True


def read_notes(run_dir: Path, *, but: str = "", now_s: float | None = None) -> list[Notes]:
    """What workers say, but for one of them; files of workers that are gone for long are cleared away."""
    now_s = time.time() if now_s is None else now_s
    found: list[Notes] = []
    try:
        files = list((run_dir / NOTES_DIR).glob("*.json"))
    except OSError:
        return []
    for file in files:
        try:
            if now_s - file.stat().st_mtime > STALE_S:
                file.unlink(missing_ok=True)
                continue
            if file.stem != but:
                found.append(msgspec.json.decode(file.read_bytes(), type=Notes))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue
    return found


def read_orders(run_dir: Path) -> dict[str, Ordered]:
    """The orders that stand, by the id of their target."""
    try:
        return msgspec.json.decode((run_dir / ORDERS_NAME).read_bytes(), type=dict[str, Ordered])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def write_order(run_dir: Path, target: str, order: Order, at_ns: int) -> None:
    """Give an order; the workers heed it within a second or two. Raises OSError where it cannot be written."""
    orders = read_orders(run_dir) | {target: Ordered(order=order, at_ns=at_ns)}
    run_dir.mkdir(parents=True, exist_ok=True)
    _replace(run_dir / ORDERS_NAME, msgspec.json.format(msgspec.json.encode(orders)) + b"\n")


def _replace(file: Path, data: bytes) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(file)

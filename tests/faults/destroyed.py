"""What a change to a segment's bytes destroys: read off the file itself, before and after.

A call of which no line is left can be in no store, but it must be told; one whose end alone is destroyed comes back as
`interrupted` once its worker has ended.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Change = Callable[[bytearray, random.Random], None]


@dataclass
class Destroyed:
    """Everything that was destroyed in one data folder."""

    sealed: int = 0
    """Segments that were changed after their names had told what is in them."""
    opens: set[int] = field(default_factory=set)
    """Numbers of the calls that lost their first line."""
    ends: set[int] = field(default_factory=set)
    """And their last one."""

    def change(self, path: Path, change: Change, dice: random.Random) -> None:
        """Change a file in place, and note what that destroys."""
        data = bytearray(path.read_bytes())
        before = lines(bytes(data))
        change(data, dice)
        path.write_bytes(data)
        gone = before - lines(bytes(data))
        self.opens |= {number for kind, number in gone if kind == "open"}
        self.ends |= {number for kind, number in gone if kind == "call"}
        self.sealed += path.suffix == ".jsonl"

    def nothing_left(self, journal: Path) -> set[int]:
        """Numbers of the calls that lost their first line, and have no last one in the journal or among what was shipped."""
        ended = {
            number for path in journal.rglob("*.jsonl") for kind, number in lines(path.read_bytes()) if kind == "call"
        }
        return self.opens - ended


def lines(data: bytes) -> set[tuple[str, int]]:
    """(kind, number of its call) of every line that can be read and is a call's."""
    found = set()
    for line in data.split(b"\n"):
        try:
            record = json.loads(line)
            found.add((record["line"], int(record["caller"]["session"])))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def break_a_byte(data: bytearray, dice: random.Random) -> None:
    """One byte between a name and its value: that line is no JSON any more, whatever reads it."""
    places = [at for at in range(1, len(data)) if data[at - 1 : at + 1] == b'":']
    if places:
        data[dice.choice(places)] ^= 0x80


def tear(data: bytearray, dice: random.Random) -> None:
    """Nothing is left behind some byte."""
    del data[dice.randint(0, max(0, len(data) - 1)) :]


def zero_a_page(data: bytearray, dice: random.Random) -> None:
    """A page of zeros, as a file system leaves behind what it never wrote; a smaller one in a small file."""
    page_bytes = min(4096, max(1, len(data) // 3))
    start = dice.randint(0, max(0, len(data) - page_bytes))
    data[start : start + page_bytes] = bytes(len(data[start : start + page_bytes]))


CHANGES: tuple[Change, ...] = (break_a_byte, tear, zero_a_page)

"""The pieces in which rows are moved: some hours, or a share of an hour that has too many rows. PURE.

A piece is told by what it selects, not by where it stands in a stream: it selects the same rows however often it is
asked for and however the engine has merged its parts meanwhile.
"""

from collections.abc import Mapping
from typing import NamedTuple

MOST_ROWS = 50_000
"""Of a piece: one block for the engine, which takes it whole or not at all."""
MOST_BYTES = 16 * 1024 * 1024
"""Of a piece, as it is on the wire: two of them are what a copy needs of memory."""


class Digest(NamedTuple):
    """What two ends must agree on to have the same rows."""

    rows: int
    sum: int
    """Of the hashes of their keys, modulo 2^64."""
    xor: int
    """Of the same."""


NOTHING = Digest(0, 0, 0)


class Slice(NamedTuple):
    """Some hours of a day, or a share of the rows of one hour."""

    hours_s: tuple[int, ...]
    """Where the hours begin, Unix time in seconds."""
    part: int = 0
    parts: int = 1

    def condition(self) -> str:
        """What its rows fulfil, as SQL; it goes along the primary key of our tables."""
        hours = ", ".join(f"toDateTime({hour_s}, 'UTC')" for hour_s in self.hours_s)
        chosen = f"toStartOfHour(started_at) IN ({hours})"
        return chosen if self.parts == 1 else f"{chosen} AND cityHash64(call_id) % {self.parts} = {self.part}"

    def token(self, table: str, rows: Digest) -> str:
        """The deduplication token for exactly these rows of it."""
        place = f"{self.hours_s[0]}+{len(self.hours_s)}.{self.part}-{self.parts}"
        return f"copy/{table}/{place}/{rows.rows}-{rows.sum:016x}{rows.xor:016x}"


def slices_of(hours: Mapping[int, int], at_once: int) -> list[Slice]:
    """Hours of one day (Unix time in seconds -> rows) in pieces of at most about `at_once` rows, in order."""
    pieces: list[Slice] = []
    together: list[int] = []
    held = 0
    for hour_s, rows in sorted(hours.items()):
        if together and held + rows > at_once:
            pieces.append(Slice(tuple(together)))
            together, held = [], 0
        if rows > at_once:
            parts = -(-rows // at_once)
            pieces += [Slice((hour_s,), part, parts) for part in range(parts)]
        else:
            together.append(hour_s)
            held += rows
    return [*pieces, Slice(tuple(together))] if together else pieces


def rows_at_once(rows: int, size_bytes: int) -> int:
    """How many rows of a table go into one piece, given how many it has and how large they are unpacked."""
    if not rows or not size_bytes:
        return MOST_ROWS
    return max(1, min(MOST_ROWS, MOST_BYTES * rows // size_bytes))


def differing(source: Mapping[int, Digest], target: Mapping[int, Digest]) -> dict[int, int]:
    """Hours of the source that the target has not, or not the same, in order -> rows at the end that has more."""
    return {
        hour_s: max(there.rows, target.get(hour_s, NOTHING).rows)
        for hour_s, there in sorted(source.items())
        if target.get(hour_s, NOTHING) != there
    }

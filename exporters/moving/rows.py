"""One table of rows from one end to the other: whatever the target has not, and nothing twice.

Hour by hour the two ends are compared by a digest of their keys. Where they differ, the target says which keys it has,
and only the others are sent, in pieces that are there whole or not at all. What was under way when a copy was killed is
either there, and is found, or not, and is sent again; should it land in between, its token is the same.
"""

from collections.abc import Callable
from datetime import date

from exporters.moving.end import KEY, End, Key
from exporters.moving.slices import Digest, Slice, differing, slices_of
from exporters.moving.tables import Rows, place
from exporters.store.remote import name_of

_KEYS = ", ".join(KEY)
_DIGEST = f"toString(count()), toString(sum(cityHash64({_KEYS}))), toString(groupBitXor(cityHash64({_KEYS})))"
_HOUR = "toUnixTimestamp(toStartOfHour(started_at))"

Moved = Callable[[int, int, int], None]
"""Hears of rows that the target has now, how many of them were sent, and in how many bytes."""


def days_of(end: End, table: str, since: date | None, until: date | None) -> dict[date, int]:
    """Day (UTC) -> rows, from `since` on and before `until`."""
    bounds = [f"toDate(started_at) >= '{since}'"] if since else []
    bounds += [f"toDate(started_at) < '{until}'"] if until else []
    found = end.rows(
        f"SELECT toDate(started_at) AS day, toString(count()) FROM {place(end, table)} "
        f"WHERE {' AND '.join(bounds) or '1'} GROUP BY day ORDER BY day"
    )
    return {date.fromisoformat(day): int(rows) for day, rows in found}


def copy_day(source: End, target: End, table: Rows, day: date, moved: Moved) -> None:
    """Bring one day of a table to the target. Raises UnavailableError, CopyError."""
    here, there = _digests(source, table.name, day), _digests(target, table.name, day)
    unequal = differing(here, there)
    moved(sum(digest.rows for hour_s, digest in here.items() if hour_s not in unequal), 0, 0)
    for piece in slices_of(unequal, table.at_once):
        _copy_slice(source, target, table, piece, moved, fresh=there.keys().isdisjoint(piece.hours_s))


def keys_of(end: End, table: str, piece: Slice) -> list[Key]:
    """The keys of a piece."""
    found = end.rows(f"SELECT {_KEYS} FROM {place(end, table)} WHERE {piece.condition()}")
    return [(str(call_id), int(attempt)) for call_id, attempt in found]


def hours_of(end: End, table: str, day: date) -> dict[int, int]:
    """The hours of a day that have rows, as Unix time in seconds -> how many."""
    return {hour_s: digest.rows for hour_s, digest in _digests(end, table, day).items()}


def _copy_slice(source: End, target: End, table: Rows, piece: Slice, moved: Moved, *, fresh: bool) -> None:
    known = None if fresh else keys_of(target, table.name, piece) or None
    here = f"FROM {place(source, table.name)} WHERE {piece.condition()}"
    missing = f"{here} AND ({_KEYS}) NOT IN keys" if known else here
    rows = int(source.rows(f"SELECT toString(count()) {here}")[0][0])
    digest = _digest(source.rows(f"SELECT {_DIGEST} {missing}", known)[0])
    data = b""
    if digest.rows:
        columns = ", ".join(map(name_of, table.columns))
        data = source.native(f"SELECT {columns} {missing} ORDER BY {_KEYS}", known)
        target.insert(table.name, table.columns, data, piece.token(table.name, digest))
    moved(rows, digest.rows, len(data))


def _digests(end: End, table: str, day: date) -> dict[int, Digest]:
    found = end.rows(
        f"SELECT toString({_HOUR}) AS hour, {_DIGEST} FROM {place(end, table)} "
        f"WHERE toDate(started_at) = '{day}' GROUP BY hour ORDER BY toUInt64(hour)"
    )
    return {int(hour): _digest(rest) for hour, *rest in found}


def _digest(texts: list[str]) -> Digest:
    return Digest(*map(int, texts))

"""Globs over model and host names: `*` stands for any text, `?` for one character; upper and lower case are one.

Which of two globs is the narrower one has to be known before any call is seen, so it is read off the text: a plain name
beats a glob, and of two globs the one with more plain characters wins.
"""

import re
from functools import lru_cache

Rank = tuple[int, int]
"""How narrow a glob is; the greater, the narrower."""

_WILD = re.compile(r"[*?]")


def rank(glob: str) -> Rank:
    """(1 for a plain name else 0, number of plain characters)."""
    plain = _WILD.sub("", glob)
    return (1 if len(plain) == len(glob) else 0, len(plain))


def matches(glob: str, name: str) -> bool:
    """Whether the glob covers the name; both in lower case."""
    return _compiled(glob).fullmatch(name) is not None


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str]:
    # Runs of stars are one star: more of them would only make the expression backtrack.
    pieces = re.split(r"(\*+|\?)", glob)
    return re.compile("".join(_expression(piece) for piece in pieces), re.DOTALL)


def _expression(piece: str) -> str:
    if piece.startswith("*"):
        return ".*"
    return "." if piece == "?" else re.escape(piece)


def intersect(one: str, other: str) -> bool:
    """Whether some name is covered by both globs."""
    reachable = {0}
    reachable = _past_stars(reachable, other)
    for letter in one:
        reachable = _step(reachable, letter, other)
        if not reachable:
            return False
    return len(other) in reachable


def _step(places: set[int], letter: str, other: str) -> set[int]:
    """Where in `other` one can stand after one more piece of the first glob."""
    if letter == "*":
        return set(range(min(places), len(other) + 1))
    onward = {place + 1 for place in places if place < len(other) and _fit(letter, other[place])}
    onward |= {place for place in places if place < len(other) and other[place] == "*"}
    return _past_stars(onward, other)


def _past_stars(places: set[int], other: str) -> set[int]:
    """A star may also stand for nothing."""
    closed = set(places)
    for place in sorted(places):
        while place < len(other) and other[place] == "*":
            place += 1  # noqa: PLW2901 - walks over the run of stars
            closed.add(place)
    return closed


def _fit(letter: str, against: str) -> bool:
    return letter == against or "?" in (letter, against)

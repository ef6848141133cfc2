"""What is wrong with a configuration: collected, never raised one by one, and worded for the person who wrote it."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys of mappings and indexes of lists, from the top."""


class Place(NamedTuple):
    """A position in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake and what would be right."""

    source: str
    """The file as it was named, or `environment` where there is no file."""
    place: Place | None
    where: str
    """Dotted path of the value, empty for the file as a whole."""
    what: str

    def __str__(self) -> str:
        at = f"{self.source}:{self.place.line}" if self.place else self.source
        return ": ".join(part for part in (at, self.where, self.what) if part)


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds every reason, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.place or Place(0, 0)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(slots=True)
class Report:
    """Collects the problems of one source and knows where its values stand."""

    source: str
    places: Mapping[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: KeyPath, what: str) -> None:
        """Note a problem of the value at `path`, at its line or that of the nearest section that has one."""
        self.problems.append(Problem(self.source, self._place(path), dotted(path), what))

    def add_at(self, place: Place | None, what: str, path: KeyPath = ()) -> None:
        """Note a problem at a position of the file."""
        self.problems.append(Problem(self.source, place, dotted(path), what))

    def has(self, path: KeyPath) -> bool:
        """Whether there is a problem at this path or below it."""
        prefix = dotted(path)
        return any(p.where == prefix or p.where.startswith((f"{prefix}.", f"{prefix}[")) for p in self.problems)

    def _place(self, path: KeyPath) -> Place | None:
        for length in range(len(path), 0, -1):
            place = self.places.get(path[:length])
            if place:
                return place
        return None


def dotted(path: KeyPath) -> str:
    """`providers.minimax.base_url`, `prices[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint behind an unknown word: the nearest known one, else all of them."""
    choices = sorted(known)
    near = difflib.get_close_matches(word.lower(), choices, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(choices)}"

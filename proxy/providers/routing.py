"""Says what a path is by its last segments.

A base URL may have a path of its own, gateways add prefixes, `/v1` is there or not: so a path is known by how it ends,
the longest known ending first. A trailing slash and doubled slashes mean nothing here; the provider gets them as sent.
"""

from collections.abc import Iterable

import msgspec

from proxy.core.facts import Dialect
from proxy.providers.base import Route

ANY = "*"
"""Stands for one segment of any text in an ending."""

PREFLIGHT = "preflight"
UNKNOWN = "unknown"


class Shape(msgspec.Struct, frozen=True):
    """One kind of path, as a line of a table."""

    method: str
    """`GET` (which HEAD is, too), `POST` ..., or `*` for all."""
    ending: str
    """Last segments of the path, joined by slashes, with `*` for a segment of any text."""
    operation: str
    dialect: Dialect | None = None
    free: bool = False
    error_dialect: Dialect | None = None
    """Who words our errors there; None for the dialect that reads the path, or else the table's."""


class PathTable:
    """Finds the route of a path. Built once per provider, asked with `table(method, path)`."""

    def __init__(self, shapes: Iterable[Shape], error_dialect: Dialect) -> None:
        self._unknown = Route(operation=UNKNOWN, error_dialect=error_dialect)
        # A browser asks before it calls. That is a matter of HTTP, and no provider bills it.
        self._preflight = Route(operation=PREFLIGHT, error_dialect=error_dialect, billable=False)
        self._by_last: dict[str, list[_Entry]] = {}
        for shape in shapes:
            entry = _Entry(shape, error_dialect)
            self._by_last.setdefault(entry.ending[-1], []).append(entry)
        for entries in self._by_last.values():
            entries.sort(key=lambda entry: -len(entry.ending))

    def __call__(self, method: str, path: str) -> Route:
        """The route of a path without its query; `unknown` where no ending fits."""
        if method == "OPTIONS":
            return self._preflight
        segments = segments_of(path)
        for last in (segments[-1], ANY) if segments else ():
            for entry in self._by_last.get(last, ()):
                if entry.fits(method, segments):
                    return entry.route
        return self._unknown


class _Entry:
    """A line of the table, taken apart."""

    __slots__ = ("_method", "ending", "route")

    def __init__(self, shape: Shape, error_dialect: Dialect) -> None:
        self._method = shape.method
        self.ending = shape.ending.split("/")
        self.route = Route(
            operation=shape.operation,
            dialect=shape.dialect,
            error_dialect=shape.error_dialect or shape.dialect or error_dialect,
            billable=not shape.free,
        )

    def fits(self, method: str, segments: list[str]) -> bool:
        if self._method not in (ANY, "GET" if method == "HEAD" else method):
            return False
        tail = segments[-len(self.ending) :]
        return len(tail) == len(self.ending) and all(
            wanted in (ANY, found) for wanted, found in zip(self.ending, tail, strict=True)
        )


def segments_of(path: str) -> list[str]:
    """The segments of a path that hold any text."""
    return [segment for segment in path.split("/") if segment]


def is_openai_chat(path: str) -> bool:
    """Whether a path is OpenAI's chat, under any prefix."""
    return segments_of(path)[-2:] == ["chat", "completions"]


def asks_on_chat(path: str, _query: str) -> bool:
    """`Provider.injects_usage` of providers that take `stream_options` wherever they speak OpenAI chat."""
    return is_openai_chat(path)

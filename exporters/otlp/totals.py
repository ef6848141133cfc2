"""Measurements added up, in a file that survives the process: each batch is in it once, whatever is killed.

A batch is added under its token and saved before the recorder moves on, so that the same batch, offered again, changes
nothing. The file is replaced as a whole. Series are bounded: what comes beyond goes to one series per metric that says
so, as the SDK has it, and is counted.
"""

import bisect
import os
import time
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from exporters.otlp.measures import MEASURES, Attributes, Measured
from proxy.core.semconv import Convention

MAX_SERIES = 500
"""Of one metric."""
OVERFLOW: Attributes = (("otel.metric.overflow", True),)
Temporality = Literal["cumulative", "delta"]
_VERSION = 1


class Series(msgspec.Struct, kw_only=True):
    """One metric with one set of attributes."""

    word: str
    attributes: Attributes
    since_ns: int
    count: int = 0
    total: int | float | Decimal = 0
    """Money is added up as Decimal."""
    buckets: list[int] = []
    """One more than there are bounds; none of a sum."""
    least: float = 0.0
    most: float = 0.0

    def add(self, value: float | Decimal) -> None:
        """Count one figure."""
        bounds = MEASURES[self.word].bounds
        if bounds:
            if not self.buckets:
                self.buckets = [0] * (len(bounds) + 1)
            # A bound belongs to the bucket below it.
            self.buckets[bisect.bisect_left(bounds, value)] += 1
        figure = float(value)
        self.least = figure if not self.count else min(self.least, figure)
        self.most = figure if not self.count else max(self.most, figure)
        self.count += 1
        self.total += value  # type: ignore[operator]  # one series never mixes money with other figures


class _Kept(msgspec.Struct, kw_only=True):
    """What stands in the file."""

    version: int = _VERSION
    temporality: Temporality
    convention: Convention
    since_ns: int
    token: str = ""
    """Of the last batch that was added."""
    series: list[Series] = []


class Totals:
    """All series.

    Args:
        file: Where they are kept. Totals of another temporality or convention, and a file that cannot be read, are
            begun anew.
        temporality: `cumulative` keeps what was sent, `delta` begins again after it.
        convention: Whose words the series have.
    """

    def __init__(self, file: Path, temporality: Temporality, convention: Convention) -> None:
        self._file = file
        kept = _read(file)
        if kept is None or (kept.version, kept.temporality, kept.convention) != (_VERSION, temporality, convention):
            kept = _Kept(temporality=temporality, convention=convention, since_ns=time.time_ns())
        self._kept = kept
        self._by_key = {(series.word, series.attributes): series for series in kept.series}
        self._number: dict[str, int] = {}
        for series in kept.series:
            self._number[series.word] = self._number.get(series.word, 0) + 1

    @property
    def temporality(self) -> Temporality:
        """`cumulative` or `delta`."""
        return self._kept.temporality

    @property
    def series(self) -> list[Series]:
        """All there are, in the order in which they came up."""
        return list(self._by_key.values())

    def add(self, token: str, figures: Iterable[Measured]) -> int:
        """Add the figures of a batch, unless it was the last one that was added; how many found no series free."""
        if token == self._kept.token:
            return 0
        crowded = 0
        for figure in figures:
            series = self._series(figure)
            crowded += series.attributes == OVERFLOW
            series.add(figure.value)
        self._kept.token = token
        return crowded

    def save(self) -> None:
        """Put the file in place. Raises OSError."""
        self._kept.series = self.series
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        draft.write_bytes(msgspec.json.encode(self._kept))
        draft.replace(self._file)

    def sent(self, some: Iterable[Series], at_ns: int) -> None:
        """Note that series were sent as they were at that instant (Unix time in nanoseconds)."""
        if self.temporality == "delta":
            self._kept.since_ns = at_ns
            for series in some:
                del self._by_key[series.word, series.attributes]
                self._number[series.word] -= 1

    def _series(self, figure: Measured) -> Series:
        found = self._by_key.get((figure.word, figure.attributes))
        if found is not None:
            return found
        attributes = figure.attributes
        if self._number.get(figure.word, 0) >= MAX_SERIES:
            attributes = OVERFLOW
        if (figure.word, attributes) not in self._by_key:
            made = Series(word=figure.word, attributes=attributes, since_ns=self._kept.since_ns)
            self._by_key[figure.word, attributes] = made
            self._number[figure.word] = self._number.get(figure.word, 0) + 1
        return self._by_key[figure.word, attributes]


def _read(file: Path) -> _Kept | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None

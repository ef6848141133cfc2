"""From the figures of the rounds to a verdict on each bar: ratios inside a round, then the median over the rounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Figures = Mapping[str, Any]
"""What the load generator said of one target in one round, and `idle_kib` of the target."""
Round = Mapping[str, Figures]
"""Target name -> its figures."""

OURS, FLOOR, NOTHING = "taximeter", "nginx", "direct"


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Bar:
    """Something that a figure of ours is held against."""

    scenario: str
    title: str
    figure: Callable[[Round], float | None]
    """The figure of one round; None where it cannot be told, for want of a target."""
    limit: float
    at_least: bool
    """True for "or more", False for "or less"."""
    unit: str = ""

    def judge(self, rounds: Sequence[Round]) -> tuple[Spread, bool] | None:
        """The figure over the rounds, and whether its median reaches the bar; None where there is no figure."""
        found = spread([self.figure(figures) for figures in rounds])
        if found is None:
            return None
        return found, found.median >= self.limit if self.at_least else found.median <= self.limit


def spread(values: Sequence[float | None]) -> Spread | None:
    """Median, least and most of what is known; None of nothing."""
    known = [value for value in values if value is not None]
    return Spread(median(known), min(known), max(known)) if known else None


def throughput_ratio(figures: Round) -> float | None:
    """Calls per second, ours of nginx's."""
    if not {OURS, FLOOR} <= figures.keys() or not figures[FLOOR]["calls_per_s"]:
        return None
    return figures[OURS]["calls_per_s"] / figures[FLOOR]["calls_per_s"]


def added_ratio(point: str) -> Callable[[Round], float | None]:
    """A percentile of the latency that we add to direct, of what nginx adds."""

    def figure(figures: Round) -> float | None:
        if not {OURS, FLOOR, NOTHING} <= figures.keys():
            return None
        ours, floor = (added_us(figures, name, point) for name in (OURS, FLOOR))
        return ours / floor if ours is not None and floor is not None and floor > 0 else None

    return figure


def added_us(figures: Round, name: str, point: str) -> float | None:
    """A percentile of the latency less that of direct, in microseconds."""
    values = [figures[target]["latency_us"].get(point) for target in (name, NOTHING)]
    return None if None in values else values[0] - values[1]


def delay_difference_ms(figures: Round) -> float | None:
    """The median delay of a piece, ours less nginx's, in milliseconds."""
    if not {OURS, FLOOR} <= figures.keys():
        return None
    values = [figures[name]["piece_delay_us"].get("p50") for name in (OURS, FLOOR)]
    return None if None in values else (values[0] - values[1]) / 1000


def held_pieces(figures: Round) -> float | None:
    """Pieces that came together with a later one, beyond what stalls of the machine did to the other targets."""
    if OURS not in figures:
        return None
    others = [figures[name]["held"] for name in (FLOOR, NOTHING) if name in figures]
    return max(0, figures[OURS]["held"] - max(others, default=0))


def failures(figures: Round) -> float | None:
    """Calls of ours that failed for any reason."""
    return sum(figures[OURS]["failed"].values()) if OURS in figures else None


def kib_per_stream(streams: int) -> Callable[[Round], float | None]:
    """Memory of our worker at its peak beyond that of the idle one, for each open stream, in KiB."""

    def figure(figures: Round) -> float | None:
        if OURS not in figures:
            return None
        return (figures[OURS]["rss_peak_kib"] - figures[OURS]["idle_kib"]) / streams

    return figure


def idle_mib(figures: Round) -> float | None:
    """Memory of our worker before its first call, in MiB."""
    return figures[OURS]["idle_kib"] / 1024 if OURS in figures else None


def first_bars(streams: int) -> tuple[Bar, ...]:
    """The bars of the main road: metering, journal, recorder and store on, everything else off."""
    return (
        Bar("small", "calls/s of nginx's", throughput_ratio, 0.20, at_least=True),
        Bar("large", "calls/s of nginx's", throughput_ratio, 0.35, at_least=True),
        Bar("rate", "p50 added, of what nginx adds", added_ratio("p50"), 3.5, at_least=False, unit="x"),
        Bar("streams", "p50 delay of a piece over nginx's", delay_difference_ms, 0.15, at_least=False, unit="ms"),
        Bar("streams", "pieces held back", held_pieces, 0, at_least=False),
        Bar("streams", "failed streams", failures, 0, at_least=False),
        Bar("streams", "memory per open stream", kib_per_stream(streams), 40, at_least=False, unit="KiB"),
        Bar("small", "memory of an idle worker", idle_mib, 70, at_least=False, unit="MiB"),
    )

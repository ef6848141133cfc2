"""Families -> the bytes of an answer, in the format asked for: Prometheus text, or OpenMetrics with exemplars."""

from collections.abc import Iterable

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_MAX_ACCEPT_CHARS = 1000


class Gathered(Collector):
    """Families that were gathered for one answer."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(family for family in families if family.samples)

    def collect(self) -> Iterable[Metric]:
        """Those that have something to tell."""
        return self._families


def render(accept: str, families: Iterable[Metric]) -> tuple[bytes, str]:
    """Body and content type for an `Accept` header; one that makes no sense gets the plain text format."""
    try:
        encode, content_type = choose_encoder(accept[:_MAX_ACCEPT_CHARS])
    except (ValueError, TypeError, IndexError):
        # The library compares the version that was asked for with numbers.
        encode, content_type = choose_encoder("")
    return encode(Gathered(families)), content_type

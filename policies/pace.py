"""How long a target takes to its first content, as far as one worker has seen. PURE.

A try that was given up for another target is noted with the time that it had taken by then: it is no less, and without
it the slow ones would be forgotten and every percentile would fall.
"""

from collections import deque

KEPT = 256
"""So many tries are remembered; older ones say little of how a target is now."""
LEAST = 20
"""Of fewer the 95th percentile says nothing."""
_REFRESH = 16
"""The percentile is reckoned anew after so many tries: hedged calls ask for it every time."""


class Pace:
    """The last tries of one target that came to content, in milliseconds."""

    __slots__ = ("_noted", "_p95_ms", "_since")

    def __init__(self) -> None:
        self._noted: deque[int] = deque(maxlen=KEPT)
        self._p95_ms: int | None = None
        self._since = 0

    def note(self, took_ms: int) -> None:
        """A try came to its content, or was given up, after so long."""
        self._noted.append(max(0, took_ms))
        self._since += 1

    def p95_ms(self) -> int | None:
        """The 95th percentile (nearest rank); None until enough is known."""
        count = len(self._noted)
        if count < LEAST:
            return None
        if self._p95_ms is None or self._since >= _REFRESH:
            self._since = 0
            self._p95_ms = sorted(self._noted)[-(-count * 95 // 100) - 1]
        return self._p95_ms

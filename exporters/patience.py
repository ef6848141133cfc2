"""Leaves a receiver alone that has asked for time."""

import time

from exporters.recorder.ports import SinkUnavailableError

MAX_PATIENCE_S = 300.0
"""No receiver is given more time than that before the next try."""


class Patience:
    """Knows until when nobody is to connect; `origin` names the receiver in messages."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._not_before_s = 0.0

    def wait(self, delay_s: float) -> None:
        """Leave it alone for so long."""
        self._not_before_s = time.monotonic() + min(max(0.0, delay_s), MAX_PATIENCE_S)

    def check(self) -> None:
        """Raises SinkUnavailableError where it is too early."""
        if time.monotonic() < self._not_before_s:
            # Always the same words: a message that counts down would be news, and logged, at every try.
            raise SinkUnavailableError(f"{self._origin} has asked for time")

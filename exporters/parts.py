"""A batch that goes out in several requests: those that were taken are not sent again when a later one fails.

This holds as long as the process lives; after a restart the whole batch goes out again: at least once.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")


class Parts:
    """Remembers how far the batch under way has come."""

    def __init__(self) -> None:
        self._token = ""
        self._taken = 0
        self._counts: Counter[str] = Counter()

    def send(self, token: str, parts: Iterable[_T], send: Callable[[int, _T], Counter[str]]) -> Counter[str]:
        """Send what was not taken yet; what was counted of all of them.

        Args:
            token: Of the batch; the same token always has the same parts.
            parts: In order.
            send: Sends one, given its number from 0, and counts; an exception of it ends this, and is ours.
        """
        if token != self._token:
            self._token, self._taken, self._counts = token, 0, Counter()
        for number, part in enumerate(parts):
            if number >= self._taken:
                self._counts += send(number, part)
                self._taken = number + 1
        return self._counts

"""Label values that cannot grow without bound, and that hold nothing foreign. PURE.

Rules of this file: a value is a plain word or it is `other`; a name that an app may choose becomes a label of its own
only while there is room, and only after a call that nobody holds against the app has used it.
"""

import re
from functools import lru_cache

OTHER = "other"
"""Stands for everything that has no label value of its own."""
NONE = "none"
"""Stands for what is not there: an empty label value is no label at all."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@+~-]{0,99}")
_MAX_CHARS = 100
_KEY_PREFIXES = ("sk-", "sk_", "pk-", "rk_", "key-", "AIza", "ghp_", "xoxb-", "eyJ")
"""No model is called so; a key in the wrong field is."""


def plain(text: str) -> str:
    """A text as a label value: `none` for nothing, `other` for what is no plain word of at most 100 characters."""
    if not text:
        return NONE
    return OTHER if len(text) > _MAX_CHARS else _plain(text)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    return text if is_plain(text) else OTHER


def is_plain(text: str) -> bool:
    """Whether a text is a plain word. For what is another one each time: nothing is remembered."""
    return _PLAIN.fullmatch(text) is not None


def looks_secret(text: str) -> bool:
    """Whether a text may be a key that somebody put in the wrong place."""
    return text.startswith(_KEY_PREFIXES)


class Names:
    """Distinct names, at most so many; any further one is `other`.

    Args:
        most: How many names get a label value of their own.
    """

    def __init__(self, most: int) -> None:
        self.overflows = 0
        """How often a name had to be `other` because there was no room."""
        self._most = most
        self._labels: dict[tuple[str, str], str] = {}

    def label(self, scope: str, name: str, *, may_claim: bool) -> str:
        """The label value of a name.

        Args:
            scope: What the name belongs to (the provider of a model); names count once in each scope.
            name: As it stood on the wire.
            may_claim: Whether it may take one of the places; if not, it has a value of its own only if it has one.
        """
        known = self._labels.get((scope, name))
        if known is not None:
            return known
        value = plain(name)
        if value in {OTHER, NONE} or looks_secret(name):
            return NONE if value == NONE else OTHER
        if not may_claim:
            return OTHER
        if len(self._labels) >= self._most:
            self.overflows += 1
            return OTHER
        self._labels[scope, name] = value
        return value

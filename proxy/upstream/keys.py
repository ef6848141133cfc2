"""The operator's own keys at a provider, and which of them the next call takes. PURE.

With several keys calls are shared out by weight, evenly (smooth weighted round robin: no chance is in it). A key that
the provider refuses or slows down is put aside for a while and the others take its calls; when all are aside, the one
that comes back first is taken. A call is never sent again for it: what failed went to the app, whose next try takes
another key. Each worker learns for itself.
"""

from collections.abc import Sequence

import msgspec

from proxy.core.errors import ErrorClass

REFUSED_S = 300.0
"""How long a key is left alone that was not accepted, or has no money left: somebody has to see to that."""
SLOWED_S = 10.0
"""How long one is left alone that was sent too much, where the provider does not say."""
LONGEST_S = 3600.0
"""Whatever the provider says."""
_ASIDE_S: dict[ErrorClass, float] = {
    "auth": REFUSED_S,
    "billing": REFUSED_S,
    "quota_exhausted": REFUSED_S,
    "rate_limit": SLOWED_S,
}


class UpstreamKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the operator's."""

    name: str
    """What it is called in records."""
    secret: str
    weight: int = 1
    billing: str = ""
    """How its calls are paid for, where the key tells."""

    def __repr__(self) -> str:
        """Without the key."""
        return f"UpstreamKey(name={self.name!r}, weight={self.weight})"


class UpstreamKeys:
    """The keys of one provider in one worker.

    Args:
        keys: In the order of the configuration, names all different; none lets the keys of apps pass.
    """

    __slots__ = ("_aside_until_s", "_credit", "all", "only", "several")

    def __init__(self, keys: Sequence[UpstreamKey]) -> None:
        self.all = tuple(keys)
        self.several = len(self.all) > 1
        """Whether records say which one was taken."""
        self.only = self.all[0] if len(self.all) == 1 else None
        """The key of every call, where there is one."""
        self._aside_until_s: dict[str, float] = {}
        self._credit = dict.fromkeys((key.name for key in self.all), 0)

    def choose(self, now_s: float) -> UpstreamKey | None:
        """The key for the next call; None where there is none. `now_s` is of any clock that only goes forward."""
        if not self.several:
            return self.only
        good = self.all
        if self._aside_until_s:
            self._aside_until_s = {name: until for name, until in self._aside_until_s.items() if until > now_s}
            good = tuple(key for key in self.all if key.name not in self._aside_until_s)
            if not good:
                return min(self.all, key=lambda key: self._aside_until_s[key.name])
        credit = self._credit
        for key in good:
            credit[key.name] += key.weight
        best = max(good, key=lambda key: credit[key.name])
        credit[best.name] -= sum(key.weight for key in good)
        return best

    def learn(self, key: UpstreamKey, error: ErrorClass, now_s: float, retry_after_s: float | None = None) -> None:
        """What a provider said of a call with this key; most errors say nothing of it."""
        aside_s = _ASIDE_S.get(error)
        if aside_s is None or not self.several:
            return
        if error == "rate_limit" and retry_after_s is not None:
            aside_s = retry_after_s
        until_s = now_s + min(max(aside_s, 0.0), LONGEST_S)
        self._aside_until_s[key.name] = max(until_s, self._aside_until_s.get(key.name, 0.0))

    def aside(self, now_s: float) -> tuple[str, ...]:
        """Names of the keys that are left alone now."""
        return tuple(name for name, until_s in self._aside_until_s.items() if until_s > now_s)


def retry_after_s(head: bytes) -> float | None:
    """Seconds that the head of an answer asks to wait (RFC 9110, 10.2.3); None where it says none that is a number."""
    at = head.lower().find(b"\r\nretry-after:")
    if at < 0:
        return None
    value = head[at + 14 : head.find(b"\r\n", at + 2)].strip()
    return float(value) if value.isdigit() and len(value) < 10 else None

"""The body of a call whose output limit is lowered so that it fits into a budget."""

from policies.clamp import HEADER
from policies.facts import CallFacts
from proxy.call import Call
from proxy.core.output_limit import lower_output_limit

_MOST_TIMES = 4
"""Budgets that a call is clamped for, one after the other; what is left may change meanwhile, too."""


class Lowered:
    """What became of a body so far; at first nothing.

    Args:
        body: As it came; None where nobody read it.
    """

    __slots__ = ("_body", "_times", "edited", "tokens")

    def __init__(self, body: bytes | None) -> None:
        self._body = body
        self._times = 0
        self.edited: bytes | None = None
        """The body to send in its place; None where nothing was lowered."""
        self.tokens = 0
        """The limit in it."""

    def lower(self, call: Call, facts: CallFacts) -> bool:
        """Write the output limit of these facts into the body; False where that cannot be done without doubt.

        A compressed body would have to be compressed anew, and is not the app's own any more: it is left alone.
        """
        tokens = facts.request.max_output_tokens
        if self._body is None or tokens is None or self._times >= _MOST_TIMES or call.place.shared.content_encoding:
            return False
        edited = lower_output_limit(
            self._body, tokens, dialect=call.dialect_name, kind=call.upstream.kind.kind, operation=call.operation
        )
        if edited is None:
            return False
        self._times += 1
        self.edited, self.tokens = edited, tokens
        return True

    @property
    def changes(self) -> tuple[str, ...]:
        """What the attempts say of it."""
        return () if self.edited is None else (f"clamped={self.tokens}",)

    @property
    def head_lines(self) -> bytes:
        """What the app is told of it."""
        return b"" if self.edited is None else f"{HEADER}: max_tokens={self.tokens}\r\n".encode("ascii")

"""Holds that are no bound grow: what a step is, when one is due, and when what is held is used up. PURE.

A rule that assumes the output of a call, or holds a fixed amount for one that nobody has a bound for, holds what a call
usually uses. A stream or a WebSocket may go on beyond that. So while it is under way, what has come of it is counted;
from `EXTEND_AT` of the hold on a further step is held; where there is no room for one the call is ended at `END_AT`.
"""

from typing import Literal

import msgspec

EXTEND_AT = 80
"""Hundredths of a hold: when more than that is used a further step is due."""
END_AT = 95
"""Hundredths of a hold that could not be extended: then it counts as used up. The rest is for what is on its way."""
STEP_BYTES = 1024 * 1024
"""How many bytes a fixed amount stands for where nothing is said."""


class Assumed(msgspec.Struct, frozen=True):
    """What of a hold was assumed."""

    amount: int
    """In whole numbers of the rule's unit."""
    tokens: int = 0
    """The output tokens that it is for; 0 where it is a fixed amount."""


class Step(msgspec.Struct, frozen=True):
    """What a hold grows by, and what that lasts for."""

    counts: Literal["tokens", "bytes"]
    each: int
    """So many of them use up one step."""
    amount: int
    """Held for it, in whole numbers of the rule's unit."""
    cut: bool
    """Whether a call that finds no room for a further step is ended; else it goes on."""

    def needed(self, used: int) -> int:
        """How many steps have to be held, the first included, that no more than `EXTEND_AT` of them are used."""
        return max(1, -(-used * 100 // (self.each * EXTEND_AT)))

    def is_used_up(self, used: int, held: int) -> bool:
        """Whether a call that holds so many steps has to end."""
        return used * 100 >= self.each * held * END_AT


Steps = tuple[Step | None, ...]
"""One for each demand of a call; None for holds that are bounds. Empty where all are."""


class Growth(msgspec.Struct, frozen=True):
    """How the holds of a call grow."""

    steps: Steps
    output_nano: int = 0
    """What a million output tokens cost at the dearest, in nano-units of its hold's currency."""

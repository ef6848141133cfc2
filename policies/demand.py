"""The ledger's vocabulary: what a call draws on, and what the ledger answers.

A *counter* is one number that calls add to: what has been spent of one budget, by one scope, in one window. A *demand*
is the share of one call in one counter. All demands of a call are admitted together or not at all.

Amounts are whole numbers
-------------------------
Money is counted in nano-units of its currency, `calls`, `concurrent` and tokens as they are, every other unit in
millionths (`scale_of`). Amounts of one call are rounded up, once for each demand, and from then on only added and
compared: a sum in the ledger equals the sum of the rounded amounts of the store's rows, to the last digit. The largest
amount and limit is `MAX_AMOUNT`, so that SQLite integers and Redis `INCRBY` (both 64 bits, signed) hold every sum. A
Lua script must not compare such sums as numbers, since they become doubles there and lose digits above 2**53; the sign
of a difference that `INCRBY` or `DECRBY` gives back is right at any size.

How a counter is read
---------------------
`budget`: admitted when `used + amount <= allowed`, with `used` = spent and held of `counter` and of every counter in
`also`, and `allowed` = `limit` + top-ups of `family` + what `carry` brings over. `enforce` says which of it counts:
`hard` as written; `soft` refuses only when what is spent has reached `allowed` (holds are written, not compared);
`observe` never refuses. `rate`: a token bucket of capacity `limit` that gains `stated` in `per_ns`. `concurrent`: as a
hard budget whose settled amounts are 0.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

Kind = Literal["budget", "rate", "concurrent"]
Enforce = Literal["hard", "soft", "observe"]
Unavailable = Literal["deny", "allow"]

MAX_AMOUNT = 2**62 - 1
"""Largest amount and largest limit, in whole numbers of a unit's scale."""
MONEY_SCALE = 9
"""Decimals of an amount of money: 1 USD is 10**9."""
COUNT_SCALE = 0
"""Decimals of tokens and calls."""
UNIT_SCALE = 6
"""Decimals of every other unit: 1 audio second is 10**6."""
COUNTED = frozenset({"tokens", "input_tokens", "output_tokens", "calls", "concurrent"})
"""Units that only come as whole numbers."""


class Carry(msgspec.Struct, frozen=True, kw_only=True):
    """What the window before may leave to this one: `min(most, max(0, limit - used of counter))`."""

    counter: str
    """Counter of the window before; one that was never drawn on left its whole limit."""
    limit: int
    most: int


class Demand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The share of one call in one counter. Amounts are whole numbers of `unit` at its scale."""

    counter: str
    """Stable id: family, and start of the window (`@2026-11-01T00:00Z`). It is what the amount is written to."""
    family: str
    """The counter without its window, `budget:search-monthly|team=search`: what top-ups, history and reports are by."""
    policy: str
    """`budget:search-monthly` or `limit:rpm`: the rule as reasons and messages name it."""
    kind: Kind = "budget"
    unit: str
    """A currency, `calls`, `tokens`, `input_tokens`, `output_tokens`, `concurrent`, or a unit of usage."""
    amount: int
    """Held for the call: the most that it can use."""
    limit: int
    """What is compared with, grace included, top-ups and carry-over not."""
    stated: int
    """The limit as the policy states it: what thresholds and messages are by."""
    enforce: Enforce = "hard"
    starts_at_ns: int = 0
    """Start of the window, Unix time; 0 where there is none."""
    ends_at_ns: int | None = None
    """When the counter is empty again, Unix time; None: never (`total`, `concurrent`)."""
    also: tuple[str, ...] = ()
    """Counters that count towards the limit beside `counter`, oldest first: the older buckets of a rolling window."""
    bucket_ns: int = 0
    """Length of one bucket of a rolling window; 0 where the window is of the calendar."""
    per_ns: int = 0
    """`rate` only: the time in which `stated` refills."""
    carry: Carry | None = None
    top_ups: bool = False
    """Whether top-ups of `family` are added to the limit."""
    bill: str = ""
    """Currency of the bill, where it is another than `unit`."""
    exchange: Decimal | None = None
    """What one nano-unit of the bill's currency is in `unit`; None where they are the same."""
    when_unavailable: Unavailable = "deny"
    status: int = 429
    """HTTP status of a refusal: 429 or 402."""
    shadow: bool = False
    """Decided and recorded, never acted on. Its `enforce` is `observe`."""
    thresholds: tuple[int, ...] = ()
    """Amounts used at which the policy acts, rising: the ledger need only say which have been passed (`Level`)."""


class Level(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How full a counter is, as far as this process knows; with leases the figures of others may be some calls old."""

    counter: str
    spent: int
    held: int
    allowed: int
    """The limit with grace, top-ups and carry-over."""
    exact: bool = True
    """False when it was not read from the ledger just now."""


class Admitted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every demand is held; the call may go, and has to be settled or released."""

    levels: tuple[Level, ...] = ()
    """One for each demand, the call's own hold included; empty where nothing was demanded."""
    uncounted: tuple[str, ...] = ()
    """Counters that could not be reached and whose policy lets calls pass then."""
    would_refuse: tuple[str, ...] = ()
    """Counters of `observe` demands that a hard one would have been refused by."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing is held: one demand does not fit."""

    demand: Demand
    """The first in the order of the demands that does not fit."""
    spent: int = 0
    held: int = 0
    allowed: int = 0
    frees_at_ns: int | None = None
    """When it may fit: the window's end, or when enough of a rolling window or bucket has gone; None: nobody knows."""
    unavailable: bool = False
    """The ledger could not be reached and the policy says deny; the figures mean nothing then."""


Answer = Admitted | Refused


class Ledger(Protocol):
    """Who holds the counters. Implementations count what they cannot do by reason and never raise for it."""

    def try_admit(self, call_id: str, demands: Sequence[Demand], now_ns: int) -> Answer | None:
        """Hold all demands or none, in microseconds, where memory or leases suffice; None: ask `admit`."""

    async def admit(self, call_id: str, demands: Sequence[Demand], now_ns: int) -> Answer:
        """Hold all demands or none. `now_ns` is Unix time. The same call id twice is one admission."""

    async def extend(self, call_id: str, amounts: Sequence[int], now_ns: int) -> Answer:
        """Hold more for a call under way: one further amount (0 for none) for each of its demands, all or none."""

    def settle(self, call_id: str, amounts: Sequence[int | None], now_ns: int) -> None:
        """Replace the holds by what was used, one amount for each demand; None spends the hold as it stands.

        An amount above the hold is written in full. The second settling of a call changes nothing.
        """

    def release(self, call_id: str, now_ns: int) -> None:
        """Give the holds back: the call used nothing."""

    def level(self, counter: str) -> Level | None:
        """What this process last knew of a counter, without I/O; None when it never heard of it."""

    def levels(self) -> Mapping[str, Level]:
        """Every counter that this process knows of, for status and metrics."""

    async def close(self) -> None:
        """Write what is pending, give back leases."""


def scale_of(unit: str) -> int:
    """Decimals that amounts of a unit are counted in."""
    if unit in COUNTED:
        return COUNT_SCALE
    return MONEY_SCALE if is_currency(unit) else UNIT_SCALE


def is_currency(unit: str) -> bool:
    """Whether a unit is money: three capital letters."""
    return len(unit) == 3 and unit.isascii() and unit.isalpha() and unit.isupper()

"""The account of one fault: what the apps and the provider saw, call by call, against what stands in the store. PURE.

It trusts nobody's sums: every call that the apps sent has one place in the table of what it was for its app and what it
is in the store, and the figures are the sums of that table.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tests.faults.apps import Seen
from tests.faults.provider import LEAVE, OUTPUT_TOKENS, STATUSES, STREAM

UNTOLD_S = 2.0
"""An answer's end may reach its app this long before its worker dies without having written so: it was busy."""
READ_LATE_S = 0.5
"""An answer's end that a worker sent before it died may lie in the app's socket for so long: who reads it was busy."""
INTERRUPTED, ABSENT = "interrupted", "absent"
_STREAMED = {STREAM, "slow", LEAVE}


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `calls`."""

    call_id: str
    session: str
    outcome: str
    status: int
    attempt: int
    """How many attempts it says that it has."""
    streaming: bool
    input_tokens: int | None
    output_tokens: int | None


class Known(msgspec.Struct, kw_only=True):
    """Everything that the store knows, of this fault and of all before it."""

    calls: list[CallRow]
    attempts: list[tuple[str, int]]
    """(call id, attempt) of each row of `attempts`."""
    rollups: dict[str, int] = {}
    """Table -> calls that it sums up, for every table of sums that there is."""


class Account(msgspec.Struct, kw_only=True):
    """What became of the calls of one fault."""

    fault: str
    struck: int = 0
    """How often the fault was made."""
    sent: int = 0
    finished: int = 0
    """Their answers came to a proper end."""
    left: int = 0
    """Their apps left in the middle."""
    begun: int = 0
    """Their answers began and broke off."""
    unanswered: int = 0
    refused: int = 0
    """Answered by the proxy itself, with an error of its own."""
    rows: int = 0
    table: dict[str, dict[str, int]] = {}
    """What a call was for its app -> what it is in the store -> how many. `absent`: there is no row of it."""
    never_admitted: int = 0
    """Without a row, and the provider never saw them: they were nobody's business when their connection ended."""
    late: int = 0
    """Answered in full while their worker died: their rows are there as `interrupted`, with an estimated cost."""
    told: int = 0
    """Calls that should have a row and have none, and that the product itself counts as lost, with a reason."""
    lost: int = 0
    """Calls that should have a row, have none, and that nobody counts."""
    doubled: int = 0
    """Rows too many: of calls, of attempts, and calls too many in the tables of sums."""
    wrong: list[str] = []
    """Rows that say something else than what their app saw, and figures of the product that are not true."""
    seconds: float = 0.0
    failure: str = ""
    """Why it could not be brought to its end."""

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, doubled or told wrongly."""
        return not (self.lost or self.doubled or self.wrong or self.failure)


class Told(msgspec.Struct, kw_only=True):
    """What the product says of what it could not keep."""

    calls: int = 0
    """Calls whose end it could not write; they are absent, or `interrupted` once their worker ended."""
    refused: int | None = None
    """Calls that it refused without a record of that; None where that is not to be held against what apps saw."""
    destroyed: frozenset[int] = frozenset()
    """Numbers of the calls whose every line we destroyed ourselves."""
    broken: frozenset[int] = frozenset()
    """Numbers of those whose last line we destroyed: they may be `interrupted`."""
    wrong: tuple[str, ...] = ()
    """What it should have said and did not."""


def account(
    fault: str,
    seen: Sequence[Seen],
    asked: Mapping[int, int],
    known: Known,
    *,
    deaths_s: Iterable[float] = (),
    told: Told | None = None,
) -> Account:
    """The account of a fault.

    Args:
        fault: Its name.
        seen: The calls that the apps sent during it.
        asked: What the provider saw: number -> how often.
        known: What the store knows.
        deaths_s: When workers died, Unix time.
        told: What the product says that it could not keep.
    """
    told = told or Told()
    made = Account(fault=fault, sent=len(seen))
    by_number: dict[int, list[CallRow]] = defaultdict(list)
    for row in known.calls:
        by_number[int(row.session)].append(row)
    table: dict[str, Counter[str]] = defaultdict(Counter)
    deaths = sorted(deaths_s)
    owed: list[Seen] = []
    unwritten = 0
    broken = told.destroyed | told.broken
    for call in seen:
        rows = by_number.get(call.number, [])
        table[_fate(call)][rows[0].outcome if rows else ABSENT] += 1
        if not rows:
            if call.finished or call.begun or call.left or asked.get(call.number):
                owed.append(call)
            continue
        made.rows += len(rows)
        unwritten += rows[0].outcome == INTERRUPTED and told.calls > 0
        if why := _untrue(call, rows[0], deaths, forgiving=told.calls > 0 or call.number in broken):
            made.wrong.append(f"call {call.number} ({call.play}, {_fate(call)}): {why}")
        made.late += call.finished and rows[0].outcome == INTERRUPTED
    made.table = {fate: dict(outcomes) for fate, outcomes in table.items()}
    for name in ("finished", "left", "begun", "unanswered", "refused"):
        setattr(made, name, sum(made.table.get(name, {}).values()))
    made.never_admitted = sum(outcomes[ABSENT] for outcomes in table.values()) - len(owed)
    made.wrong += told.wrong
    if told.refused not in {None, table["refused"][ABSENT]}:
        made.wrong.append(f"{told.refused} refused without a record, by its count; {table['refused'][ABSENT]} for apps")
    _weigh(made, owed, told, unwritten)
    made.wrong += [f"the provider was asked {count} times for call {n}" for n, count in asked.items() if count > 1]
    made.doubled = _doubled(known)
    # Attempts go to the store before their calls: a line may be destroyed when its attempts are there already.
    made.lost += _attempts_missing(known, {call.call_id for call in seen if call.number in told.destroyed})
    return made


def _fate(call: Seen) -> str:
    """What a call was for its app."""
    if call.refused:
        return "refused"
    if call.left:
        return "left"
    if call.finished:
        return "finished"
    return "begun" if call.begun else "unanswered"


def _weigh(made: Account, owed: list[Seen], told: Told, unwritten: int) -> None:
    """Divide the calls without a row into those that the product owns up to, and the lost ones."""
    unexplained = [call for call in owed if call.number not in told.destroyed]
    made.told = len(owed) - len(unexplained)
    if not told.calls:
        made.lost = len(unexplained)
        return
    # Each call whose end could not be written is counted once: it has no row, or one that says `interrupted`.
    by_figure = min(len(unexplained), told.calls)
    made.told += by_figure
    made.lost = len(unexplained) - by_figure
    if told.calls != len(unexplained) + unwritten:
        made.wrong.append(
            f"the product counts {told.calls} calls as not written: {len(unexplained)} are absent, "
            f"{unwritten} are there as interrupted"
        )


def _untrue(call: Seen, row: CallRow, deaths: list[float], *, forgiving: bool) -> str:
    """Why a row does not say what its app saw; empty when it does."""
    if call.call_id and row.call_id != call.call_id:
        return f"its row has the id {row.call_id}, its app was told {call.call_id}"
    if row.streaming != (call.play in _STREAMED):
        return "its row is wrong about streaming"
    if row.outcome == INTERRUPTED:
        died = any(call.over_at_s is None or -READ_LATE_S <= at - call.over_at_s < UNTOLD_S for at in deaths)
        return "" if died or forgiving else "interrupted, and no worker died"
    if not call.finished:
        # An app that leaves may be a moment too late, or too early for its answer; one that was cut off knows less.
        return "" if row.outcome in {"ok", "cancelled", "broken", "error", "refused"} else row.outcome
    status = STATUSES.get(call.play, 200)
    wanted = ("ok" if status == 200 else "error", status, call.status)
    if (row.outcome, row.status, row.status) != wanted:
        return f"{row.outcome} {row.status}, its app saw {call.status}"
    if status == 200 and (row.input_tokens, row.output_tokens) != (call.number, OUTPUT_TOKENS):
        return f"{row.input_tokens} and {row.output_tokens} tokens"
    return ""


def _doubled(known: Known) -> int:
    """Rows too many, of whatever kind."""
    ids = Counter(row.call_id for row in known.calls)
    numbers = Counter(row.session for row in known.calls)
    attempts = Counter(known.attempts)
    calls = max(len(known.calls) - len(ids), len(known.calls) - len(numbers))
    sums = [max(0, summed - len(known.calls)) for summed in known.rollups.values()]
    return calls + len(known.attempts) - len(attempts) + sum(sums)


def _attempts_missing(known: Known, destroyed: set[str]) -> int:
    """Attempts that calls say they have and that have no row, and calls that a table of sums does not know."""
    attempts = Counter(call_id for call_id, _ in set(known.attempts))
    calls = {row.call_id: row.attempt for row in known.calls}
    missing = sum(max(0, count - attempts[call_id]) for call_id, count in calls.items())
    astray = sum(
        count for call_id, count in attempts.items() if calls.get(call_id, 0) < count and call_id not in destroyed
    )
    sums = [max(0, len(calls) - summed) for summed in known.rollups.values()]
    return missing + astray + sum(sums)

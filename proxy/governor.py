"""What governs the calls of a worker: it asks the policies, holds in the ledger, and settles when a call is over.

Invariants kept here:
- Settled once: whatever becomes of a call that was admitted, its holds are closed once, with its record.
- Every decision is on the call's row: its reasons, what it held and what it has used.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from policies.answers import after_admission, refusal
from policies.clamp import clamped
from policies.compiled import CompiledPolicies
from policies.decision import Allow, Decision, Deny, Tell
from policies.demand import Answer, Ledger, Refused
from policies.downgrade import HEADER, Downgrade
from policies.engine import Engine
from policies.facts import CallFacts
from policies.holdable import held_for
from policies.inputs import read_inputs
from policies.settling import Settler
from proxy.call import Call, Permit
from proxy.clamping import Lowered
from proxy.core.errors import ErrorClass
from proxy.core.record import CallRecord
from proxy.counting import count
from proxy.queueing import Waiting
from proxy.replies import Reply

Places = tuple[tuple[str, str | None], ...]
_RECORDED_KIND = "budget"
_LONGEST_REASON_CHARS = 200
_WORTH_WAITING_S = 60
"""A refusal that lasts longer is final for the call; SDKs wait no longer than that either."""
_CLASSES: dict[int, ErrorClass] = {402: "billing", 429: "rate_limit", 403: "permission", 401: "auth", 503: "overloaded"}
"""HTTP status of a refusal by a policy -> the class of it in the record."""


class House(Protocol):
    """Who knows where else a call can be sent; the handler does."""

    def find_downgrade(self, call: Call, facts: CallFacts, decision: Decision) -> Downgrade | None:
        """What a call asks for instead, as its decision says; None where it cannot be sent there."""


class Governor:
    """One for each worker; it exists from the first rule on.

    Args:
        engine: The policies in force.
        settler: Reckons what calls have used, by the rates of those policies.
        ledger: Who holds the counters.
        clock: Unix time in nanoseconds, as the ledger takes it.
    """

    def __init__(
        self,
        engine: Engine,
        settler: Settler,
        ledger: Ledger,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.ledger = ledger
        self._clock = clock
        self._waiting = Waiting(ledger, clock=clock)
        self.install(engine, settler)

    @property
    def policies(self) -> CompiledPolicies:
        """The policies in force."""
        return self._engine.policies

    def install(self, engine: Engine, settler: Settler) -> None:
        """Take new policies; calls under way keep what they hold, and settle it."""
        self._engine = engine
        self._settler = settler
        self._waiting.install(engine.policies.limits)

    async def admit(
        self, call: Call, body: bytes | None, targets: Places = (), house: House | None = None
    ) -> Permit | Reply:
        """What the policies say of a call whose body was read: its permit, or the refusal for the app.

        Args:
            call: Identified.
            body: What was read of it.
            targets: Provider and model of each place that it may go to; none where that is what its path says.
            house: Where it can be sent for a budget's sake; None sends it nowhere.
        """
        facts = self._facts(call, body)
        if targets:
            facts = replace(facts, targets=targets)
        now_ns = self._clock()
        decision = self._engine.decide(facts, now_ns, self.ledger.level)
        if isinstance(decision, Deny) and targets:
            facts, decision = held_for(self._engine, facts, decision, now_ns, self.ledger.level)
        found = None
        if isinstance(decision, Allow) and decision.downgrade and house is not None:
            found = house.find_downgrade(call, facts, decision)
        if found is None:
            admitted = await self._admit(call, facts, decision, Lowered(body))
            narrowed = len(facts.targets) < len(targets) and isinstance(admitted, Permit)
            return replace(admitted, places=facts.targets) if narrowed else admitted
        again = self._engine.decide(found.call, now_ns, self.ledger.level)
        if isinstance(again, Deny):  # what it asks for itself is allowed, and may be had
            call.reasons.append(f"downgrade_left:{again.code}")
            return await self._admit(call, facts, decision, Lowered(body))
        admitted = await self._admit(call, found.call, again, Lowered(body))
        if isinstance(admitted, Reply):
            return admitted
        asked = [one for one in decision.reasons if one.endswith(":downgrade") and one not in call.reasons]
        call.reasons += [*asked, f"downgrade:{found.target.id}"[:_LONGEST_REASON_CHARS]]
        line = f"{HEADER}: {found.target.id}\r\n".encode("latin-1", "replace")
        return replace(admitted, downgrade=found, head_lines=admitted.head_lines + line)

    async def _admit(self, call: Call, facts: CallFacts, decision: Decision, lowered: Lowered) -> Permit | Reply:
        now_ns = self._clock()
        if isinstance(decision, Deny):
            call.reasons.extend(decision.reasons)
            return self._refused(call, decision)
        demands = decision.demands
        if not demands:
            call.reasons.extend(decision.reasons)
            return Permit(hold=decision.hold)
        answer: Answer | None = None
        if not self._waiting.lines:
            answer = self.ledger.try_admit(call.call_id, demands, now_ns)
        if answer is None:
            answer = await self._waiting.admit(call, demands, now_ns)
        if isinstance(answer, Refused):
            smaller = clamped(self._engine, facts, decision, self._as_it_stands(answer), now_ns)
            if smaller is not None and lowered.lower(call, smaller):
                call.reasons.append(f"{answer.demand.policy}:clamp={smaller.request.max_output_tokens}")
                decision = self._engine.decide(smaller, now_ns, self.ledger.level)
                return await self._admit(call, smaller, decision, lowered)
            call.reasons.extend(decision.reasons)
            refused = refusal(answer, self._clock(), call.route.error_dialect.name)
            call.reasons.extend(refused.reasons)
            return self._refused(call, refused)
        call.reasons.extend(decision.reasons)
        lines = lowered.head_lines
        if answer.uncounted or answer.would_refuse or (decision.tells and self._has_to_tell(decision.tells)):
            levels = tuple(level for demand in demands if (level := self.ledger.level(demand.counter)))
            after = after_admission(self._engine, facts, demands, replace(answer, levels=levels), now_ns)
            call.reasons.extend(after.reasons)
            lines += "".join(f"{name}: {value}\r\n" for name, value in after.headers.items()).encode(
                "latin-1", "replace"
            )
        return Permit(
            demands=demands,
            draws=decision.draws,
            recorded=decision.recorded,
            uncounted=answer.uncounted,
            hold=decision.hold,
            growth=decision.growth,
            head_lines=lines,
            body=lowered.edited,
            changes=lowered.changes,
        )

    def _as_it_stands(self, refused: Refused) -> Refused:
        """The refusal with the present figures of its counter: what this worker has on lease and free is room, too."""
        level = self.ledger.level(refused.demand.counter)
        if level is None or refused.unavailable:
            return refused
        return replace(refused, spent=level.spent, held=level.held, allowed=level.allowed)

    def settle(self, call: Call, record: CallRecord) -> CallRecord:
        """Close the holds of a call that is over; gives its record with what it has used."""
        permit = call.permit
        if permit is None or not permit.demands:
            return record
        used = self._settler.amounts(permit.draws, record)
        self.ledger.settle(call.call_id, used, self._clock())
        if self._waiting.lines:
            self._waiting.wake()
        drawn = [
            replace(draw, set_aside=amount)
            for demand, draw, amount in zip(permit.demands, permit.draws, used, strict=True)
            if demand.kind == _RECORDED_KIND
        ]
        if permit.uncounted:
            # What the ledger could not be asked to hold is on nobody's lease.
            drawn = [replace(draw, set_aside=0) if draw.counter in permit.uncounted else draw for draw in drawn]
        return replace(record, draws=tuple(drawn)) if drawn else record

    def _has_to_tell(self, tells: Sequence[Tell]) -> bool:
        level_of = self.ledger.level
        for tell in tells:
            level = level_of(tell.counter)
            if level is not None and level.spent + level.held >= tell.used:
                return True
        return False

    def _facts(self, call: Call, body: bytes | None) -> CallFacts:
        if call.place.shared.content_encoding:
            # How much there is in it, its length does not say: the bound is the model's context, or there is none.
            body = None
        inputs = None
        if call.route.dialect is None:
            inputs = count(call, body)
        elif body is not None and self._engine.reads_bodies:
            inputs = read_inputs(body, call.dialect_name)
        return CallFacts(
            provider=call.upstream.settings.name,
            operation=call.operation,
            request=call.facts,
            caller=call.caller,
            key=call.key,
            dialect=call.dialect_name,
            currency=call.upstream.currency,
            billable=call.route.billable,
            body_bytes=len(body) if body is not None else None,
            inputs=inputs,
        )

    def _refused(self, call: Call, decision: Deny) -> Reply:
        call.refusal_class = _CLASSES.get(decision.status, "permission")
        retry = decision.retry_after_s
        headers = [*([("retry-after", str(retry))] if retry is not None else []), *decision.headers]
        if retry is None or retry > _WORTH_WAITING_S:
            # The official SDKs would try twice more within seconds.
            headers.append(("x-should-retry", "false"))
        return Reply(status=decision.status, code=decision.code, message=decision.message, headers=tuple(headers))

"""The walk of a routed call over the targets of its plan, until it has a good answer or nowhere else to go.

Invariants kept here:
- No second attempt after the first byte of an answer went to the app.
- Every attempt is a row, with the outcome, the rule that gave it and its target, and counts for its target's health.
- A further attempt stands in the journal before it begins: whatever becomes of the worker, it is on the books.
"""

import asyncio
import random
import time
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from policies.breaker import bearing
from policies.outcome_facts import Outcome
from policies.outcomes import Classifier
from policies.retrying import Limits, NextStep, Progress, is_limited, limits, next_step, retry_after_ms
from policies.routes_compiled import HedgeRule, RouteTarget
from proxy.aiming import Aim, aim_at, as_asked
from proxy.call import Call
from proxy.core.errors import ErrorClass
from proxy.core.record import OpenRecord
from proxy.hedging import Lane, Paces, Race
from proxy.hop_holds import hold_again
from proxy.replies import Reply, encode
from proxy.request_head import RequestHead
from proxy.routed_attempt import UNLIMITED, Ended, RoutedAttempt, Sender
from proxy.routing import Journey, TargetState, head_lines
from proxy.upstream.errors import UpstreamError
from proxy.upstream.provider import Upstream

if TYPE_CHECKING:
    from proxy.gate import Gate
    from proxy.governor import Governor
    from proxy.routing import Routes

_NS_PER_MS = 1_000_000
_OF_THE_KEY: frozenset[ErrorClass] = frozenset({"auth", "billing", "quota_exhausted", "rate_limit"})
"""What another key of the same provider may not meet."""
_MOST_SHOWN_CHARS = 200
_FINAL = (("x-should-retry", "false"),)


class Journal(Protocol):
    """Where attempts are noted before they begin."""

    @property
    def refusing(self) -> bool:
        """Whether there is no room for calls, and they are to be refused therefore."""

    def open_call(self, record: OpenRecord) -> bool:
        """A call, or a further attempt of it, begins; False when that was not written."""

    def lose(self, reason: str) -> None:
        """Something was not recorded or not understood; counted by reason."""


class House(Protocol):
    """What a worker has in force, and what a walk asks of it; the handler is it."""

    gate: "Gate"
    governor: "Governor | None"
    routes: "Routes | None"


class RoutedForwarder:
    """Sends routed calls; one for each worker.

    Args:
        upstreams: The configured providers by name.
        journal: Where attempts are noted.
        max_captured_bytes: Of an answer, for whoever reads it.
    """

    def __init__(self, upstreams: Mapping[str, Upstream], journal: Journal, max_captured_bytes: int) -> None:
        self.upstreams = upstreams
        self.journal = journal
        self.max_captured_bytes = max_captured_bytes
        self.loop = asyncio.get_running_loop()
        self.paces = Paces()
        """How fast targets of hedged routes are."""
        self._sender: Sender | None = None

    def sender_by(self, classifier: Classifier) -> Sender:
        """What attempts share that are judged by these rules; new ones come with new policies alone."""
        if self._sender is None or self._sender.classifier is not classifier:
            reads = classifier.reads_bodies or classifier.reads_answer_text
            self._sender = Sender(
                loop=self.loop,
                losses=self.journal,
                classifier=classifier,
                max_captured_bytes=self.max_captured_bytes,
                captures_bytes=self.max_captured_bytes if reads else 0,
            )
        return self._sender

    def forward(
        self, call: Call, head: RequestHead, body: bytes, journey: Journey, house: House
    ) -> Coroutine[Any, Any, bool]:
        """Make the attempts of a call; returns whether the app's connection can carry another call."""
        return _Walk(self, call, head, body, journey, house).go()


class _Walk:
    """One call on its way over its targets."""

    def __init__(
        self,
        owner: RoutedForwarder,
        call: Call,
        head: RequestHead,
        body: bytes,
        journey: Journey,
        house: House,
    ) -> None:
        self._owner = owner
        self._house = house
        self._routes = journey.routes
        self._sender = owner.sender_by(journey.routes.classifier)
        self._call = call
        self._head = head
        self._body = body
        self._journey = journey
        self._left = list(journey.plan.targets)
        self._tries = self._tries_here = self._begun = 0
        self._last: tuple[RoutedAttempt, Ended] | None = None

    async def go(self) -> bool:
        for one in self._journey.barred:
            self._say(f"skip={one.target}:{one.why}")
        while self._left and not self._call.client_gone:
            aim = self._aim(self._left[0])
            if isinstance(aim, str):
                self._say(f"skip={self._left[0].id}:{aim}")
                self._leave()
                continue
            if self._journey.route.hedge is None or len(self._left) < 2:
                ended = await self._try(aim)
            else:
                aim, ended = await self._race(aim, self._journey.route.hedge)
            if ended is None or ended.outcome.outcome == "ok":
                break
            step = self._step(aim, ended)
            if step.where == "nowhere":
                if step.reason != "not_allowed":
                    self._say(f"stop={step.reason}")
                break
            if step.where == "next":
                self._leave()
            elif step.wait_ms:
                await self._pause(step.wait_ms)
        return self._finish()

    def _say(self, what: str) -> None:
        self._call.reasons.append(f"route:{self._journey.route.name}:{what}"[:_MOST_SHOWN_CHARS])

    def _leave(self) -> None:
        self._left.pop(0)
        self._tries_here = 0

    def _aim(self, target: RouteTarget) -> Aim | str:
        call, body, before = self._call, self._body, self._journey.changes
        aim: Aim | str | None = as_asked(target, call, body)
        if aim is None:
            now_s, lent = self._sender.loop.time(), self._house.gate.lends(call)
            aim = aim_at(target, call, body, self._owner.upstreams, lent=lent, now_s=now_s)
        if not before or isinstance(aim, str):
            return aim
        return replace(aim, changes=tuple(dict.fromkeys((*before, *aim.changes))))

    async def _race(self, aim: Aim, rule: HedgeRule) -> tuple[Aim, Ended | None]:
        """A try at a target and, where it is slow, at others beside it; the one that counts of them."""
        call = self._call
        race = Race(call, rule, self._owner.paces, self)
        lane = await race.run(aim)
        if lane is None or lane.ended is None or lane.attempt is None:
            return aim, None
        self._last = lane.attempt, lane.ended
        call.exchange = lane.attempt.exchange
        if race.others:
            counts = lane.ended.record.span_id
            call.attempts.sort(key=lambda one: one.span_id == counts)  # what the call came to is its last one
            self._left[0] = lane.aim.target
            self._tries_here = 1
        return lane.aim, lane.ended

    def try_in(self, lane: Lane) -> Coroutine[Any, Any, Ended | None]:
        """As a race asks (`proxy.hedging.Walk`)."""
        return self._try(lane.aim, lane)

    async def spare(self, running: int) -> Aim | None:
        """Likewise."""
        while len(self._left) > 1 and self._tries + running < self._journey.route.retry.tries_most:
            aim = self._aim(self._left[1])
            if not isinstance(aim, str):
                held = await hold_again(self._house.governor, self._call)
                if not held:
                    self._say("hedge=budget")
                return aim if held else None
            self._say(f"skip={self._left.pop(1).id}:{aim}")
        return None

    def take(self, aim: Aim) -> None:
        """Likewise."""
        self._say(f"hedge={aim.target.id}")
        self._left.remove(aim.target)

    async def _try(self, aim: Aim, lane: Lane | None = None) -> Ended | None:
        """One attempt, with its row and what its target learns of it; None where it may not begin."""
        call, routes, journal = self._call, self._routes, self._owner.journal
        state = routes.targets.get(aim.target.id) or routes.state(aim.target, self._journey.route)
        if not self._tries_here:
            state.budget.note_call()
        asks_usage = True
        is_held = lane is not None and lane.is_hedge
        while True:
            if self._last is not None and not is_held and not await self._hold_again(self._last[1]):
                self._say("stop=budget")
                return None
            if lane is not None and lane.lost:
                return None
            self._begun += 1
            attempt = RoutedAttempt(
                self._sender,
                call,
                self._head,
                aim,
                self._journey.route,
                self._limits() if self._journey.is_limited else UNLIMITED,
                head_lines=self._head_lines(aim, state),
                asks_usage=asks_usage,
            )
            attempt.number = self._begun
            if lane is not None:
                lane.enter(attempt, attempt.begun())
            call.running = attempt.begun()
            if not journal.open_call(call.opened()) and journal.refusing:
                self._say("stop=journal_full")
                return None
            probe = state.health.begin(routes.clock())
            ended = await (attempt.run() if lane is None else lane.run(attempt))
            call.attempts.append(ended.record)
            self._last = attempt, ended
            if lane is not None and lane.lost:
                state.health.end("none", routes.clock(), probe=probe)  # it says nothing of the target
                break
            if ended.outcome.outcome == "ok":
                state.health.end("good", routes.clock(), probe=probe)
                return ended
            self._learn(aim, ended, state, probe)
            if not attempt.refused_usage:
                break
            aim.upstream.learn_refusal(aim.path, aim.model)
            journal.lose("usage_option_refused")
            asks_usage = False
        self._tries += 1
        self._tries_here += 1
        return ended

    async def _hold_again(self, last: Ended) -> bool:
        """Hold what a further attempt may cost, where the last one may be billed; whether it may be made."""
        return last.outcome.billed is False or await hold_again(self._house.governor, self._call)

    def _learn(self, aim: Aim, ended: Ended, state: TargetState, probe: int | None) -> None:
        """Let an attempt that was not good count for its target and its key."""
        now_ns, outcome = self._routes.clock(), ended.outcome
        wait_ms = retry_after_ms(ended.headers, now_ns) if ended.headers else None
        state.health.end(bearing(outcome), now_ns, probe=probe, retry_after_ms=wait_ms)
        if aim.key is not None and outcome.outcome != "ok":
            wait_s = None if wait_ms is None else wait_ms / 1000
            aim.upstream.keys.learn(aim.key, outcome.outcome, self._sender.loop.time(), wait_s)

    def _step(self, aim: Aim, ended: Ended) -> NextStep:
        route, routes = self._journey.route, self._routes
        if ended.committed or self._call.client_gone:
            return NextStep(where="nowhere", reason="not_allowed")
        if self._has_other_key(aim, ended.outcome) and self._tries < route.retry.tries_most:
            return NextStep(where="same")
        budget = routes.state(aim.target, route).budget
        budget.refill(time.monotonic_ns())
        progress = Progress(
            tries=self._tries,
            tries_here=self._tries_here,
            targets_left=len(self._left) - 1,
            elapsed_ms=self._elapsed_ms(),
            retry_after_ms=retry_after_ms(ended.headers, routes.clock()),
        )
        return next_step(ended.outcome, route.retry, progress, random.random(), budget)  # noqa: S311 - jitter, no secret

    def _has_other_key(self, aim: Aim, outcome: Outcome) -> bool:
        """Whether the provider has a key left that may do where this one did not."""
        keys = aim.upstream.keys
        if aim.key is None or aim.target.key or outcome.outcome not in _OF_THE_KEY or not keys.several:
            return False
        return len(keys.aside(self._sender.loop.time())) < len(keys.all)

    async def _pause(self, wait_ms: int) -> None:
        """Wait before another try; an app that leaves is not waited for."""
        left = self._call.waits = self._sender.loop.create_future()
        try:
            await asyncio.wait({left}, timeout=wait_ms / 1000)
        finally:
            self._call.waits = None

    def _limits(self) -> Limits:
        """Of the attempt that begins."""
        rule = self._journey.route.retry
        return limits(rule, self._elapsed_ms()) if is_limited(rule) else UNLIMITED

    def _elapsed_ms(self) -> int:
        return (time.monotonic_ns() - self._call.started_ns) // _NS_PER_MS

    def _head_lines(self, aim: Aim, state: TargetState) -> bytes:
        call = self._call
        if not aim.changes and self._begun == 1:
            return call.head_lines + state.told
        return call.head_lines + head_lines(aim.target.id, self._begun, ",".join(aim.changes))

    def _finish(self) -> bool:
        """Give the app what the last attempt brought; returns whether its connection can go on."""
        call, client = self._call, self._call.request.client
        if self._last is None:
            return False if call.client_gone else self._no_target()
        attempt, ended = self._last
        exchange = attempt.exchange
        attempt.exchange = call.exchange = None  # likewise as in `proxy.forward`: it calls back into the attempt
        if exchange is not None and exchange.head is not None:
            whole = exchange.complete and (ended.outcome.word != "broken" or not exchange.holding)
            if whole or exchange.is_committed:
                call.status = exchange.head.status
                exchange.let_go()
                if ended.error is not None or exchange.cut_short:
                    client.break_off(reset=exchange.ends_with_connection)
                    return False
                return exchange.keeps_client
            exchange.discard()
        if call.client_gone:
            return False
        error = ended.record.error
        message = (error.message if error is not None else "") or "there was no answer"
        reply = _reply(ended.error, ended.record.provider, message)
        return self._answer(reply, ended.record.target)

    def _no_target(self) -> bool:
        """Nothing could be sent anywhere."""
        barred = self._journey.barred
        if barred and len(barred) == len(self._journey.route.targets):
            refusal = barred[0].refusal
            self._call.reasons.extend(refusal.reasons)
            self._call.refused, self._call.refusal_class = refusal.code, "permission"
            told = Reply(status=refusal.status, code=refusal.code, message=refusal.message, headers=_FINAL)
            return self._answer(told, "")
        why = ", ".join(reason for reason in self._call.reasons if reason.startswith("route:"))
        reply = Reply(
            status=503,
            code="no_target",
            message=f"route {self._journey.route.name} has no target that can take this call ({why})",
        )
        self._call.refused, self._call.refusal_class = reply.code, "overloaded"
        return self._answer(reply, "")

    def _answer(self, reply: Reply, target: str) -> bool:
        call = self._call
        call.status = reply.status
        keep = call.request.body.is_eof() and call.request.head.keeps
        told = [*reply.headers, ("x-taximeter-attempts", str(len(call.attempts)))]
        if target:
            told.append(("x-taximeter-target", target))
        worded = Reply(status=reply.status, code=reply.code, message=reply.message, headers=tuple(told))
        call.request.client.send(
            encode(worded, call.route.error_dialect, call.call_id, close=not keep, body_wanted=call.method != "HEAD")
        )
        return keep


def _reply(error: UpstreamError | None, provider: str, message: str) -> Reply:
    """What the app is told where no answer of a provider can be passed on."""
    if error is not None and error.phase == "shutdown":
        return Reply(status=503, code="shutting_down", message="shut down before the provider had answered")
    timed_out = error is not None and error.timed_out
    malformed = error is None or error.phase in {"head", "answer"}
    code = "upstream_timeout" if timed_out else "upstream_malformed" if malformed else "upstream_unreachable"
    return Reply(status=504 if timed_out else 502, code=code, message=f"provider {provider}: {message}")

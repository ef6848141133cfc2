"""Providers that charge: each answer has a random usage, many fail in some way, and every charge is counted at once.

What is charged never is more than the request allows. A charge falls at the start of the work or at its end, whatever
became of the app in between; whoever is answered with an error status, or with an error in a good answer, is not
charged. After each charge the sums are held against the caps: no instant is left out.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.fakes.raw_upstream import Conversation, raw_upstream
from tests.overshoot.prices import BUDGETS, RATES, SCOPES, Usage, caps, counter_of

WHOLE, ERROR, BUSY, SAID, RESET, CUT, LATE = "whole", "error", "busy", "said", "reset", "cut", "late"
_PLAYS = {WHOLE: 40, ERROR: 3, BUSY: 1, SAID: 2, RESET: 1, CUT: 2, LATE: 1}
"""What becomes of a request, so often of so many together: a good answer, a 5xx, a 429, an error in a 200, a reset before
the answer and one in its middle, an answer for which nobody waits."""
_FREE = {ERROR, BUSY, SAID}
_WORK_S = 0.06
_LATE_S = 0.7
_PIECES = 8
_MARGIN_TOKENS = 900
"""How many tokens more than bytes a provider may make of a request: fewer than the 1,024 that are held for it."""


@dataclass(frozen=True)
class Charge:
    """What one request was charged."""

    model: str
    usage: Usage
    play: str


@dataclass
class Till:
    """All charges, by whom and for which call."""

    charges: dict[str, list[Charge]] = field(default_factory=lambda: defaultdict(list))
    """By the number of the call, in their order."""
    asked: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Number of the call -> plays of its requests."""
    sums: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    """By counter."""
    over: list[str] = field(default_factory=list)
    """Counters that passed their caps, in words."""
    fullest: Fraction = Fraction(0)
    """The largest share of a cap that was ever spent."""
    looks: int = 0

    def begin(self, number: str, scopes: dict[str, str], play: str) -> None:
        """A request came; the first of a call is one call."""
        if not self.asked[number]:
            self._add(scopes, "calls", Fraction(1))
        self.asked[number].append(play)

    def charge(self, number: str, scopes: dict[str, str], charge: Charge) -> None:
        """Take money for a request."""
        self.charges[number].append(charge)
        for unit, amount in charge.usage.amounts(charge.model).items():
            self._add(scopes, unit, amount)

    def _add(self, scopes: dict[str, str], unit: str, amount: Fraction) -> None:
        limits = caps()
        for name, (scope, its_unit, _) in BUDGETS.items():
            if its_unit != unit:
                continue
            counter = counter_of(name, scopes[scope])
            self.sums[counter] += amount
            self.looks += 1
            share = self.sums[counter] / limits[name]
            self.fullest = max(self.fullest, share)
            if share > 1:
                self.over.append(f"{counter} is at {float(share):.6%}")


class ChargingProvider:
    """One provider; several share a till."""

    def __init__(self, till: Till, dice: random.Random) -> None:
        self.till = till
        self.dice = dice
        self.good = False
        """Whether every answer is a good one."""
        self.url = ""

    async def play(self, conversation: Conversation) -> None:
        """Answer one request after the other."""
        served = 0
        while True:
            head, body = await conversation.request()
            asked, lowered = json.loads(body), head.lower()
            number = header(lowered, b"x-number")
            scopes = dict(zip(SCOPES, header(lowered, b"x-scopes").split("/"), strict=True))
            (play,) = (WHOLE,) if self.good else self.dice.choices(list(_PLAYS), list(_PLAYS.values()))
            self.till.begin(number, scopes, play)
            charge = Charge(asked["model"], self._usage(len(body), asked), play)
            # Nobody works on a request that comes over a connection just as it is closed.
            free = play in _FREE or (play == RESET and served > 0)
            early = self.dice.random() < 0.5
            if not free and early:
                self.till.charge(number, scopes, charge)
            try:
                ends = await self._answer(conversation, play, charge, streamed=asked.get("stream", False))
            finally:
                if not free and not early:
                    self.till.charge(number, scopes, charge)
            if ends:
                return
            served += 1

    def _usage(self, body_bytes: int, asked: dict[str, Any]) -> Usage:
        if "n" in asked:
            return Usage(0, 0, 0, 0, images=asked["n"])
        dice, max_tokens = self.dice, asked["max_tokens"]
        if dice.random() < 0.1:
            return Usage(body_bytes + _MARGIN_TOKENS, 0, max_tokens, max_tokens)
        inputs = dice.randint(1, body_bytes)
        output = int(max_tokens * dice.random() ** 2)
        return Usage(inputs, dice.randint(0, inputs), output, dice.randint(0, output))

    async def _answer(self, conversation: Conversation, play: str, charge: Charge, *, streamed: bool) -> bool:
        """Say it; whether the connection is over."""
        await asyncio.sleep(self.dice.expovariate(1 / _WORK_S) + (_LATE_S if play == LATE else 0))  # its own pace
        if play == RESET:
            conversation.reset()
            return True
        if play in {ERROR, BUSY, SAID}:
            status = {ERROR: self.dice.choice((500, 502, 503)), BUSY: 429, SAID: 200}[play]
            error = {"message": "no answer", "type": "server_error", "code": None}
            await conversation.say(_whole({"error": error}, status))
            return False
        if not streamed:
            answer = _whole(_completion(charge) if charge.model in RATES else {"created": 1, "data": []})
            if play == CUT:
                await conversation.say(answer[: len(answer) // 2])
                conversation.reset()
                return True
            await conversation.say(answer)
            return False
        return await self._stream(conversation, charge, cut=play == CUT)

    async def _stream(self, conversation: Conversation, charge: Charge, *, cut: bool) -> bool:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        await conversation.say(head)
        lasts = self.dice.randrange(_PIECES) if cut else _PIECES
        for piece in range(lasts):
            await asyncio.sleep(0.02)  # likewise
            delta = {"index": 0, "delta": {"content": f"{piece} "}, "finish_reason": None}
            await conversation.say(_event({"id": "c", "model": charge.model, "choices": [delta], "usage": None}))
        if cut:
            conversation.reset()
            return True
        done = {"index": 0, "delta": {}, "finish_reason": "stop"}
        await conversation.say(
            _event({"id": "c", "model": charge.model, "choices": [done], "usage": None}),
            _event({"id": "c", "model": charge.model, "choices": [], "usage": _told(charge.usage)}),
            b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
        )
        return False


def header(head: bytes, name: bytes) -> str:
    """The value of a header in a head of small letters; empty when it is not there."""
    return head.partition(b"\r\n%b: " % name)[2].partition(b"\r\n")[0].decode()


def _completion(charge: Charge) -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
    return {"id": "c", "model": charge.model, "choices": [choice], "usage": _told(charge.usage)}


def _told(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _whole(answer: dict[str, object], status: int = 200) -> bytes:
    body = json.dumps(answer).encode()
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return head + body


def _event(event: dict[str, object]) -> bytes:
    data = b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def charging(till: Till, dice: random.Random, count: int = 2) -> AsyncIterator[list[ChargingProvider]]:
    """So many providers that answer until the block ends."""
    async with AsyncExitStack() as stack:
        providers = []
        for _ in range(count):
            provider = ChargingProvider(till, random.Random(dice.random()))
            provider.url = (await stack.enter_async_context(raw_upstream(provider.play))).url
            providers.append(provider)
        yield providers

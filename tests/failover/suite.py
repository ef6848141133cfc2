"""Runs one fault against a real worker: two providers of raw sockets, one route over both, a budget with a ledger."""

import tempfile
from decimal import Decimal
from pathlib import Path

import msgspec

from policies.compiled import Budget, CompiledPolicies, ModelRate, Window
from policies.ledger.sqlite_books import SqliteBooks
from policies.routes_compiled import HedgeRule, RetryRule, Route, RouteTarget, Routing
from proxy.core.price import Card, Price, Rates
from tests.failover.faults import LIMIT_MS, Expected, Fault
from tests.failover.speech import Speech
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.raw_upstream import Conversation, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

COST_NANO = 10 * 1000 + 20 * 2000
"""Of a good answer."""
_NOBODY = "http://127.0.0.1:1"
_USD = 10**9


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one case."""

    dialect: str
    fault: str
    streamed: bool
    outcome: str
    rule: str
    target: str
    """That the app was answered by."""
    at_client: str
    rows: int
    leased: int
    """What the ledger still has set aside for the call, in nano-dollars."""
    spent: int
    """What the record says that it used."""
    wrong: tuple[str, ...] = ()


async def run_case(fault: Fault, speech: Speech, *, streamed: bool) -> Seen | None:
    """One call into the fault; None where the fault has no such moment."""
    expected = fault.streamed if streamed else fault.whole
    if expected is None:
        return None

    async def failing(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            if fault.play is not None:
                await fault.play(conversation, speech, streamed)

    async def good(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            body = speech.stream if streamed else speech.whole
            kind = b"text/event-stream" if streamed else b"application/json"
            head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
            await conversation.say(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        async with (
            raw_upstream(failing) as one,
            raw_upstream(good) as two,
            running_worker(
                provider("a", one.url if fault.play is not None else _NOBODY, kind=speech.kind),
                provider("b", two.url, kind=speech.kind, api_key="operators-own-key"),
                policies=policies_of(speech.kind, hedge_ms=fault.hedge_ms),
                data_dir=data_dir,
            ) as worker,
        ):
            ask = speech.ask_stream if streamed else speech.ask
            path, key = b"/a" + speech.path, b"Authorization: Bearer the-apps-own-key"
            answer = read_answer(await worker.exchange(post(path, ask, key)))
            (call,) = await worker.journal.calls(1)
        leased = sum(one.leased for one in SqliteBooks(data_dir / "ledger.sqlite").recorded())
    first, last = call.attempts[0], call.attempts[-1]
    draw = call.draws[0]
    seen = Seen(
        dialect=speech.name,
        fault=fault.name,
        streamed=streamed,
        outcome=first.error.error_class if first.error is not None else "ok",
        rule=first.rule,
        target=last.target,
        at_client=_at_client(answer.payload, complete=answer.complete),
        rows=len(call.attempts),
        leased=leased,
        spent=draw.set_aside or 0,
    )
    stated = speech.error_class if expected.outcome == "overloaded" and "error" in fault.name else expected.outcome
    unknown = draw.held // seen.rows
    if streamed and first.usage.input_tokens and speech.begun_nano is not None:
        unknown = speech.begun_nano  # what was reported is believed, though it was not the end of it
    wrong = [
        *_wrong_answer(expected, fault, speech, answer.payload, complete=answer.complete, streamed=streamed),
        *([f"outcome {seen.outcome}, not {stated}"] if seen.outcome != stated else []),
        *([f"{seen.rows} rows"] if seen.rows != (2 if expected.end == "next" else 1) else []),
        *([f"the ledger has {leased}, the record {seen.spent}"] if leased != seen.spent else []),
        *_wrong_money(expected, seen.spent, unknown),
    ]
    return msgspec.structs.replace(seen, wrong=tuple(wrong))


def policies_of(kind: str, *, names: str = "ab", limit: int = 1, hedge_ms: int | None = None) -> CompiledPolicies:
    """One route over these providers, in their order, and a budget of so many dollars."""
    price = Price(
        id="p",
        origin="book",
        currency="USD",
        kinds=(kind,),
        match=("m",),
        card=Card(Rates(input=Decimal(1), output=Decimal(2))),
    )
    rates = tuple(
        ModelRate(
            id="p",
            provider=name,
            models=("m",),
            currency="USD",
            input_nano=_USD,
            output_nano=2 * _USD,
            max_output_tokens=100,
            price=price,
        )
        for name in names
    )
    route = Route(
        name="r",
        targets=tuple(RouteTarget(id=f"{name}/m", provider=name, tier=tier) for tier, name in enumerate(names)),
        retry=RetryRule(tries_each=1, first_byte_ms=LIMIT_MS, idle_ms=LIMIT_MS),
        hedge=HedgeRule(after_ms=hedge_ms) if hedge_ms is not None else None,
    )
    budget = Budget(name="b", policy="budget:b", unit="USD", limit=limit * _USD, window=Window(shape="total"))
    return CompiledPolicies(budgets=(budget,), rates=rates, routing=Routing(routes=(route,)), hash="failover")


def _at_client(payload: bytes, *, complete: bool) -> str:
    end = "complete" if complete else "broken"
    return f"{len(payload)} bytes, {end}{', error event' if b'stream_broken' in payload else ''}"


def _wrong_answer(
    expected: Expected, fault: Fault, speech: Speech, payload: bytes, *, complete: bool, streamed: bool
) -> list[str]:
    wrong = []
    if complete == (expected.end == "broken"):
        wrong.append("complete" if complete else "not complete")
    if expected.end == "broken":
        begun = speech.before[0] + (speech.before[1] if len(speech.before) > 1 else b"")
        if not payload.startswith(begun) or b"stream_broken" not in payload:
            wrong.append(f"ends with {payload[-80:]!r}")
    elif expected.end == "next" or fault.name == "slow first byte":
        good = speech.seen_stream if streamed else speech.whole
        if payload != good:
            wrong.append(f"the app got {payload[:80]!r}")
    return wrong


def _wrong_money(expected: Expected, spent: int, unknown: int) -> list[str]:
    winner = COST_NANO if expected.end == "next" else 0
    if expected.money == "held":
        return [f"spent {spent}, less than {max(winner, unknown)}"] if spent < max(winner, unknown) else []
    if expected.money == "doubtful" and spent >= max(winner, unknown):
        return []
    exact = winner + (COST_NANO if expected.money == "known" else 0)
    return [f"spent {spent}, not {exact}"] if spent != exact else []

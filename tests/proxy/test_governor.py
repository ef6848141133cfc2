"""Calls under policies, over real sockets, with a real ledger."""

import asyncio
import gzip
import json
from decimal import Decimal

import pytest
from msgspec import structs

from policies.compiled import Budget, CompiledPolicies, Limit, ModelRate, Threshold, Window
from policies.ledger.sqlite_books import SqliteBooks
from proxy.core.price import Card, Price, Rates
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

USD = 10**9
PRICE = Price(
    id="p",
    origin="book",
    currency="USD",
    kinds=("openai", "openai_compatible"),
    match=("m",),
    card=Card(Rates(input=Decimal(1), output=Decimal(2))),
)
RATE = ModelRate(id="p", provider="p", models=("m",), currency="USD", input_nano=USD, output_nano=2 * USD, price=PRICE)
USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
BODY = json.dumps({"model": "m", "choices": [{"finish_reason": "stop", "index": 0}], "usage": USAGE}).encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
COST_NANO = 10 * 1000 + 20 * 2000


def budget(**fields):
    values = {"name": "b", "policy": "budget:b", "unit": "USD", "limit": USD, "window": Window(shape="total")}
    return Budget(**values | fields)


def policies(*budgets, limits=(), rate=RATE):
    return CompiledPolicies(budgets=budgets, limits=limits, rates=(rate,), hash="h1")


def request(max_tokens=100, path=b"/p/v1/chat/completions", team=b"search"):
    body = json.dumps(
        {"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hi"}]}
    ).encode()
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nx-taximeter-team: %b\r\n" % (path, team)
    return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path


async def test_a_call_holds_its_worst_case_and_settles_what_it_used(data_dir):
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(budget()), data_dir=data_dir) as worker,
    ):
        answer = await worker.exchange(request())
        (call,) = await worker.journal.calls(1)

    assert answer.startswith(b"HTTP/1.1 200")
    (opened,) = worker.journal.opened
    assert opened.draws[0].held > COST_NANO
    assert opened.hold.output_tokens == 100
    assert [(draw.counter, draw.set_aside) for draw in call.draws] == [("budget:b", COST_NANO)]
    assert call.reasons[0].startswith("budget:b:hold=")


async def test_a_call_that_does_not_fit_is_refused_before_it_is_forwarded(data_dir):
    tight = policies(budget(limit=3 * 10**6))
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=tight, data_dir=data_dir) as worker,
    ):
        refused = await worker.exchange(request(max_tokens=100_000))
        passed = await worker.exchange(request(max_tokens=10))
        first, second = await worker.journal.calls(2)

    assert refused.startswith(b"HTTP/1.1 429")
    assert b"x-taximeter-error: budget_exceeded" in refused
    assert b"x-should-retry: false" in refused
    assert b"budget b" in refused.partition(b"\r\n\r\n")[2]
    assert passed.startswith(b"HTTP/1.1 200")
    assert len(upstream.requests) == 1
    assert (first.outcome, first.error_class, first.attempts, first.draws) == ("refused", "rate_limit", (), ())
    assert second.draws[0].set_aside == COST_NANO


async def test_what_failed_before_it_was_billed_is_given_back(data_dir):
    broken = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    async with (
        raw_upstream(answers(broken)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(budget()), data_dir=data_dir) as worker,
    ):
        await worker.exchange(request())
        (call,) = await worker.journal.calls(1)

    assert call.draws[0].set_aside == 0
    assert [one.leased for one in SqliteBooks(data_dir / "ledger.sqlite").recorded()] == [0]


async def test_a_rate_limit_says_when_to_come_again_in_the_dialects_envelope(data_dir):
    limit = Limit(name="rpm", policy="limit:rpm", unit="calls", limit=1, per_ns=60 * 10**9)
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(limits=(limit,)), data_dir=data_dir) as worker,
    ):
        await worker.exchange(request())
        refused = await worker.exchange(request())

    head, _, body = refused.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429")
    assert b"\r\nretry-after: 60\r\n" in head
    assert b"x-should-retry" not in head
    assert json.loads(body)["error"]["message"].startswith("Taximeter: limit rpm")
    assert b"\r\nx-ratelimit-limit-requests: 1\r\nx-ratelimit-remaining-requests: 0\r\n" in head


async def test_a_rate_limit_speaks_to_anthropics_clients_in_their_manner(data_dir):
    limit = Limit(name="rpm", policy="limit:rpm", unit="calls", limit=1, per_ns=60 * 10**9)
    anthropic = provider("p", "http://127.0.0.1:1", kind="anthropic")
    async with running_worker(anthropic, policies=policies(limits=(limit,)), data_dir=data_dir) as worker:
        await worker.exchange(request(path=b"/p/v1/messages"))
        refused = await worker.exchange(request(path=b"/p/v1/messages"))

    assert refused.startswith(b"HTTP/1.1 429")
    assert b"\r\nanthropic-ratelimit-requests-remaining: 0\r\nanthropic-ratelimit-requests-reset: 20" in refused
    assert b"x-ratelimit" not in refused


async def test_a_threshold_tells_the_app_in_a_header(data_dir):
    told = budget(limit=COST_NANO * 60, thresholds=(Threshold(at=100, acts=("header",)),))
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(told), data_dir=data_dir) as worker,
    ):
        answer = await worker.exchange(request(max_tokens=1))

    assert b"\r\nx-taximeter-budget" in answer.partition(b"\r\n\r\n")[0].lower()


async def test_a_path_that_nobody_reads_has_no_bound_and_a_hard_budget_refuses_it(data_dir):
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(budget()), data_dir=data_dir) as worker,
    ):
        answer = await worker.exchange(request(path=b"/p/v1/something/new"))

    assert answer.startswith(b"HTTP/1.1 403")
    assert upstream.requests == []


async def test_a_ledger_that_cannot_be_opened_does_what_the_policy_says(data_dir):
    (data_dir / "ledger.sqlite").mkdir()
    allowed = structs.replace(budget(), when_unavailable="allow")
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(allowed), data_dir=data_dir) as worker,
    ):
        answer = await worker.exchange(request())
        (call,) = await worker.journal.calls(1)

    assert answer.startswith(b"HTTP/1.1 200")
    assert "budget:b:uncounted" in call.reasons
    assert call.draws[0].set_aside == 0


async def clamped_exchange(data_dir, data, rate=RATE, **more):
    tight = policies(budget(limit=4 * 10**6, clamp_min=100, **more), rate=rate)
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=tight, data_dir=data_dir) as worker,
    ):
        answer = await worker.exchange(data)
        (call,) = await worker.journal.calls(1)
    return answer, call, upstream.requests, worker.journal.opened


async def test_a_call_that_does_not_fit_is_sent_with_a_lower_output_limit(data_dir):
    answer, call, requests, opened = await clamped_exchange(data_dir, request(max_tokens=100_000))

    assert answer.startswith(b"HTTP/1.1 200")
    head, _, body = requests[0].partition(b"\r\n\r\n")
    tokens = json.loads(body)["max_tokens"]
    assert 100 < tokens < 2000
    assert body == request(max_tokens=tokens).partition(b"\r\n\r\n")[2]
    assert head.endswith(b"Content-Length: %d" % len(body))
    assert b"x-taximeter-clamped: max_tokens=%d\r\n" % tokens in answer
    assert call.attempts[0].changes == (f"clamped={tokens}",)
    assert f"budget:b:clamp={tokens}" in call.reasons
    assert call.max_output_tokens == 100_000
    assert opened[0].draws[0].held <= 4 * 10**6
    assert call.draws[0].set_aside == COST_NANO


async def test_what_a_worker_has_on_lease_is_room_for_the_next_clamped_call(data_dir):
    tight = policies(budget(unit="tokens", limit=10_000, clamp_min=100))
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=tight, data_dir=data_dir) as worker,
    ):
        sent = [await worker.exchange(request(max_tokens=100_000)) for _ in range(3)]
        calls = await worker.journal.calls(3)

    assert [answer[:12] for answer in sent] == [b"HTTP/1.1 200"] * 3
    for call in calls:
        (change,) = call.attempts[0].changes
        clamp, hold = call.reasons
        assert clamp == f"budget:b:clamp={change.removeprefix('clamped=')}"
        assert hold.startswith("budget:b:hold=9") or hold == "budget:b:hold=10000tokens"


async def test_a_compressed_body_is_not_touched_but_refused(data_dir):
    body = gzip.compress(request(max_tokens=100_000).partition(b"\r\n\r\n")[2])
    head = (
        b"POST /p/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip"
    )
    data = head + b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    bounded = structs.replace(RATE, context_tokens=3000)
    answer, call, requests, _ = await clamped_exchange(data_dir, data, bounded)

    assert answer.startswith(b"HTTP/1.1 429")
    assert b"x-taximeter-clamped" not in answer
    assert (call.outcome, requests) == ("refused", [])


async def test_a_call_that_would_be_left_with_too_little_is_refused(data_dir):
    answer, call, requests, _ = await clamped_exchange(data_dir, request(max_tokens=100_000), grace=-3 * 10**6)

    assert answer.startswith(b"HTTP/1.1 429")
    assert (call.outcome, requests) == ("refused", [])


async def test_a_compressed_body_is_not_bounded_by_how_small_it_was_packed(data_dir):
    text = json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi " * 400_000}]})
    packed = gzip.compress(text.encode())
    head = b"POST /p/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
    sent = head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed)
    # Packed it would be held for well below a cent; what is in it costs more than the whole budget.
    tight = policies(budget(limit=USD // 100))
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=tight, data_dir=data_dir) as worker,
    ):
        answer = await worker.exchange(sent)

    assert answer.startswith(b"HTTP/1.1 403")
    assert upstream.requests == []


async def test_a_call_waits_for_a_providers_limit_that_has_a_queue(data_dir):
    limit = Limit(
        name="pace",
        policy="limit:pace",
        unit="calls",
        limit=20,
        burst=1,
        per_ns=10**9,
        queue_most=10,
        queue_wait_ns=10 * 10**9,
    )
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(limits=(limit,)), data_dir=data_dir) as worker,
    ):
        found = await asyncio.gather(*(worker.exchange(request()) for _ in range(4)))
        calls = await worker.journal.calls(4)

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in found)
    assert sum(any(reason.startswith("limit:pace:queued=") for reason in call.reasons) for call in calls) == 3


async def test_an_app_that_leaves_while_its_call_waits_is_a_cancelled_call_that_spent_nothing(data_dir):
    limit = Limit(
        name="pace",
        policy="limit:pace",
        unit="calls",
        limit=1,
        per_ns=60 * 10**9,
        queue_most=10,
        queue_wait_ns=50 * 10**9,
    )
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(
            provider("p", upstream.url), policies=policies(budget(), limits=(limit,)), data_dir=data_dir
        ) as worker,
    ):
        await worker.exchange(request())
        _, writer = await worker.connect()
        writer.write(request())
        await writer.drain()
        writer.close()
        _, waited = await worker.journal.calls(2)

    assert (waited.outcome, waited.error_class, waited.attempts, waited.draws) == (
        "cancelled",
        "cancelled_by_client",
        (),
        (),
    )
    assert len(upstream.requests) == 1

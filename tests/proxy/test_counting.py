"""Calls that are priced by units, under a hard budget of money, over real sockets."""

import asyncio
import json

import pytest

from policies.compiled import Budget, CompiledPolicies, ModelRate, Window
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

USD = 10**9
RATES = (
    ModelRate(id="s", provider="p", models=("speech-hd",), currency="USD", units_nano={"characters": 100 * USD}),
    ModelRate(id="i", provider="p", models=("image-01",), currency="USD", units_nano={"images": 3500 * USD}),
    ModelRate(id="e", provider="p", models=("embo",), currency="USD", input_nano=USD),
)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 2\r\n\r\nhi"


def policies(**fields):
    values = {"name": "b", "policy": "budget:b", "unit": "USD", "limit": USD, "window": Window(shape="total")}
    return CompiledPolicies(budgets=(Budget(**values | fields),), rates=RATES, hash="h1")


def request(path, members, extra=b""):
    body = json.dumps(members).encode()
    head = b"POST /p/v1/%b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n%b" % (
        path,
        extra,
    )
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    ("path", "members", "held"),
    [
        (b"audio/speech", {"model": "speech-hd", "input": "x" * 1000}, USD // 10),
        (b"images/generations", {"model": "image-01", "n": 3}, 10_500_000),
        (b"embeddings", {"model": "embo", "input": "x"}, 2_000_000),
    ],
)
async def test_a_call_without_a_dialect_holds_its_units_and_is_charged_them(tmp_path, path, members, held):
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(), data_dir=tmp_path) as worker,
    ):
        answer = await worker.exchange(request(path, members))
        (call,) = await worker.journal.calls(1)

    assert answer.endswith(b"\r\n\r\nhi")
    assert [(draw.held, draw.set_aside) for draw in call.draws] == [(held, held)]
    assert call.model_requested == members["model"]


async def test_a_body_that_comes_late_is_read_where_there_are_policies(tmp_path):
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(), data_dir=tmp_path) as worker,
    ):
        reader, writer = await worker.connect()
        whole = request(b"audio/speech", {"model": "speech-hd", "input": "x" * 1000})
        writer.write(whole[:-500])
        await asyncio.sleep(0)
        writer.write(whole[-500:])
        answer = await reader.read(-1)
        writer.close()
        (call,) = await worker.journal.calls(1)

    assert answer.startswith(b"HTTP/1.1 200")
    assert call.draws[0].held == USD // 10
    assert upstream.requests[0].endswith(whole.partition(b"\r\n\r\n")[2])


async def test_a_picture_that_does_not_fit_or_has_no_bound_is_refused(tmp_path):
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(limit=4_000_000), data_dir=tmp_path) as worker,
    ):
        too_many = await worker.exchange(request(b"images/generations", {"model": "image-01", "n": 3}))
        unknown = await worker.exchange(request(b"images/generations", {"model": "image-01", "n": []}))
        nameless = await worker.exchange(request(b"nobody/knows", {}))

    assert too_many.startswith(b"HTTP/1.1 429")
    assert b"x-taximeter-error: policy_unbounded" in unknown
    assert b"images does not stand in the request" in unknown
    assert b"x-taximeter-error: policy_unbounded" in nameless
    assert not upstream.requests


async def test_what_failed_is_not_charged(tmp_path):
    broken = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    async with (
        raw_upstream(answers(broken)) as upstream,
        running_worker(provider("p", upstream.url), policies=policies(), data_dir=tmp_path) as worker,
    ):
        await worker.exchange(request(b"images/generations", {"model": "image-01"}))
        (call,) = await worker.journal.calls(1)

    assert call.draws[0].set_aside == 0

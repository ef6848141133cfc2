import asyncio
import itertools
from collections import Counter

import aiohttp
import pytest

from proxy.sandbox import traffic
from proxy.sandbox.company import APPS
from proxy.sandbox.controls import take_controls
from proxy.sandbox.errors import parse_error
from proxy.sandbox.server import serve_sandbox
from proxy.sandbox.traffic import DAY_S, PlannedCall, plan, rhythm, run_traffic


def planned(count, seed=1, rate_per_s=10.0):
    return list(itertools.islice(plan(seed, rate_per_s), count))


def test_the_same_seed_plans_the_same_calls():
    assert planned(30) == planned(30)
    assert planned(30) != planned(30, seed=2)


def test_the_pauses_between_calls_are_as_long_as_the_rate_wants_on_average():
    pauses = [pause_s for _, pause_s in planned(600, rate_per_s=10)]
    assert all(pause_s >= 0 for pause_s in pauses)
    assert sum(pauses) / len(pauses) == pytest.approx(0.1, rel=0.15)


def test_a_minute_of_traffic_shows_everybody_and_everything():
    calls = [call for call, _ in planned(400)]
    assert {call.headers["x-taximeter-project"] for call in calls} == {app.project for app in APPS}
    assert {call.body.get("stream", False) for call in calls} == {True, False}
    wishes = [take_controls(call.body, call.headers)[1] for call in calls]
    troubled = [wish for wish in wishes if wish.error or wish.cut or wish.no_usage]
    assert 0.02 < len(troubled) / len(calls) < 0.15
    assert any("tools" in call.body for call in calls)
    assert any(call.leaves_after_s for call in calls)


def test_every_trouble_is_one_the_sandbox_knows():
    for trouble in (*traffic._TROUBLES, *traffic._MINIMAX_TROUBLES):
        error = take_controls({}, {"x-sandbox": trouble})[1].error
        assert error is None or parse_error(error)


def test_usage_is_asked_for_in_streams_only():
    for call, _ in planned(200):
        assert "stream_options" not in call.body or call.body["stream"] is True


def test_the_day_has_a_calm_and_a_busy_hour_and_is_repeated():
    hours = [rhythm(at * DAY_S / 24) for at in range(24)]
    assert min(hours) == pytest.approx(0.25)
    assert max(hours) == pytest.approx(1)
    assert rhythm(7) == pytest.approx(rhythm(7 + DAY_S))
    assert rhythm(1) > rhythm(0)


@pytest.mark.real
async def test_traffic_is_answered_by_the_sandbox_and_ends_when_it_is_told_to(monkeypatch):
    def quick(seed, rate_per_s):
        for number, (call, _) in enumerate(plan(seed, rate_per_s)):
            if number == 60:
                stop_traffic.set()
            # As planned, but at the speed of a test, and with errors for certain.
            wishes = call.headers["x-sandbox"] + ",ttfb_ms=0,pace_ms=0" + ",error=429" * (number % 10 == 0)
            headers = {**call.headers, "x-sandbox": wishes}
            yield PlannedCall(path=call.path, headers=headers, body=call.body), 0.005

    monkeypatch.setattr(traffic, "plan", quick)
    stop_sandbox, stop_traffic = asyncio.Event(), asyncio.Event()
    ready = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve_sandbox("127.0.0.1", 0, 1, stop_sandbox, ready.set_result))
    async with asyncio.timeout(20):
        outcomes = await run_traffic(f"http://127.0.0.1:{await ready}", 1, stop_traffic, 100)
    stop_sandbox.set()
    await serving
    assert outcomes["answered"] > 30
    assert outcomes["refused"] >= 1
    assert outcomes["unreachable"] == outcomes["skipped"] == 0


@pytest.mark.real
async def test_traffic_survives_a_proxy_that_is_not_there(monkeypatch, unused_tcp_port):
    monkeypatch.setattr(traffic, "_RETRY_S", 0.001)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, stop.set)
    async with asyncio.timeout(10):
        outcomes = await run_traffic(f"http://127.0.0.1:{unused_tcp_port}", 1, stop, 200)
    assert outcomes["unreachable"] > 0
    assert outcomes["answered"] == 0


@pytest.mark.real
async def test_an_impatient_client_leaves():
    stop_sandbox = asyncio.Event()
    ready = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve_sandbox("127.0.0.1", 0, 1, stop_sandbox, ready.set_result))
    address = f"http://127.0.0.1:{await ready}"
    call = PlannedCall(
        path="/v1/chat/completions",
        headers={"x-sandbox": "stall"},
        body={"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True},
        leaves_after_s=0.1,
    )
    outcomes: Counter[str] = Counter()
    async with aiohttp.ClientSession() as session:
        await traffic._make(session, address, call, outcomes)
    stop_sandbox.set()
    await serving
    assert outcomes == {"left": 1}

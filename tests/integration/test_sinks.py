"""A whole Taximeter with every kind of sink: what it carried arrives everywhere, whatever is away or killed meanwhile."""

import asyncio
import json
import os
import signal
from contextlib import ExitStack

import aiohttp
import pytest

from tests.fakes.hook_receiver import hook_receiver
from tests.fakes.otlp_receivers import RECEIVERS
from tests.fakes.running_sandbox import running_sandbox
from tests.fakes.until import until
from tests.fakes.whole import CONFIG, serving, taximeter

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

SECRET = "0123456789abcdef01234567"
PATIENCE_S = 60.0


def config(sandbox, protocol, otlp_url, hook_url):
    return (
        CONFIG
        + f"""
workers: 1
providers: {{sand: {{kind: openai_compatible, base_url: "{sandbox}/openai"}}}}
sinks:
  otlp: {{endpoint: "{otlp_url}", protocol: {protocol}, timeout: 1s, metrics_interval: 100ms, traces: all}}
  webhooks: {{ops: {{url: "{hook_url}/hook", secret: "file:hook-secret", timeout: 1s}}}}
"""
    )


async def send(whole, number, stream=False):
    """Make calls, one after the other; their ids."""
    body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    ids = []
    async with aiohttp.ClientSession() as session:
        for _ in range(number):
            headers = {"authorization": "Bearer sk-sandbox-0123456789"}
            async with session.post(f"{whole.url}/sand/v1/chat/completions", json=body, headers=headers) as response:
                assert response.status == 200, await response.text()
                await response.read()
                ids.append(response.headers["x-taximeter-call-id"])
    return set(ids)


def called(receiver, kind):
    """Call ids of the spans of a kind, as often as they came."""
    found = []
    for span in receiver.spans:
        if span.kind == kind:
            found += [one.value.string_value for one in span.attributes if one.key == "taximeter.call_id"]
    return found


def told(hook):
    return [one["call_id"] for got in hook.posted for one in json.loads(got.body)["data"]["calls"]]


def whole_with(stack, tmp_path, protocol):
    (tmp_path / "hook-secret").write_text(SECRET)
    sandbox = stack.enter_context(running_sandbox())
    receiver = stack.enter_context(RECEIVERS[protocol]())
    hook = stack.enter_context(hook_receiver())
    return receiver, hook, config(sandbox, protocol, receiver.url, hook.url)


@pytest.mark.parametrize("protocol", RECEIVERS)
async def test_every_call_arrives_everywhere(tmp_path, protocol):
    with ExitStack() as stack:
        receiver, hook, text = whole_with(stack, tmp_path, protocol)
        async with serving(tmp_path, config=text) as whole:
            ids = await send(whole, 20) | await send(whole, 5, stream=True)
            await until(lambda: set(told(hook)) >= ids and set(called(receiver, 3)) >= ids, PATIENCE_S)
            status, output, _ = await taximeter(tmp_path, "doctor", "--format", "json")
            assert status == 0
            sinks = json.loads(output)["status"]["journal"]["sinks"]
            assert {"clickhouse", "otlp-traces", "otlp-metrics", "webhook-ops"} <= set(sinks)
        # No fault, so nothing came twice.
        assert sorted(called(receiver, 2)) == sorted(called(receiver, 3)) == sorted(told(hook)) == sorted(ids)
        count = sum(point.count for point in receiver.points("http.server.request.duration")[-1:])
        assert count == len(ids)
        assert {got.headers["webhook-id"] for got in hook.posted}
        assert SECRET.encode() not in b"".join(got.body for got in hook.posted)


async def test_a_receiver_that_is_away_and_a_recorder_that_is_killed_lose_nothing(tmp_path):
    with ExitStack() as stack:
        receiver, hook, text = whole_with(stack, tmp_path, "http/protobuf")
        async with serving(tmp_path, config=text) as whole:
            ids = await send(whole, 5)
            await until(lambda: set(called(receiver, 2)) >= ids, PATIENCE_S)
            receiver.next(*["busy"] * 4, "deaf", "busy")
            hook.next(500, "cut", "hang", 503)
            ids |= await send(whole, 10)
            os.kill(whole.pid("recorder-0"), signal.SIGKILL)
            ids |= await send(whole, 10)
            await until(lambda: set(told(hook)) >= ids and set(called(receiver, 2)) >= ids, PATIENCE_S)
        assert set(called(receiver, 3)) == ids


async def test_a_receiver_that_never_answers_does_not_hold_up_the_end(tmp_path):
    with ExitStack() as stack:
        receiver, hook, text = whole_with(stack, tmp_path, "http/protobuf")
        receiver.next(*["deaf"] * 1000)
        hook.next(*["hang"] * 1000)
        async with serving(tmp_path, config=text) as whole:
            await send(whole, 2)
            await until(lambda: receiver.requests and hook.posted, PATIENCE_S)
            whole.process.terminate()
            async with asyncio.timeout(15):
                assert await whole.ends() == 0

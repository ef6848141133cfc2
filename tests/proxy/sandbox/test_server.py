"""The sandbox over real sockets: what the official SDKs and a bare client see."""

import asyncio
import json
import socket

import aiohttp
import anthropic
import httpx2
import openai
import pytest

from proxy.sandbox.server import MAX_REQUEST_BYTES, serve_sandbox
from proxy.sandbox.words import MARKER, NOTICE, NOTICE_HEADER
from tests.fakes.running_sandbox import running_sandbox

pytestmark = pytest.mark.real

ASK = [{"role": "user", "content": "Where is the taxi?"}]
CHAT = {"model": "gpt-4o-mini", "messages": ASK}
FAST = {"x-sandbox": "ttfb_ms=0,pace_ms=0,tokens=12"}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI_TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
ANTHROPIC_TOOL = {"name": "weather", "input_schema": WEATHER}


@pytest.fixture(scope="module")
def url():
    with running_sandbox() as base_url:
        yield base_url


@pytest.fixture
def gpt(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, default_headers=FAST) as client:
        yield client


@pytest.fixture
async def async_gpt(url):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, default_headers=FAST) as client:
        yield client


@pytest.fixture
def claude(url):
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0, default_headers=FAST) as client:
        yield client


@pytest.fixture
async def async_claude(url):
    async with anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0, default_headers=FAST) as client:
        yield client


@pytest.fixture
def http(url):
    with httpx2.Client(base_url=url, headers=FAST) as client:
        yield client


def test_the_openai_sdk_gets_an_answer_and_its_headers(gpt):
    raw = gpt.chat.completions.with_raw_response.create(**CHAT)
    answer = raw.parse()
    assert answer.choices[0].message.content.startswith(MARKER)
    assert answer.usage.completion_tokens == 12
    assert raw.headers[NOTICE_HEADER] == NOTICE
    assert answer._request_id.startswith("req_")


def test_the_openai_sdk_gets_a_stream_that_says_the_same(gpt):
    whole = gpt.chat.completions.create(**CHAT)
    chunks = list(gpt.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


async def test_the_async_openai_sdk_gets_both(async_gpt):
    whole = await async_gpt.chat.completions.create(**CHAT, n=2)
    texts = ["", ""]
    async for chunk in await async_gpt.chat.completions.create(**CHAT, n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]


def test_the_openai_sdk_runs_a_tool_loop_to_its_end(gpt):
    first = gpt.chat.completions.create(**CHAT, tools=[OPENAI_TOOL]).choices[0]
    call = first.message.tool_calls[0]
    assert first.finish_reason == "tool_calls"
    assert json.loads(call.function.arguments)["city"]
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    messages = [*ASK, first.message.model_dump(exclude_none=True), result]
    last = gpt.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[OPENAI_TOOL]).choices[0]
    assert last.message.content.startswith(MARKER)


def test_the_openai_sdk_puts_streamed_tool_calls_together(gpt):
    with gpt.chat.completions.stream(**CHAT, tools=[OPENAI_TOOL]) as stream:
        final = stream.get_final_completion()
    whole = gpt.chat.completions.create(**CHAT, tools=[OPENAI_TOOL])
    call = final.choices[0].message.tool_calls[0]
    assert call.id == whole.choices[0].message.tool_calls[0].id
    assert json.loads(call.function.arguments)["city"].startswith(MARKER)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ("400", openai.BadRequestError),
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("404", openai.NotFoundError),
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
    ],
)
def test_the_openai_sdk_raises_the_error_asked_for(gpt, error, raised):
    with pytest.raises(raised) as caught:
        gpt.chat.completions.create(**{**CHAT, "model": f"gpt-4o-mini#sandbox:error={error}"})
    assert caught.value.status_code == int(error)
    assert caught.value.body["message"].startswith(MARKER)


def test_the_openai_sdk_tries_again_when_it_is_told_to(url):
    seen = []
    with httpx2.Client(event_hooks={"response": [lambda response: seen.append(response.status_code)]}) as http:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=2, http_client=http)
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**CHAT, user="sandbox:error=429,retry_after_ms=1,ttfb_ms=0")
    assert seen == [429, 429, 429]


def test_the_openai_sdk_raises_an_error_that_comes_in_the_stream(gpt):
    chunks = []
    with pytest.raises(openai.APIError, match="simulated error") as caught:
        chunks.extend(gpt.chat.completions.create(**CHAT, user="sandbox:error=stream:500", stream=True))
    assert caught.value.body["type"] == "server_error"


def test_the_openai_sdk_lists_models(gpt):
    assert "gpt-4o-mini" in [model.id for model in gpt.models.list()]


def test_the_openai_sdk_speaks_to_minimax_in_both_stream_shapes(url):
    with openai.OpenAI(base_url=f"{url}/minimax/v1", api_key="any", default_headers=FAST) as client:
        for model in ("MiniMax-M3", "MiniMax-M2.5"):
            whole = client.chat.completions.create(model=model, messages=ASK)
            chunks = list(client.chat.completions.create(model=model, messages=ASK, stream=True))
            deltas = [c.choices[0].delta for c in chunks if c.choices and c.object == "chat.completion.chunk"]
            assert "".join(d.content or "" for d in deltas if d) == whole.choices[0].message.content


def test_the_anthropic_sdk_gets_an_answer_and_a_stream_that_says_the_same(claude):
    asked = {"model": "claude-haiku-4-5", "max_tokens": 500, "messages": ASK, "thinking": {"type": "adaptive"}}
    whole = claude.messages.create(**asked)
    assert [block.type for block in whole.content] == ["thinking", "text"]
    with claude.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert [block.model_dump() for block in final.content] == [block.model_dump() for block in whole.content]
    assert final.usage.output_tokens == whole.usage.output_tokens


async def test_the_async_anthropic_sdk_runs_a_tool_loop_to_its_end(async_claude):
    asked = {"model": "claude-haiku-4-5", "max_tokens": 500, "tools": [ANTHROPIC_TOOL]}
    async with async_claude.messages.stream(**asked, messages=ASK) as stream:
        first = await stream.get_final_message()
    call = first.content[-1]
    assert (first.stop_reason, call.name) == ("tool_use", "weather")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    blocks = [block.model_dump(include={"type", "text", "id", "name", "input"}) for block in first.content]
    messages = [*ASK, {"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
    last = await async_claude.messages.create(**asked, messages=messages)
    assert (last.stop_reason, last.content[0].text[: len(MARKER)]) == ("end_turn", MARKER)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ("401", anthropic.AuthenticationError),
        ("413", anthropic.RequestTooLargeError),
        ("429", anthropic.RateLimitError),
        ("529", anthropic.OverloadedError),
    ],
)
def test_the_anthropic_sdk_raises_the_error_asked_for(claude, error, raised):
    with pytest.raises(raised) as caught:
        claude.messages.create(
            model="claude-haiku-4-5", max_tokens=9, messages=ASK, metadata={"user_id": f"sandbox:error={error}"}
        )
    assert caught.value.status_code == int(error)
    assert caught.value.body["error"]["message"].startswith(MARKER)


def test_the_anthropic_sdk_raises_an_error_that_comes_in_the_stream(claude):
    with pytest.raises(anthropic.APIStatusError, match="simulated error"):
        list(
            claude.messages.create(
                model="claude-haiku-4-5#sandbox:error=stream:overloaded", max_tokens=9, messages=ASK, stream=True
            )
        )


def test_the_anthropic_sdk_counts_tokens_and_lists_models(claude):
    counted = claude.messages.count_tokens(model="claude-haiku-4-5", messages=ASK)
    whole = claude.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=ASK)
    assert counted.input_tokens == whole.usage.input_tokens
    assert next(iter(claude.models.list())).display_name.startswith(MARKER)


def test_a_key_named_bad_is_refused(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="bad") as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(**CHAT)


def test_the_same_request_gets_the_same_answer_from_every_run_of_a_seed(http):
    def answer(base_url):
        return httpx2.post(f"{base_url}/v1/chat/completions", json=CHAT, headers=FAST)

    with running_sandbox(seed=1) as same, running_sandbox(seed=2) as other:
        here, there, elsewhere = answer(http.base_url), answer(same), answer(other)
    assert here.content == there.content != elsewhere.content
    assert {**here.headers, "date": ""} == {**there.headers, "date": ""}


def test_a_gzip_answer_is_decoded_by_its_client(http):
    plain = http.post("/v1/chat/completions", json=CHAT)
    zipped = http.post("/v1/chat/completions", json={**CHAT, "user": "sandbox:gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == plain.content
    streamed = http.post("/v1/chat/completions", json={**CHAT, "user": "sandbox:gzip", "stream": True})
    assert streamed.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_cut_answer_breaks_off_after_half(http, streaming):
    asked = {**CHAT, "stream": streaming}
    expected = http.post("/v1/chat/completions", json=asked).content
    got = []
    with http.stream("POST", "/v1/chat/completions", json={**asked, "user": "sandbox:cut"}) as response:
        pieces = response.iter_raw()
        with pytest.raises(httpx2.RemoteProtocolError):
            got.extend(pieces)
    assert expected.startswith(b"".join(got))
    assert 0 < len(b"".join(got)) < len(expected)


def test_an_empty_answer_is_a_good_status_without_a_body(http):
    for streaming in (False, True):
        empty = http.post("/v1/chat/completions", json={**CHAT, "user": "sandbox:empty", "stream": streaming})
        assert (empty.status_code, empty.content) == (200, b"")


def test_a_stall_says_nothing_more_after_half(url):
    got = []
    asked = {**CHAT, "stream": True, "user": "sandbox:stall"}
    with (
        httpx2.Client(base_url=url, headers=FAST, timeout=1.0) as impatient,
        impatient.stream("POST", "/v1/chat/completions", json=asked) as response,
    ):
        pieces = response.iter_raw()
        with pytest.raises(httpx2.ReadTimeout):
            got.extend(pieces)
    assert b"".join(got).count(b"data: ") == (1 + 12 + 1) // 2


def test_a_client_that_leaves_is_no_trouble(url, caplog):
    asked = {**CHAT, "stream": True, "user": "sandbox:tokens=2000,ttfb_ms=0,pace_ms=0"}
    for _ in range(5):
        with (
            httpx2.Client(base_url=url) as client,
            client.stream("POST", "/v1/chat/completions", json=asked) as response,
        ):
            next(response.iter_raw(1))
    assert httpx2.get(url).status_code == 200
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []


async def test_a_stall_does_not_hold_up_the_end_of_the_server():
    stop = asyncio.Event()
    ready = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve_sandbox("127.0.0.1", 0, 1, stop, ready.set_result))
    address = f"http://127.0.0.1:{await ready}/v1/chat/completions"
    async with aiohttp.ClientSession() as session:
        response = await session.post(address, json={**CHAT, "stream": True, "user": "sandbox:stall,ttfb_ms=0"})
        await response.content.readany()
        stop.set()
        async with asyncio.timeout(5):
            await serving
        assert not response.content.at_eof(), "the stall was to be broken off, not ended"
        response.close()


async def test_a_stream_sends_each_event_as_a_chunk_of_its_own(url):
    body = json.dumps({**CHAT, "stream": True, "user": "sandbox:tokens=5,ttfb_ms=0,pace_ms=1"}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: sandbox\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(head + body)
    await reader.readuntil(b"\r\n\r\n")
    chunks = []
    while size := int(await reader.readline(), 16):
        chunks.append((await reader.readexactly(size + 2))[:-2])
    writer.close()
    assert len(chunks) == 1 + 5 + 1 + 1
    assert all(chunk.startswith(b"data: ") and chunk.index(b"\n\n") == len(chunk) - 2 for chunk in chunks)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405), ("DELETE", "/v1/messages", 405)],
)
def test_what_has_no_answer_is_refused_and_says_who_refuses(http, method, path, status):
    refused = http.request(method, path)
    assert refused.status_code == status
    assert refused.json()["error"]["message"].startswith(MARKER)
    assert refused.headers[NOTICE_HEADER] == NOTICE


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'"x"', b"null"])
def test_a_body_that_is_no_json_object_is_refused(http, body):
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/text/chatcompletion_v2"):
        refused = http.post(path, content=body)
        assert refused.status_code == 400
        assert "not a JSON object" in refused.json()["error"]["message"]


def test_a_body_that_is_too_large_is_refused(http):
    refused = http.post("/v1/messages", content=b" " * (MAX_REQUEST_BYTES + 1))
    assert (refused.status_code, refused.json()["error"]["type"]) == (413, "request_too_large")


def test_an_unknown_wish_is_refused_with_the_known_ones(http):
    refused = http.post("/v1/chat/completions", json=CHAT, headers={"x-sandbox": "colour=red"})
    assert refused.status_code == 400
    assert "known are ttfb_ms" in refused.json()["error"]["message"]


def test_the_front_page_says_what_this_is(http):
    assert NOTICE in http.get("/").json()["taximeter_sandbox"]


async def test_an_address_in_use_is_an_error_and_leaves_nothing_behind():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            await serve_sandbox("127.0.0.1", port, 1, asyncio.Event(), pytest.fail)

"""Apps of the load run: raw sockets, and the official SDKs without retries of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anthropic
import openai
from openai.types.chat import ChatCompletionUserMessageParam

from tests.failover.speech import PIECES, SPEECHES
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.running_worker import RunningWorker

App = Callable[[bool], Awaitable[str]]
"""Makes a call, streamed or not; gives what was wrong with its answer, or empty."""
KEY = "the-apps-own-key"
_CHAT, _MESSAGES, _RESPONSES = SPEECHES
_WORDS = "".join(f"word {number} " for number in range(PIECES))
"""Of a good stream."""
_WHOLE = "words"
"""Of a good whole answer."""
_ASKED: ChatCompletionUserMessageParam = {"role": "user", "content": "hi"}
_LIMIT_S = 30.0


@asynccontextmanager
async def raw_app(worker: RunningWorker) -> AsyncIterator[App]:
    """Looks at each byte of an answer."""

    async def call(streamed: bool) -> str:
        ask = _CHAT.ask_stream if streamed else _CHAT.ask
        data = await worker.exchange(post(b"/a" + _CHAT.path, ask, b"Authorization: Bearer " + KEY.encode()))
        answer = read_answer(data)
        good = answer.complete and answer.payload == (_CHAT.seen_stream if streamed else _CHAT.whole)
        return "" if good else f"{answer.status} {answer.payload[:60]!r}"

    yield call


@asynccontextmanager
async def openai_app(worker: RunningWorker) -> AsyncIterator[App]:
    """Chat completions by the official SDK."""
    url = f"http://127.0.0.1:{worker.port}/a/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=_LIMIT_S) as client:

        async def call(streamed: bool) -> str:
            text, end = "", None
            try:
                if not streamed:
                    whole = await client.chat.completions.create(model="m", messages=[_ASKED])
                    text, end = whole.choices[0].message.content or "", whole.choices[0].finish_reason
                else:
                    async for chunk in await client.chat.completions.create(model="m", messages=[_ASKED], stream=True):
                        text += chunk.choices[0].delta.content or ""
                        end = chunk.choices[0].finish_reason or end
            except openai.OpenAIError as error:
                return f"{type(error).__name__}: {error}"
            return _said(text, end, "stop", streamed=streamed)

        yield call


@asynccontextmanager
async def responses_app(worker: RunningWorker) -> AsyncIterator[App]:
    """Responses by the official SDK."""
    url = f"http://127.0.0.1:{worker.port}/a/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=_LIMIT_S) as client:

        async def call(streamed: bool) -> str:
            text, end = "", None
            try:
                if not streamed:
                    whole = await client.responses.create(model="m", input="hi")
                    text, end = whole.output_text, whole.status
                else:
                    async for event in await client.responses.create(model="m", input="hi", stream=True):
                        if event.type == "response.output_text.delta":
                            text += event.delta
                        elif event.type == "response.completed":
                            end = event.response.status
            except openai.OpenAIError as error:
                return f"{type(error).__name__}: {error}"
            return _said(text, end, "completed", streamed=streamed)

        yield call


@asynccontextmanager
async def anthropic_app(worker: RunningWorker) -> AsyncIterator[App]:
    """Messages by the official SDK."""
    url = f"http://127.0.0.1:{worker.port}/a"
    async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0, timeout=_LIMIT_S) as client:

        async def call(streamed: bool) -> str:
            asked: list[anthropic.types.MessageParam] = [{"role": "user", "content": "hi"}]
            try:
                if not streamed:
                    message = await client.messages.create(model="m", max_tokens=50, messages=asked)
                else:
                    async with client.messages.stream(model="m", max_tokens=50, messages=asked) as stream:
                        message = await stream.get_final_message()
            except anthropic.AnthropicError as error:
                return f"{type(error).__name__}: {error}"
            text = "".join(block.text for block in message.content if block.type == "text")
            return _said(text, message.stop_reason, "end_turn", streamed=streamed)

        yield call


def _said(text: str, end: str | None, good_end: str, *, streamed: bool) -> str:
    good = end == good_end and text == (_WORDS if streamed else _WHOLE)
    return "" if good else f"ended {end}: {text[:60]!r}"


APPS = {
    "raw": (_CHAT, raw_app),
    "openai": (_CHAT, openai_app),
    "responses": (_RESPONSES, responses_app),
    "anthropic": (_MESSAGES, anthropic_app),
}
"""By name: what the provider speaks, and what calls it."""

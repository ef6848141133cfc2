"""The official SDKs on the endpoint where the model says where a call goes, with a fallback behind a failing provider."""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from policies.compiled import CompiledPolicies
from policies.conditions import Condition, Match
from policies.routes_compiled import Route, RouteTarget, Routing
from proxy.settings import ProviderSettings
from tests.fakes.proxy_process import proxy_process
from tests.fakes.running_sandbox import running_sandbox

pytestmark = pytest.mark.real

FAILURES = ("429", "overloaded", "base:1008", "500")
HELLO = [{"role": "user", "content": "hello"}]
FAST = {"x-sandbox": "ttfb_ms=0,pace_ms=0,tokens=5"}


def route(name: str, *targets: tuple[str, str]) -> Route:
    """A route for calls that ask for its name."""
    return Route(
        name=name.replace(":", "-"),
        match=Match(conditions=(Condition(field="model", values=(name,)),)),
        targets=tuple(
            RouteTarget(id=f"{home}/{model}", provider=home, model=model, tier=tier)
            for tier, (home, model) in enumerate(targets)
        ),
    )


ROUTES = [
    made
    for failure in FAILURES
    for made in (
        route(f"chat-{failure}", ("minimax", f"MiniMax-M3#sandbox:error={failure}"), ("openai", "gpt-5-mini")),
        route(
            f"claude-{failure}",
            ("minimax", f"MiniMax-M3#sandbox:error={failure}"),
            ("anthropic", "claude-sonnet-4-5"),
        ),
    )
]
POLICIES = CompiledPolicies(routing=Routing(routes=tuple(ROUTES), aliases={"fast": "minimax/MiniMax-M2"}), hash="h")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_sandbox() as sandbox:
        providers = tuple(
            ProviderSettings(name=name, kind=name, base_url=f"{sandbox}/{name}", api_key="sandbox-operator-key")
            for name in ("minimax", "openai", "anthropic")
        )
        with proxy_process(providers, tmp_path_factory.mktemp("proxy"), POLICIES) as url:
            yield url


@pytest.fixture
def chat(proxy: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy}/v1", api_key="none", max_retries=0, default_headers=FAST) as client:
        yield client


@pytest.fixture
def claude(proxy: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=f"{proxy}/anthropic", api_key="none", max_retries=0, default_headers=FAST
    ) as client:
        yield client


@pytest.mark.parametrize("failure", FAILURES)
def test_an_openai_client_sees_the_answer_of_the_fallback(chat, failure):
    raw = chat.chat.completions.with_raw_response.create(model=f"chat-{failure}", messages=HELLO)

    assert raw.headers["x-taximeter-target"] == "openai/gpt-5-mini"
    assert int(raw.headers["x-taximeter-attempts"]) > 1
    assert raw.parse().choices[0].message.content
    assert raw.parse().model.startswith("gpt-5-mini")


@pytest.mark.parametrize("failure", FAILURES)
def test_an_openai_client_streams_from_the_fallback(chat, failure):
    chunks = list(chat.chat.completions.create(model=f"chat-{failure}", messages=HELLO, stream=True))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert {chunk.model for chunk in chunks} == {chunks[-1].model}
    assert chunks[-1].model.startswith("gpt-5-mini")


def test_a_providers_own_path_falls_back_for_an_app_without_a_key_of_its_own(proxy):
    with openai.OpenAI(base_url=f"{proxy}/minimax/v1", api_key="none", max_retries=0, default_headers=FAST) as client:
        answer = client.chat.completions.create(model="chat-429", messages=HELLO)

    assert answer.model.startswith("gpt-5-mini")


async def test_an_asynchronous_openai_client_sees_the_same(proxy):
    async with openai.AsyncOpenAI(
        base_url=f"{proxy}/v1", api_key="none", max_retries=0, default_headers=FAST
    ) as client:
        whole = await client.chat.completions.create(model="chat-500", messages=HELLO)
        stream = await client.chat.completions.create(model="chat-500", messages=HELLO, stream=True)
        models = {chunk.model async for chunk in stream}

    assert whole.model.startswith("gpt-5-mini")
    assert models == {whole.model}


@pytest.mark.parametrize("failure", FAILURES)
def test_an_anthropic_client_sees_the_answer_of_the_fallback(claude, failure):
    raw = claude.messages.with_raw_response.create(model=f"claude-{failure}", max_tokens=64, messages=HELLO)
    with claude.messages.stream(model=f"claude-{failure}", max_tokens=64, messages=HELLO) as stream:
        streamed = stream.get_final_message()

    assert raw.headers["x-taximeter-target"] == "anthropic/claude-sonnet-4-5"
    assert raw.parse().model.startswith("claude-sonnet-4-5")
    assert streamed.model.startswith("claude-sonnet-4-5")
    assert streamed.content


@pytest.mark.parametrize(
    ("model", "answers"), [("minimax/MiniMax-M3", "MiniMax-M3"), ("fast", "MiniMax-M2"), ("openai/gpt-5", "gpt-5")]
)
def test_a_name_leads_an_openai_client_to_a_provider(chat, model, answers):
    assert chat.chat.completions.create(model=model, messages=HELLO).model.startswith(answers)


@pytest.mark.parametrize(("model", "answers"), [("minimax/MiniMax-M3", "MiniMax-M3"), ("claude-opus-4-1", "claude")])
def test_a_name_leads_an_anthropic_client_to_a_provider(claude, model, answers):
    assert claude.messages.create(model=model, max_tokens=64, messages=HELLO).model.startswith(answers)


def test_what_may_be_asked_for_is_listed(chat):
    listed = [one.id for one in chat.models.list()]

    assert listed[0] == "fast"
    assert "chat-429" in listed
    assert chat.models.retrieve("fast").owned_by == "minimax"


def test_a_name_that_leads_nowhere_raises_what_the_sdk_has_for_that(chat):
    with pytest.raises(openai.NotFoundError) as raised:
        chat.chat.completions.create(model="fsat", messages=HELLO)

    assert "did you mean fast?" in str(raised.value)
    assert raised.value.code == "model_not_found"

"""What outlives the calls of a provider is bounded, and what it learned holds for no more than it was learned from."""

import asyncio
import tracemalloc

from proxy.outbox import Outbox
from proxy.providers import find_provider
from proxy.settings import ProviderKey
from proxy.upstream.provider import Upstream
from tests.fakes.settings import provider

CHAT = "/v1/chat/completions"


def upstream(kind: str = "openai", **more: object) -> Upstream:
    loop = asyncio.get_running_loop()
    return Upstream(provider("p", "https://llm.example", kind, **more), find_provider(kind), loop, Outbox(loop))


async def test_usage_is_asked_for_where_the_kind_of_provider_takes_the_option():
    assert upstream().asks_usage(CHAT, "", "m")
    assert not upstream().asks_usage("/v1/responses", "", "m")
    assert not upstream("openrouter").asks_usage(CHAT, "", "m")
    assert not upstream("azure").asks_usage("/openai/deployments/d/chat/completions", "api-version=2023-05-15", "m")


async def test_the_operator_can_switch_asking_off():
    assert not upstream(inject_usage=False).asks_usage(CHAT, "", "m")


async def test_a_refusal_of_one_model_on_one_path_says_nothing_of_others():
    one = upstream()

    one.learn_refusal(CHAT, "old")

    assert not one.asks_usage(CHAT, "", "old")
    assert one.asks_usage(CHAT, "", "new")
    assert one.asks_usage("/beta/chat/completions", "", "old")


async def test_refusals_are_bounded_the_oldest_go_first():
    one = upstream()

    for number in range(10_000):
        one.learn_refusal(CHAT, f"m{number}")

    assert one.asks_usage(CHAT, "", "m0")
    assert not one.asks_usage(CHAT, "", "m9999")


async def test_long_paths_are_not_kept():
    one = upstream()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    for number in range(1000):
        assert one.route("POST", f"/{number:x>60000}/v1/chat/completions").operation == "chat"

    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1_000_000


async def test_one_key_of_the_operator_s_has_the_name_of_its_setting():
    (key,) = upstream(api_key="sk-1").keys.all

    assert (key.name, key.secret) == ("api_key", "sk-1")
    assert upstream().keys.choose(0) is None


async def test_several_keys_take_the_place_of_one():
    one = upstream("minimax", api_keys=(ProviderKey(name="a", key="sk-cp-1"), ProviderKey(name="b", key="x", weight=2)))

    assert [(key.name, key.weight, key.billing) for key in one.keys.all] == [("a", 1, "subscription"), ("b", 2, "")]


async def test_what_is_printed_of_a_provider_holds_no_key():
    assert "sk-1" not in repr(upstream(api_key="sk-1"))

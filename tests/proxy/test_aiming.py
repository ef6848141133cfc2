"""Where a call goes for a target: path, key and body, or why it cannot."""

import json

import pytest

from policies.routes_compiled import RouteTarget
from proxy.aiming import Aim, aim_at
from proxy.call import Call
from proxy.outbox import Outbox
from proxy.place import Places
from proxy.providers import find_provider
from proxy.settings import ProviderKey
from proxy.upstream.provider import Upstream
from tests.fakes.settings import provider

BODY = b'{"model":"m","max_tokens":5,"messages":[]}'
KEYS = (ProviderKey(name="one", key="operator-one"), ProviderKey(name="two", key="operator-two"))


@pytest.fixture
async def upstreams():
    import asyncio  # noqa: PLC0415 - the loop of the test

    loop = asyncio.get_running_loop()
    some = (
        provider("a", "http://a.example"),
        provider("b", "http://b.example/gateway", kind="openai_compatible", api_key="operator-b"),
        provider("mm", "http://mm.example", kind="minimax", api_keys=KEYS),
        provider("claude", "http://c.example", kind="anthropic", api_key="operator-c"),
    )
    return {one.name: Upstream(one, find_provider(one.kind), loop, Outbox(loop)) for one in some}


def call_of(upstreams, path=b"/a/v1/chat/completions?x=1", model="m"):
    from types import SimpleNamespace  # noqa: PLC0415 - a request in so many words

    head = SimpleNamespace(
        method="POST", target=path, fields=((b"Authorization", b"Bearer app-own-key"), (b"Cookie", b"c=1"))
    )
    place = Places(upstreams).find(head)
    call = Call(SimpleNamespace(head=head), "c" * 32, place)
    call.model_requested = model
    return call


def aimed(upstreams, target, *, lent=True, **more) -> Aim | str:
    return aim_at(target, call_of(upstreams, **more), BODY, upstreams, lent=lent, now_s=0.0)


async def test_the_apps_own_provider_gets_what_it_would_get_without_routes(upstreams):
    aim = aimed(upstreams, RouteTarget(id="t", provider="a"))

    assert (aim.raw_path, aim.query, aim.body, aim.key, aim.changes) == (
        b"/v1/chat/completions", b"?x=1", BODY, None, (),
    )  # fmt: skip


async def test_another_provider_gets_its_own_path_its_own_key_and_its_own_model(upstreams):
    aim = aimed(upstreams, RouteTarget(id="t", provider="b", model="n"))

    assert (aim.raw_path, aim.query, aim.key.secret) == (b"/v1/chat/completions", b"", "operator-b")
    assert json.loads(aim.body)["model"] == "n"
    assert aim.changes == ("model_replaced",)


async def test_a_key_that_the_route_names_is_the_one_that_goes(upstreams):
    assert aimed(upstreams, RouteTarget(id="t", provider="mm", key="two")).key.secret == "operator-two"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (RouteTarget(id="t", provider="gone"), "unknown_provider"),
        (RouteTarget(id="t", provider="claude"), "no_such_path"),
        (RouteTarget(id="t", provider="mm", translate="anthropic.messages"), "translation"),
    ],
)
async def test_a_target_that_cannot_take_it_says_why(upstreams, target, why):
    assert aimed(upstreams, target) == why


async def test_the_operators_key_is_not_lent_to_whom_it_is_not_for(upstreams):
    assert aimed(upstreams, RouteTarget(id="t", provider="b"), lent=False) == "own_key_stays"


async def test_the_apps_own_key_never_leaves_for_another_provider(upstreams):
    upstreams["b"].keys.all = ()

    assert aimed(upstreams, RouteTarget(id="t", provider="b")) == "no_provider_key"

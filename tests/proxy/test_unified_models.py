"""What a caller may ask for by a model alone, over real sockets."""

import json
from types import SimpleNamespace

import pytest

from policies.compiled import CompiledPolicies, KeyRule, ModelRate
from policies.conditions import Condition, Match
from policies.keys import KeySecret, digest, new_key
from policies.routes_compiled import Route, RouteTarget, Routing
from proxy.unified_models import Models
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import get, post
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

PEPPER = "ab" * 32
VIRTUAL = new_key()
LINE = b"Authorization: Bearer " + VIRTUAL.encode()
NOWHERE = "http://127.0.0.1:1"


def rate(home, name, *models, output_nano=5):
    """A rate of an entry of this name, for these models."""
    return ModelRate(id=f"book@1/{home}/{name}", provider=home, models=models, currency="USD", output_nano=output_nano)


ROUTE = Route(
    name="chat",
    match=Match(conditions=(Condition(field="model", values=("minimax-m3", "smart"), globs=("gpt-*",)),)),
    targets=(RouteTarget(id="a/MiniMax-M3", provider="a", model="MiniMax-M3"),),
)
RULES = {
    "routing": Routing(routes=(ROUTE,), aliases={"fast": "b/gpt-5", "far": "c/x", "lost": "keyless/x"}),
    "rates": (
        rate("a", "MiniMax-M2@2026-11-01", "minimax-m2", "minimax-m2-alias"),
        rate("a", "MiniMax-M2", "minimax-m2"),
        rate("a", "all", "minimax-*"),
        rate("a", "operation:voice", "operation:voice"),
        rate("b", "gpt-5", "gpt-5"),
        rate("b", "gpt-5-mini", "gpt-5-mini", "ft:gpt-"),
        rate("b", "embed", "embed", output_nano=0),
        rate("keyless", "k", "k"),
    ),
}
ALL = ["far", "fast", "MiniMax-M3", "smart", "a/MiniMax-M2", "b/gpt-5", "b/gpt-5-mini"]


def keyed(mode="both", **fields):
    secret = KeySecret(digest=digest(VIRTUAL.encode(), bytes.fromhex(PEPPER)), name="app")
    return {"keys": {"app": KeyRule(name="app", **fields)}, "secrets": (secret,), "key_mode": mode}


async def listed(tmp_path, *lines, path=b"/v1/models", method=b"GET", request=None, **rules):
    """One request for the list: the answer and its record."""
    homes = [provider(name, NOWHERE, api_key="operator-key") for name in "abc"]
    async with running_worker(
        *homes,
        provider("keyless", NOWHERE),
        provider("anthropic", NOWHERE, "anthropic", api_key="operator-key"),
        policies=CompiledPolicies(hash="h", **(RULES | rules)),
        data_dir=tmp_path,
        key_pepper=PEPPER,
    ) as worker:
        data = await worker.exchange(request or get(path, *lines, method=method))
        (call,) = await worker.journal.calls(1)
    return read_answer(data), call


def ids(got):
    return [one["id"] for one in json.loads(got.payload)["data"]]


async def test_aliases_names_of_routes_and_priced_models_are_listed_where_there_is_a_key(tmp_path):
    got, call = await listed(tmp_path)

    assert got.status == 200
    assert json.loads(got.payload)["object"] == "list"
    assert json.loads(got.payload)["data"][1] == {"id": "fast", "object": "model", "created": 0, "owned_by": "b"}
    assert ids(got) == ALL
    assert (call.outcome, call.status, call.operation, call.billable) == ("ok", 200, "models", False)
    assert (call.provider, call.path, call.attempts, call.error_class) == ("", "/v1/models", (), None)


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({}, ALL),
        ({"providers": ("b",)}, ["fast", "b/gpt-5", "b/gpt-5-mini"]),
        ({"models": ("minimax-*",)}, ["MiniMax-M3", "a/MiniMax-M2"]),
        ({"operations": ("embeddings",)}, []),
    ],
)
async def test_a_key_sees_what_it_may_use(fields, left, tmp_path):
    got, call = await listed(tmp_path, LINE, **keyed(**fields))

    assert (ids(got), call.caller.key_id) == (left, "app")


async def test_operators_keys_that_are_not_lent_give_nothing_to_list(tmp_path):
    own, _ = await listed(tmp_path, b"Authorization: Bearer sk-own", **keyed())
    refused, call = await listed(tmp_path, b"Authorization: Bearer sk-own", **keyed("virtual"))
    over, _ = await listed(tmp_path, LINE, **keyed(revoked=True))

    assert (own.status, ids(own)) == (200, [])
    assert (refused.status, call.outcome, call.error_class) == (401, "refused", "auth")
    assert over.fields[b"x-taximeter-error"] == b"key_revoked"


async def test_one_model_is_looked_at_by_its_name(tmp_path):
    found, _ = await listed(tmp_path, path=b"/v1/models/b/gpt-5")
    missing, call = await listed(tmp_path, path=b"/v1/models/nothing")

    assert json.loads(found.payload)["id"] == "b/gpt-5"
    assert (missing.status, missing.fields[b"x-taximeter-error"]) == (404, b"model_not_found")
    assert (call.outcome, call.error_class) == ("refused", "model_not_found")


async def test_head_gets_no_body(tmp_path):
    got, _ = await listed(tmp_path, method=b"HEAD")

    assert (got.status, got.payload) == (200, b"")


async def test_anthropics_own_list_stays_anthropics(tmp_path):
    got, call = await listed(tmp_path, path=b"/anthropic/v1/models")

    assert (got.status, call.provider) == (502, "anthropic")


async def test_a_model_without_its_provider_is_told_with_it(tmp_path):
    got, _ = await listed(tmp_path, request=post(b"/v1/chat/completions", b'{"model":"Minimax-M2"}'))

    assert (got.status, got.fields[b"x-taximeter-error"]) == (404, b"model_not_found")
    assert "did you mean a/MiniMax-M2?" in json.loads(got.payload)["error"]["message"]


def test_new_policies_change_what_is_listed():
    home = SimpleNamespace(keys=SimpleNamespace(all=("k",)), kind=SimpleNamespace(kind="openai"))
    models, call = Models({"a": home}), SimpleNamespace(key="")
    seen = []
    for alias in ("one", "two"):
        models.install(CompiledPolicies(routing=Routing(aliases={alias: "a/m"})))
        seen.append([one.id for one in models.for_caller(call)])

    assert seen == [["one"], ["two"]]

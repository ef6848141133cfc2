"""Calls that a budget's threshold sends to another model, over real sockets."""

import json

from policies.compiled import Budget, CompiledPolicies, KeyRule, Threshold, Window
from policies.conditions import Condition, Match
from policies.keys import KeySecret, digest, new_key
from policies.routes_compiled import RetryRule, Route, RouteTarget, Routing
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.routes import ASK, CHAT, answer, said
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

GOOD = answer(said("good"))
BUSY = answer(b'{"error":{"message":"busy"}}', b"529 Busy")
PEPPER = "ab" * 32
VIRTUAL = new_key()
APP_KEY = b"Authorization: Bearer app-key-00001"


def rules(model, *routes, aliases=None, **more):
    """A budget of ten calls that sends calls to `model` once it has seen one."""
    threshold = Threshold(at=1000, acts=("downgrade",), model=model)
    budget = Budget(
        name="team", policy="budget:team", unit="calls", limit=10, window=Window(shape="total"), thresholds=(threshold,)
    )
    routing = Routing(routes=routes, aliases=aliases or {})
    return CompiledPolicies(budgets=(budget,), routing=routing, hash="h", **more)


def keyed(**fields):
    secret = KeySecret(digest=digest(VIRTUAL.encode(), bytes.fromhex(PEPPER)), name="app")
    return {"keys": {"app": KeyRule(name="app", **fields)}, "secrets": (secret,), "key_mode": "both"}


async def second_call(tmp_path, policies, *, line=APP_KEY, body=ASK, path=CHAT, keys=("key-a", "key-b"), first=GOOD):
    """Two calls to `a`, the second one past the threshold: its answer, its record, and what each of them was sent."""
    async with (
        raw_upstream(answers(GOOD, first)) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(
            provider("a", a.url, api_key=keys[0]),
            provider("b", b.url, api_key=keys[1]),
            policies=policies,
            data_dir=tmp_path,
            key_pepper=PEPPER,
        ) as worker,
    ):
        await worker.exchange(post(path, body, line))
        await worker.journal.calls(1)
        data = await worker.exchange(post(path, body, line))
        before, call = await worker.journal.calls(2)
    assert before.attempts[0].changes == ()
    assert not any(reason.startswith("downgrade:") for reason in before.reasons)
    return read_answer(data), call, a.requests[1:], b.requests


def model_in(request):
    return json.loads(request.partition(b"\r\n\r\n")[2])["model"]


async def test_a_threshold_changes_the_model_where_no_route_is(tmp_path):
    got, call, first, second = await second_call(tmp_path, rules("small"))

    assert (got.status, got.fields[b"x-taximeter-downgrade"], second) == (200, b"a/small", [])
    assert model_in(first[0]) == "small"
    assert call.reasons[-2:] == ("budget:team:at=10%:downgrade", "downgrade:a/small")
    assert call.attempts[0].changes == ("model_replaced",)
    assert (call.model_requested, call.attempts[0].target) == ("m", "a/small")
    assert len(call.draws) == 1


async def test_an_alias_leads_to_another_provider_with_the_operators_key(tmp_path):
    got, call, first, second = await second_call(tmp_path, rules("cheap", aliases={"cheap": "b/small"}))

    assert (got.status, got.fields[b"x-taximeter-downgrade"], first) == (200, b"b/small", [])
    assert model_in(second[0]) == "small"
    assert b"key-b" in second[0]
    assert b"app-key" not in second[0]
    assert [one.provider for one in call.attempts] == ["b"]


async def test_what_stands_behind_the_cheaper_model_in_its_route_stands_behind_it_still(tmp_path):
    targets = tuple(
        RouteTarget(id=f"{home}/{model}", provider=home, model=model, tier=tier)
        for tier, (home, model) in enumerate([("b", "dear"), ("a", "small"), ("b", "last")])
    )
    match = Match(conditions=(Condition(field="model", values=("small",)),))
    route = Route(name="cheap", match=match, targets=targets, retry=RetryRule(tries_each=1))
    got, call, _, _ = await second_call(tmp_path, rules("small", route), first=BUSY)

    assert got.status == 200
    assert [one.target for one in call.attempts] == ["a/small", "b/last"]


async def test_a_call_that_cannot_be_sent_there_goes_where_it_wanted(tmp_path):
    for number, (model, keys) in enumerate([("b/small", (None, None)), ("a/m", ("k", "k"))]):
        got, call, first, second = await second_call(tmp_path / str(number), rules(model), keys=keys)

        assert (got.status, model_in(first[0]), second) == (200, "m", [])
        assert b"x-taximeter-downgrade" not in got.fields
        assert (call.attempts[0].target, call.attempts[0].changes) == ("", ())


async def test_a_key_that_may_not_use_the_cheaper_model_keeps_the_dear_one(tmp_path):
    line = b"Authorization: Bearer " + VIRTUAL.encode()
    got, call, first, _ = await second_call(tmp_path, rules("small", **keyed(models=("m",))), line=line)

    assert (got.status, model_in(first[0])) == (200, "m")
    assert call.reasons[0] == "downgrade_left:key_model"
    assert len(call.draws) == 1


async def test_only_calls_that_generate_text_are_downgraded(tmp_path):
    got, call, first, _ = await second_call(
        tmp_path, rules("small"), path=b"/a/v1/embeddings", body=b'{"model":"m","input":"x"}'
    )

    assert (got.status, model_in(first[0]), call.operation) == (200, "m", "embeddings")


async def test_a_call_whose_model_named_its_provider_is_downgraded_too(tmp_path):
    body = ASK.replace(b'"m"', b'"a/m"')
    async with (
        raw_upstream(answers(GOOD)) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(
            provider("a", a.url, api_key="key-a"),
            provider("b", b.url, api_key="key-b"),
            policies=rules("b/small"),
            data_dir=tmp_path,
        ) as worker,
    ):
        for _ in range(2):
            await worker.exchange(post(b"/v1/chat/completions", body, APP_KEY))
        _, call = await worker.journal.calls(2)

    assert (len(a.requests), model_in(b.requests[0])) == (1, "small")
    assert call.attempts[0].changes == ("model_replaced",)

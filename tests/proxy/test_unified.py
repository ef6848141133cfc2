"""Calls whose model says where they go, over real sockets: who gets them, with which key, and what is refused."""

import json

import pytest

from policies.compiled import CompiledPolicies, KeyRule
from policies.conditions import Condition, Match
from policies.keys import KeySecret, digest, new_key
from policies.routes_compiled import RetryRule, Route, RouteTarget, Routing
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import get, post
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.routes import answer, said
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

CHAT = b"/v1/chat/completions"
APP_KEY = b"Authorization: Bearer app-key-00001"
GOOD = answer(said("good"))
BUSY = answer(b'{"error":{"message":"busy"}}', b"529 Busy")
PEPPER = "ab" * 32
VIRTUAL = new_key()


def ask(model, **more):
    return json.dumps({"messages": [{"role": "user", "content": "hi"}], "model": model, **more}, indent=1).encode()


def named(*models, name="named", targets=("a/one", "b/two"), field="model", **fields):
    """A route for calls that ask for these models."""
    made = []
    for tier, target in enumerate(targets):
        home, _, model = target.partition("/")
        made.append(RouteTarget(id=target, provider=home, model=model or None, tier=tier))
    match = Match(conditions=(Condition(field=field, values=models),)) if models else Match()
    return Route(name=name, match=match, targets=tuple(made), retry=RetryRule(tries_each=1), **fields)


def policies(*routes, aliases=None, **more):
    return CompiledPolicies(routing=Routing(routes=routes, aliases=aliases or {}), hash="h", **more)


def virtual(**fields):
    """One virtual key, `app`."""
    secret = KeySecret(digest=digest(VIRTUAL.encode(), bytes.fromhex(PEPPER)), name="app")
    return {"keys": {"app": KeyRule(name="app", **fields)}, "secrets": (secret,), "key_mode": "both"}


async def sent(request, tmp_path, rules=None, first=GOOD, keys=("operator-key-a", "operator-key-b"), kinds=None):
    """One request to a worker with the providers `a` and `b`: the answer, the record, what each of them was sent."""
    kinds = kinds or ("openai", "openai")
    async with (
        raw_upstream(answers(first)) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(
            provider("a", a.url, kinds[0], api_key=keys[0]),
            provider("b", b.url, kinds[1], api_key=keys[1]),
            policies=rules,
            data_dir=tmp_path,
            key_pepper=PEPPER,
        ) as worker,
    ):
        data = await worker.exchange(request)
        (call,) = await worker.journal.calls(1)
    return read_answer(data), call, a.requests, b.requests


def message_of(got):
    return json.loads(got.payload)["error"]["message"]


async def test_a_prefix_names_the_provider_and_of_the_body_the_model_alone_changes(tmp_path):
    got, call, first, second = await sent(post(CHAT, ask("b/gpt-5/x", stop=["é"]), APP_KEY), tmp_path)

    assert (got.status, got.payload) == (200, said("good"))
    assert got.fields[b"x-taximeter-target"] == b"b/gpt-5/x"
    assert got.fields[b"x-taximeter-changes"] == b"model_replaced"
    head, _, body = second[0].partition(b"\r\n\r\n")
    assert body == ask("gpt-5/x", stop=["é"])
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"Bearer operator-key-b" in head
    assert b"app-key" not in head
    assert first == []
    (attempt,) = call.attempts
    assert (call.provider, call.model_requested, call.dialect) == ("b", "gpt-5/x", "openai.chat")
    assert (attempt.target, attempt.changes, attempt.outcome) == ("b/gpt-5/x", ("model_replaced",), "ok")
    assert "model:b/gpt-5/x" in call.reasons


async def test_an_alias_leads_to_its_provider_and_its_name_has_no_case(tmp_path):
    got, call, first, second = await sent(
        post(CHAT, ask("Fast"), APP_KEY), tmp_path, policies(aliases={"fast": "b/real"})
    )

    assert (got.status, first, call.provider) == (200, [], "b")
    assert json.loads(second[0].partition(b"\r\n\r\n")[2])["model"] == "real"


async def test_a_route_that_names_the_model_is_taken_with_its_fallback(tmp_path):
    got, call, first, second = await sent(post(CHAT, ask("smart"), APP_KEY), tmp_path, policies(named("smart")), BUSY)

    assert (got.status, got.fields[b"x-taximeter-attempts"]) == (200, b"2")
    assert [json.loads(one.partition(b"\r\n\r\n")[2])["model"] for one in (first[0], second[0])] == ["one", "two"]
    assert [one.target for one in call.attempts] == ["a/one", "b/two"]
    assert b"app-key" not in first[0] + second[0]


async def test_what_a_prefix_or_an_alias_leads_to_takes_the_route_of_that_model(tmp_path):
    rules = policies(named("one"), aliases={"fast": "a/one"})
    for model in ("a/one", "fast"):
        got, call, *_ = await sent(post(CHAT, ask(model), APP_KEY), tmp_path, rules, BUSY)

        assert (got.status, [one.target for one in call.attempts]) == (200, ["a/one", "b/two"])


async def test_no_target_is_sent_an_alias_or_a_prefix_even_by_a_route_for_every_call(tmp_path):
    for rules, model in (
        (policies(named(targets=("a", "b"))), "b/real"),
        (policies(named("fast", targets=("b", "a")), aliases={"fast": "b/real"}), "fast"),
    ):
        got, _, first, second = await sent(post(CHAT, ask(model), APP_KEY), tmp_path, rules)
        asked = (first + second)[0]

        assert (got.status, json.loads(asked.partition(b"\r\n\r\n")[2])["model"]) == (200, "real")


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("smrt", "did you mean smart?"),
        ("fsat", "did you mean fast?"),
        ("aa/one", "did you mean a/one?"),
        ("xyz", "smart"),
    ],
)
async def test_a_model_that_leads_nowhere_is_told_what_there_is(model, hint, tmp_path):
    rules = policies(named("smart"), aliases={"fast": "b/real"})
    got, call, first, second = await sent(post(CHAT, ask(model), APP_KEY), tmp_path, rules)

    assert (got.status, got.fields[b"x-taximeter-error"]) == (404, b"model_not_found")
    assert hint in message_of(got)
    assert first == second == []
    assert (call.outcome, call.error_class, call.provider, call.path) == (
        "refused",
        "model_not_found",
        "",
        "/v1/chat/completions",
    )


@pytest.mark.parametrize(
    ("body", "lines", "status", "code"),
    [
        (b'{"messages":[]}', (), 400, b"model_missing"),
        (b"[1]", (), 400, b"unread_body"),
        (b"{torn", (), 400, b"unread_body"),
        (b"", (), 400, b"model_missing"),
        (ask("a/one"), (b"Content-Encoding: gzip",), 415, b"compressed_body"),
    ],
)
async def test_a_body_that_names_no_model_is_refused(body, lines, status, code, tmp_path):
    got, call, first, second = await sent(post(CHAT, body, APP_KEY, *lines), tmp_path)

    assert (got.status, got.fields[b"x-taximeter-error"]) == (status, code)
    assert (call.outcome, first, second) == ("refused", [], [])


@pytest.mark.parametrize("model", ["a/x\r\nSet-Cookie: y=1", "a/" + "x" * 300, "a/", "/one"])
async def test_a_model_that_nobody_has_names_no_provider(model, tmp_path):
    got, _, first, _ = await sent(post(CHAT, ask(model), APP_KEY), tmp_path)

    assert (got.status, first) == (404, [])
    assert b"set-cookie" not in got.fields


async def test_the_key_of_an_app_goes_to_no_provider_that_the_model_names(tmp_path):
    got, call, first, second = await sent(post(CHAT, ask("a/one"), APP_KEY), tmp_path, keys=(None, "operator-key-b"))

    assert (got.status, got.fields[b"x-taximeter-error"]) == (401, b"operator_key_needed")
    assert "providers.a.api_key" in message_of(got)
    assert (call.outcome, call.error_class, first, second) == ("refused", "auth", [], [])


async def test_operators_keys_are_for_virtual_keys_alone_where_there_are_such(tmp_path):
    rules = policies(**virtual())
    refused, _, first, _ = await sent(post(CHAT, ask("a/one"), APP_KEY), tmp_path, rules)
    taken, call, second, _ = await sent(
        post(CHAT, ask("a/one"), b"Authorization: Bearer " + VIRTUAL.encode()), tmp_path, rules
    )

    assert (refused.status, refused.fields[b"x-taximeter-error"], first) == (401, b"virtual_key_needed", [])
    assert (taken.status, call.caller.key_id) == (200, "app")
    assert VIRTUAL.encode() not in second[0]


async def test_headers_that_one_provider_knows_go_to_none(tmp_path):
    lines = (APP_KEY, b"OpenAI-Organization: org-1", b"openai-project: p-1", b"Cookie: c=1", b"X-Other: kept")
    _, _, first, _ = await sent(post(CHAT + b"?key=app-key-2", ask("a/one"), *lines), tmp_path)

    assert b"X-Other: kept" in first[0]
    for gone in (b"org-1", b"p-1", b"c=1", b"app-key"):
        assert gone not in first[0]


async def test_a_provider_that_does_not_speak_the_dialect_is_not_asked(tmp_path):
    got, _, first, second = await sent(
        post(CHAT, ask("a/one"), APP_KEY), tmp_path, kinds=("anthropic_compatible", "openai")
    )

    assert (got.status, got.fields[b"x-taximeter-error"], first, second) == (400, b"dialect_not_spoken", [], [])


@pytest.mark.parametrize("path", [b"/v1/embeddings", b"/v1/chat", b"/v1/"])
async def test_what_is_not_there_without_a_provider_is_said(path, tmp_path):
    got, call, *_ = await sent(post(path, b"{}", APP_KEY), tmp_path)

    assert (got.status, got.fields[b"x-taximeter-error"]) == (404, b"unknown_endpoint")
    assert "/openai" in message_of(got)
    assert call.outcome == "refused"


async def test_a_body_over_the_bound_is_refused(tmp_path):
    async with (
        raw_upstream(answers(GOOD)) as a,
        running_worker(provider("a", a.url, api_key="k"), data_dir=tmp_path, max_request_bytes=100) as worker,
    ):
        chunk = b"%x\r\n%b\r\n" % (200, b" " * 200)
        data = await worker.exchange(get(CHAT, b"Transfer-Encoding: chunked", APP_KEY, method=b"POST") + chunk + chunk)

    assert read_answer(data).status == 413
    assert a.requests == []


async def test_responses_are_asked_for_in_the_same_way(tmp_path):
    body = json.dumps({"model": "b/gpt-5", "input": "hi"}).encode()
    got, call, _, second = await sent(post(b"/v1/responses", body, APP_KEY), tmp_path)

    assert (got.status, call.dialect) == (200, "openai.responses")
    assert second[0].startswith(b"POST /v1/responses HTTP/1.1\r\n")


async def test_a_provider_of_that_name_keeps_its_path(tmp_path):
    async with (
        raw_upstream(answers(GOOD)) as a,
        running_worker(provider("v1", a.url), data_dir=tmp_path) as worker,
    ):
        data = await worker.exchange(post(b"/v1/v1/chat/completions", ask("m"), APP_KEY))

    assert read_answer(data).status == 200
    assert b"app-key" in a.requests[0]


MESSAGES = b"/anthropic/v1/messages"
SAID = answer(b'{"id":"x","type":"message","role":"assistant","model":"m","content":[],"usage":{}}')


async def on_messages(tmp_path, model, rules=None, home_key=None, line=b"x-api-key: app-key-00001", path=MESSAGES):
    """One call to `/anthropic`, with MiniMax beside it: the answer, the record, what each of them was sent."""
    body = ask(model, max_tokens=5)
    async with (
        raw_upstream(answers(SAID)) as home,
        raw_upstream(answers(SAID)) as other,
        running_worker(
            provider("anthropic", home.url, "anthropic", api_key=home_key),
            provider("minimax", other.url, "minimax", api_key="operator-key-m"),
            policies=rules,
            data_dir=tmp_path,
            key_pepper=PEPPER,
        ) as worker,
    ):
        data = await worker.exchange(post(path + b"?beta=true", body, line))
        (call,) = await worker.journal.calls(1)
    return read_answer(data), call, home.requests, other.requests, body


async def test_a_plain_model_on_the_anthropic_path_goes_to_anthropic_as_it_came(tmp_path):
    got, call, home, other, body = await on_messages(tmp_path, "claude-x", policies(aliases={"fast": "minimax/m"}))

    assert (got.status, other) == (200, [])
    assert home[0].startswith(b"POST /v1/messages?beta=true HTTP/1.1\r\n")
    assert b"x-api-key: app-key-00001" in home[0]
    assert home[0].endswith(b"\r\n\r\n" + body)
    assert (call.provider, call.attempts[0].target, call.attempts[0].changes) == ("anthropic", "", ())


@pytest.mark.parametrize("model", ["minimax/MiniMax-M3", "fast"])
async def test_a_model_on_the_anthropic_path_can_name_another_provider(model, tmp_path):
    rules = policies(aliases={"fast": "minimax/MiniMax-M3"})
    got, call, home, other, _ = await on_messages(tmp_path, model, rules)

    assert (got.status, home) == (200, [])
    assert other[0].startswith(b"POST /anthropic/v1/messages HTTP/1.1\r\n")
    assert b"operator-key-m" in other[0]
    assert b"app-key" not in other[0]
    assert json.loads(other[0].partition(b"\r\n\r\n")[2])["model"] == "MiniMax-M3"
    assert call.provider == "minimax"


async def test_anthropics_own_prefix_leaves_the_apps_key(tmp_path):
    got, call, home, _, _ = await on_messages(tmp_path, "anthropic/claude-x")

    assert (got.status, call.provider) == (200, "anthropic")
    assert b"x-api-key: app-key-00001" in home[0]
    assert json.loads(home[0].partition(b"\r\n\r\n")[2])["model"] == "claude-x"


async def test_what_another_provider_does_not_have_is_refused(tmp_path):
    got, _, home, other, _ = await on_messages(tmp_path, "minimax/m", path=MESSAGES + b"/count_tokens")

    assert (got.status, got.fields[b"x-taximeter-error"], home, other) == (400, b"dialect_not_spoken", [], [])
    assert "minimax takes no anthropic.messages calls of /v1/messages/count_tokens" in message_of(got)


async def test_a_virtual_key_needs_an_operators_key_only_where_the_model_leads(tmp_path):
    rules = policies(**virtual())
    line = b"x-api-key: " + VIRTUAL.encode()
    taken, call, _, other, _ = await on_messages(tmp_path, "minimax/MiniMax-M3", rules, line=line)
    refused, *_ = await on_messages(tmp_path, "claude-x", rules, line=line)

    assert (taken.status, call.caller.key_id, len(other)) == (200, "app", 1)
    assert (refused.status, refused.fields[b"x-taximeter-error"]) == (403, b"no_provider_key")


async def test_a_key_may_not_reach_by_a_model_what_it_may_not_reach_by_a_path(tmp_path):
    rules = policies(aliases={"fast": "b/real"}, **virtual(providers=("a",)))
    line = b"Authorization: Bearer " + VIRTUAL.encode()
    for model in ("b/real", "fast"):
        got, _, first, second = await sent(post(CHAT, ask(model), line), tmp_path, rules)

        assert (got.status, got.fields[b"x-taximeter-error"], first, second) == (403, b"key_provider", [], [])


async def test_a_route_begins_with_a_target_that_the_key_may_use(tmp_path):
    rules = policies(named("smart"), **virtual(providers=("b",)))
    line = b"Authorization: Bearer " + VIRTUAL.encode()
    got, call, first, second = await sent(post(CHAT, ask("smart"), line), tmp_path, rules)

    assert (got.status, first, len(second)) == (200, [], 1)
    assert "route:named:skip=a/one:key_provider" in call.reasons


async def test_a_route_of_which_the_key_may_use_nothing_is_refused(tmp_path):
    rules = policies(named("smart"), **virtual(models=("smart",)))
    line = b"Authorization: Bearer " + VIRTUAL.encode()
    got, _, first, second = await sent(post(CHAT, ask("smart"), line), tmp_path, rules)

    assert (got.status, got.fields[b"x-taximeter-error"], first, second) == (403, b"key_model", [], [])


async def test_connections_stay_open_from_call_to_call_whatever_the_model(tmp_path):
    async with (
        raw_upstream(answers(GOOD)) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(
            provider("a", a.url, api_key="ka"), provider("b", b.url, api_key="kb"), data_dir=tmp_path
        ) as worker,
    ):
        asked = [post(CHAT, ask(model), APP_KEY, close=model == "a/2") for model in ("a/1", "b/1", "a/2")]
        data = await worker.exchange(b"".join(asked))
        calls = await worker.journal.calls(3)

    assert data.count(b"HTTP/1.1 200") == 3
    assert [one.provider for one in calls] == ["a", "b", "a"]

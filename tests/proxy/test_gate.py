"""Virtual keys over real sockets: they stand for a caller, and never leave."""

import asyncio
import json
import os

import msgspec
import pytest

from policies.compiled import CompiledPolicies, KeyRule, to_json
from policies.keys import KeySecret, digest, new_key
from proxy.child import RELOAD
from proxy.core import identity
from proxy.providers import PROVIDERS
from proxy.settings import ProviderKey
from tests.fakes.raw_requests import CHAT, FILES, OK, get, post
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

PEPPER = "ab" * 32
KEY = new_key()
OPERATOR = "sk-operator-0123456789"
OLD_SECRET = "sk-of-the-former-gateway-0123456789"
BODY = b'{"model":"m","messages":[]}'


def rules(mode="both", *, secret=KEY, ends=None, **fields):
    """One key, `app`, in force."""
    secrets = (KeySecret(digest=digest(secret.encode(), bytes.fromhex(PEPPER)), name="app", expires_at_ns=ends),)
    return CompiledPolicies(keys={"app": KeyRule(name="app", **fields)}, secrets=secrets, key_mode=mode, hash="h")


def bearer(key):
    return b"Authorization: Bearer " + key.encode()


async def ask(data_dir, request, policies, kind="openai", **more):
    """Answer, what the provider got, and the record of one call."""
    more = {"api_key": OPERATOR} | more
    async with (
        raw_upstream(answers(OK)) as upstream,
        running_worker(
            provider("p", upstream.url, kind, **more), policies=policies, data_dir=data_dir, key_pepper=PEPPER
        ) as worker,
    ):
        answer = await worker.exchange(request)
        (record,) = await worker.journal.calls(1)
        said = repr(worker.journal.closed) + repr(worker.journal.opened)
        for secret in (KEY, OPERATOR):
            assert secret not in said
        return answer, b"".join(upstream.requests), record


PLACES = {
    "authorization": ((bearer(KEY),), b""),
    "x-api-key": ((b"X-Api-Key: " + KEY.encode(),), b""),
    "api-key": ((b"api-key: " + KEY.encode(),), b""),
    "x-goog-api-key": ((b"x-goog-api-key: " + KEY.encode(),), b""),
    "query": ((), b"?alt=sse&key=" + KEY.encode()),
    "encoded query": ((), b"?%6bey=tm%2D" + KEY.encode()[3:] + b"&alt=sse"),
    "websocket": ((b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key." + KEY.encode(),), b""),
}


@pytest.mark.parametrize("kind", [one.kind for one in PROVIDERS])
@pytest.mark.parametrize("place", PLACES)
async def test_a_virtual_key_works_wherever_a_key_stands_and_the_operator_s_goes_on_in_its_place(tmp_path, kind, place):
    lines, query = PLACES[place]
    answer, got, record = await ask(tmp_path, post(FILES + query, b"{}", *lines), rules(team="search"), kind)

    assert answer.startswith(b"HTTP/1.1 200")
    assert KEY.encode() not in got
    assert KEY.encode()[3:] not in got
    assert got.count(OPERATOR.encode()) == 1
    assert (record.caller.key_id, record.caller.team) == ("app", "search")
    if query:
        assert b"?alt=sse HTTP/1.1" in got


@pytest.mark.parametrize(
    "lines",
    [
        (bearer("sk-other"), b"x-api-key: " + KEY.encode()),
        (b"x-api-key: " + KEY.encode(), bearer("sk-other")),
        (bearer("sk-other"), bearer(KEY)),
        (bearer(new_key()), b"api-key: " + KEY.encode()),
        (bearer(KEY), b"Connection: authorization"),
    ],
)
async def test_of_several_keys_the_virtual_one_counts_and_no_other_goes_on(tmp_path, lines):
    answer, got, record = await ask(tmp_path, post(CHAT, BODY, *lines), rules())

    assert answer.startswith(b"HTTP/1.1 200")
    assert record.caller.key_id == "app"
    assert b"sk-other" not in got
    assert b"tm-" not in got


async def test_a_streamed_upload_with_a_virtual_key_goes_on_with_the_operator_s(tmp_path):
    head = get(FILES, bearer(KEY), b"Transfer-Encoding: chunked", method=b"POST")
    answer, got, _ = await ask(tmp_path, head + b"3\r\nabc\r\n0\r\n\r\n", rules())

    assert answer.startswith(b"HTTP/1.1 200")
    assert bearer(OPERATOR) in got
    assert b"abc" in got


NOW_NS = 10**18
MUCH_LATER_NS = 4 * 10**18


@pytest.mark.parametrize(
    ("policies", "status", "code"),
    [
        (rules(secret=new_key()), 401, "unknown_key"),
        (rules("virtual", secret=new_key()), 401, "unknown_key"),
        (rules("passthrough"), 401, "virtual_keys_off"),
        (rules(disabled=True), 401, "key_disabled"),
        (rules(disabled=True, revoked=True), 401, "key_revoked"),
        (rules(expires_at_ns=NOW_NS), 401, "key_expired"),
        (rules(ends=NOW_NS), 401, "key_replaced"),
        (rules(expires_at_ns=MUCH_LATER_NS, ends=MUCH_LATER_NS), 200, None),
        (rules(providers=("q", "p")), 200, None),
        (rules(providers=("q",)), 403, "key_provider"),
        (rules(models=("m",)), 200, None),
        (rules(models=("other-*",)), 403, "key_model"),
        (rules(operations=("embeddings",)), 403, "key_operation"),
        (None, 401, "unknown_key"),
    ],
)
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_key_that_may_not_make_the_call_is_refused_in_the_dialect_s_envelope(
    tmp_path, kind, policies, status, code
):
    path = b"/p/v1/messages" if kind == "anthropic" else CHAT
    answer, got, record = await ask(tmp_path, post(path, BODY, bearer(KEY)), policies, kind)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status)
    if status == 200:
        return
    error = json.loads(body)["error"]
    assert got == b""
    assert b"x-taximeter-error: %b" % code.encode() in head
    assert error["message"].startswith("Taximeter: ")
    assert error["type"] == {401: "authentication_error", 403: "permission_error"}[status]
    assert (record.outcome, record.error_class) == ("refused", {401: "auth", 403: "permission"}[status])


async def test_a_virtual_key_for_a_provider_without_a_key_of_the_operator_s_is_refused_with_the_setting(tmp_path):
    answer, got, _ = await ask(tmp_path, post(CHAT, BODY, bearer(KEY)), rules(), api_key=None)

    assert answer.startswith(b"HTTP/1.1 403")
    assert b"providers.p.api_key" in answer
    assert got == b""


@pytest.mark.parametrize(
    ("mode", "keys", "line", "status", "goes_on"),
    [
        ("both", True, bearer("sk-own"), 200, bearer("sk-own")),
        ("both", True, b"X-A: 1", 401, b""),
        ("both", False, bearer("sk-own"), 200, bearer(OPERATOR)),
        ("both", False, b"X-A: 1", 200, OPERATOR.encode()),
        ("passthrough", True, bearer("sk-own"), 200, bearer(OPERATOR)),
        ("virtual", True, bearer("sk-own"), 401, b""),
        ("virtual", False, b"X-A: 1", 401, b""),
    ],
)
async def test_the_operator_s_key_is_for_virtual_keys_alone_once_there_are_any(
    tmp_path, mode, keys, line, status, goes_on
):
    policies = rules(mode) if keys else CompiledPolicies(key_mode=mode, hash="h")
    answer, got, _ = await ask(tmp_path, post(CHAT, BODY, line), policies)

    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert goes_on in got
    assert (got == b"") is (status == 401)


async def test_a_secret_of_a_former_gateway_works_and_never_leaves_even_when_it_is_revoked(tmp_path):
    request = post(CHAT, BODY, bearer(OLD_SECRET))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    answer, got, record = await ask(tmp_path / "a", request, rules(secret=OLD_SECRET))
    refused, nothing, _ = await ask(tmp_path / "b", request, rules(secret=OLD_SECRET, disabled=True, revoked=True))

    assert answer.startswith(b"HTTP/1.1 200")
    assert OLD_SECRET.encode() not in got
    assert record.caller.key_id == "app"
    assert refused.startswith(b"HTTP/1.1 401")
    assert nothing == b""


async def test_what_a_key_stands_for_wins_over_what_the_app_says_and_leaves_the_rest(tmp_path):
    said = b"x-taximeter-team: ads\r\nx-taximeter-user: jo\r\nx-taximeter-tags: env=dev,a=1"
    _, _, record = await ask(tmp_path, post(CHAT, BODY, bearer(KEY), said), rules(team="search", tags={"env": "prod"}))

    caller = record.caller
    assert (caller.team, caller.user, caller.tags) == ("search", "jo", {"env": "prod", "a": "1"})


async def test_on_an_open_connection_a_key_counts_only_as_long_as_the_policies_have_it(tmp_path):
    request = post(CHAT, BODY, bearer(KEY), close=False)
    revoked = rules(disabled=True, revoked=True)
    async with (
        raw_upstream(answers(OK, OK)) as upstream,
        running_worker(
            provider("p", upstream.url, api_key=OPERATOR), policies=rules(), data_dir=tmp_path, key_pepper=PEPPER
        ) as worker,
    ):
        reader, writer = await worker.connect()
        for _ in range(2):  # the second time the head is known by its bytes
            writer.write(request)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readexactly(2)
        (tmp_path / "run/policies.json").write_bytes(to_json(msgspec.structs.replace(revoked, hash="h2")))
        os.kill(os.getpid(), RELOAD)
        await asyncio.sleep(0)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert head.startswith(b"HTTP/1.1 401")
    assert b"x-taximeter-error: key_revoked" in head


async def test_of_several_keys_one_that_the_provider_refuses_or_slows_down_is_left_alone(tmp_path):
    keys = tuple(ProviderKey(name=name, key=f"sk-{name}-0123456789") for name in ("bad", "slow", "good"))
    said = {
        b"sk-bad": b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        b"sk-slow": b"HTTP/1.1 429 Slow\r\nretry-after: 60\r\nContent-Length: 0\r\n\r\n",
        b"sk-good": OK,
    }

    async def play(conversation):
        head, _ = await conversation.request()
        await conversation.say(next(answer for key, answer in said.items() if key in head))

    async with (
        raw_upstream(play) as upstream,
        running_worker(
            provider("p", upstream.url, api_keys=keys), policies=rules(), data_dir=tmp_path, key_pepper=PEPPER
        ) as worker,
    ):
        statuses = [(await worker.exchange(post(CHAT, BODY, bearer(KEY))))[9:12] for _ in range(6)]
        records = await worker.journal.calls(6)

    # Nothing is sent twice: the app hears of a failure, and its next try goes with another key.
    assert sorted(statuses) == [b"200"] * 4 + [b"401", b"429"]
    assert statuses[3:] == [b"200"] * 3
    assert len(upstream.requests) == 6
    assert {record.attempts[0].changes for record in records[3:]} == {("provider_key=good",)}
    assert "sk-" not in repr(records)


async def test_what_only_looks_like_a_virtual_key_costs_no_slow_hash(monkeypatch):
    monkeypatch.setattr(identity.hashlib, "scrypt", lambda *_, **__: pytest.fail("slow"))

    assert identity.key_id(b"tm-a") != identity.key_id(b"tm-b")

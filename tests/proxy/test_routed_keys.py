"""What a virtual key may use holds for every target of a route, over real sockets."""

import pytest
from msgspec.structs import replace

from policies.compiled import KeyRule
from policies.keys import KeySecret, digest, new_key
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.routes import ASK, CHAT, answer, routed, said
from tests.fakes.running_worker import running_worker
from tests.fakes.settings import provider

PEPPER = "ab" * 32
VIRTUAL = new_key()
GOOD = answer(said("good"))
BUSY = answer(b'{"error":{"message":"busy"}}', b"529 Busy")


async def exchanged(tmp_path, first=BUSY, targets=(), ask=ASK, **may):
    """One call with a virtual key through a route from `a` to `b`."""
    secret = KeySecret(digest=digest(VIRTUAL.encode(), bytes.fromhex(PEPPER)), name="app")
    policies = replace(routed(*targets), keys={"app": KeyRule(name="app", **may)}, secrets=(secret,), key_mode="both")
    async with (
        raw_upstream(answers(first)) as a,
        raw_upstream(answers(GOOD)) as b,
        running_worker(
            provider("a", a.url, api_key="operator-key-1"),
            provider("b", b.url, api_key="operator-key-2"),
            policies=policies,
            data_dir=tmp_path,
            key_pepper=PEPPER,
        ) as worker,
    ):
        data = await worker.exchange(post(CHAT, ask, b"Authorization: Bearer " + VIRTUAL.encode()))
        (call,) = await worker.journal.calls(1)
    return read_answer(data), call, a.requests, b.requests


async def test_a_key_that_may_use_both_falls_back(tmp_path):
    got, call, _, second = await exchanged(tmp_path, providers=("a", "b"))

    assert (got.status, len(second), len(call.attempts)) == (200, 1, 2)


@pytest.mark.parametrize(
    ("may", "why"),
    [({"providers": ("a",)}, "key_provider"), ({"models": ("m",)}, "key_model")],
)
async def test_a_call_never_falls_back_to_what_its_key_may_not_use(tmp_path, may, why):
    got, call, first, second = await exchanged(tmp_path, **may)

    assert (got.status, len(first), second) == (529, 1, [])
    assert f"route:r:skip=b/other:{why}" in call.reasons


async def test_the_first_target_is_passed_over_where_the_key_may_use_the_second_alone(tmp_path):
    got, call, first, second = await exchanged(tmp_path, targets=(("a", "dear"), ("b", "m")), models=("m",))

    assert (got.status, first, len(second)) == (200, [], 1)
    assert "route:r:skip=a/dear:key_model" in call.reasons


async def test_where_the_key_may_use_no_target_the_call_is_refused_as_without_a_route(tmp_path):
    got, call, first, second = await exchanged(
        tmp_path, targets=(("a", "dear"), ("b", "dearer")), models=("m",), providers=("a",)
    )

    assert (got.status, got.code, first, second) == (403, "key_model", [], [])
    assert (call.outcome, call.error_class, call.attempts) == ("refused", "permission", ())
    assert "key:app:model" in call.reasons


async def test_what_the_app_itself_asks_for_is_asked_as_ever(tmp_path):
    got, call, first, second = await exchanged(tmp_path, targets=(("b", "m"),), providers=("b",))

    assert (got.status, got.code, first, second) == (403, "key_provider", [], [])
    assert call.outcome == "refused"

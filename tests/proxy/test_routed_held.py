"""Over real sockets: a route goes on without a target that a budget cannot hold for."""

from msgspec.structs import replace

from policies.compiled import Budget, ModelRate, Window
from tests.fakes.raw_answers import read_answer
from tests.fakes.raw_requests import post
from tests.fakes.raw_upstream import answers, raw_upstream
from tests.fakes.routes import ASK, CHAT, answer, routed, said, two_targets
from tests.fakes.running_worker import running_worker

BUDGET = Budget(
    name="all", policy="budget:all", unit="USD", limit=5 * 10**9, window=Window(shape="total"), assume_output_tokens=100
)
RATES = tuple(
    ModelRate(id=name, provider=name, models=("*",), currency=bill, input_nano=10**9, output_nano=10**9)
    for name, bill in (("a", "USD"), ("b", "CNY"))
)


async def exchanged(tmp_path, first):
    policies = replace(routed(), budgets=(BUDGET,), rates=RATES)
    async with (
        raw_upstream(answers(first)) as a,
        raw_upstream(answers(answer(said("good")))) as b,
        running_worker(*two_targets(a.url, b.url), policies=policies, data_dir=tmp_path) as worker,
    ):
        data = await worker.exchange(post(CHAT, ASK, b"Authorization: Bearer apps-own"))
        (call,) = await worker.journal.calls(1)
    return read_answer(data), call, b.requests


async def test_the_target_that_bills_in_another_currency_is_passed_over_and_the_row_says_so(tmp_path):
    got, call, second = await exchanged(tmp_path, answer(said("first")))

    assert (got.status, call.outcome, second) == (200, "ok", [])
    assert "route:r:skip=b/other:not_held" in call.reasons
    assert call.draws[0].set_aside > 0


async def test_it_is_not_fallen_back_to_either(tmp_path):
    got, call, second = await exchanged(tmp_path, answer(b'{"error":{"message":"busy"}}', b"529 Busy"))

    assert (got.status, len(call.attempts), second) == (529, 1, [])

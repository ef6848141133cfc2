"""Every recorded chat exchange through the whole product: the app's bytes are the provider's, the row is as expected."""

import asyncio
import json
from decimal import Decimal

import aiohttp
import pytest

from tests.fakes.dialect_corpus import NO_CORPUS
from tests.fakes.replay import CASE_HEADER, replay
from tests.fakes.whole import CONFIG, serving, taximeter
from tests.fakes.wire import cases, differences

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

PROTOCOLS = ("openai.chat", "anthropic.messages", "minimax.native", "openai.responses", "gemini.generate")
CHATS = [case for protocol in PROTOCOLS for case in cases(protocol) if case.expected["operation"] == "chat"]
if not CHATS:
    pytestmark.append(NO_CORPUS)
COLUMNS = (
    "status, outcome, error_class, provider_code, finish_class, model_requested, model, response_id, "
    "provider_request_id, streaming, dialect, operation, usage_source, input_tokens, cached_input_tokens, "
    "cache_write_tokens, output_tokens, reasoning_tokens, total_tokens, toString(provider_cost) AS provider_cost, "
    "client_gone, call_id"
)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """Every case sent once through one Taximeter: case id -> (status, body as the app got it, row)."""
    return asyncio.run(send_all(tmp_path_factory.mktemp("wire")))


async def send_all(folder):
    async with replay(CHATS) as upstream:
        names = {case.meta["provider"] for case in CHATS}
        providers = "".join(f"  {name}: {{kind: {name}, base_url: '{upstream.url}'}}\n" for name in sorted(names))
        async with serving(folder, config=f"{CONFIG}providers:\n{providers}") as whole:
            answers = await send_cases(whole.url)
            rows = await rows_of(folder, len(CHATS))
    return {case: (*answer, rows[answer[2]]) for case, answer in answers.items()}


async def send_cases(url):
    answers = {}
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        for case in CHATS:
            asked = case.meta["request"]
            target = f"{url}/{case.meta['provider']}{asked['path']}"
            headers = {**asked["headers"], CASE_HEADER: case.id}
            async with session.request(asked["method"], target, headers=headers, data=case.request) as answer:
                answers[case.id] = (answer.status, await answer.read(), answer.headers["x-taximeter-call-id"])
    return answers


async def rows_of(folder, count):
    """The rows of the calls by call id, once all are there."""
    async with asyncio.timeout(30):
        while True:
            status, output, errors = await taximeter(
                folder, "sql", f"SELECT {COLUMNS} FROM attempts FORMAT JSONEachRow"
            )
            assert status == 0, errors
            rows = {row["call_id"]: row for row in map(json.loads, output.splitlines())}
            if len(rows) >= count:
                return rows


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CHATS])
def test_a_recorded_exchange_passes_unchanged_and_is_on_the_books_as_expected(replayed, case):
    status, body, _, row = replayed[case.id]

    assert status == case.status
    assert body == case.stored
    assert differences(case.expected, seen(row)) == []


def seen(row):
    usage = ("input", "cached_input", "cache_write", "output", "reasoning", "total")
    figures = {f"usage.{name}_tokens": as_number(row[f"{name}_tokens"]) for name in usage}
    nothing = row["usage_source"] == "none"
    return {
        "model_requested": row["model_requested"] or None,
        "model": row["model"] or None,
        "response_id": row["response_id"] or None,
        "request_id": row["provider_request_id"] or None,
        "finish_class": row["finish_class"] or None,
        "streaming": row["streaming"],
        "error.class": row["error_class"] or None,
        "error.provider_code": row["provider_code"] or None,
        "provider_cost.amount": as_amount(row["provider_cost"]),
        **({"usage": None} if nothing else figures),
    }


def as_number(value):
    return None if value is None else int(value)


def as_amount(value):
    return None if value is None else f"{Decimal(value).normalize():f}"

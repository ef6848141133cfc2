"""Kill -9 of a worker with a call between its targets: no attempt is unbooked, no hold is open when it runs again."""

import asyncio
import json
import os
import signal
from contextlib import suppress

import aiohttp
import pytest

from policies.ledger.sqlite_books import SqliteBooks
from tests.fakes.raw_upstream import raw_upstream
from tests.fakes.routes import answer
from tests.fakes.until import until
from tests.fakes.whole import CONFIG, serving

POLICIES = """\
version: 1
routes:
  chat:
    match: {dialect: openai.chat}
    targets: [one, two]
    retry: {each: 1}
budgets:
  all: {limit: 5 USD, window: total, unbounded: allow}
"""
ASKED = {"model": "gpt-4.1-mini", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
PATIENCE_S = 60.0

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


async def failing(conversation):
    await conversation.request()
    await conversation.say(answer(b'{"error":{"message":"busy"}}', b"529 Busy"))


async def silent(conversation):
    await conversation.request()
    await conversation.gone()


async def rows(whole, sql):
    access = json.loads((whole.folder / "data/run/store-credentials.json").read_text())
    parameters = {"user": access["user"], "password": access["password"], "database": "taximeter"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(whole.state["store_url"], params=parameters, data=f"{sql} FORMAT JSONEachRow") as found,
    ):
        return [json.loads(line) for line in (await found.text()).splitlines() if found.status == 200]


async def killed(tmp_path, first, policies):
    """The rows of a call whose worker dies when the second target has it, its draws, and the books."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "fallback.yaml").write_text(policies)
    key = tmp_path / "key"
    key.write_text("operators-own-key")
    key.chmod(0o600)
    async with raw_upstream(first) as one, raw_upstream(silent) as two:
        config = (
            f"workers: 1\n{CONFIG}providers:\n"
            f"  one: {{kind: openai, base_url: '{one.url}'}}\n"
            f"  two: {{kind: openai, base_url: '{two.url}', api_key: 'file:{key}'}}\n"
        )
        async with serving(tmp_path, config=config) as whole:
            async with aiohttp.ClientSession() as session:
                sent = session.post(
                    f"{whole.url}/one/v1/chat/completions", json=ASKED, headers={"Authorization": "Bearer apps-own-key"}
                )
                task = asyncio.ensure_future(sent.__aenter__())
                await until(lambda: two.requests, limit_s=PATIENCE_S)
                os.kill(whole.pid("worker-0"), signal.SIGKILL)
                with suppress(aiohttp.ClientError):
                    await task
            books, journal = SqliteBooks(tmp_path / "data" / "ledger.sqlite"), tmp_path / "data" / "journal"
            await until(lambda: any(level.spent for level in books.recorded()), limit_s=PATIENCE_S)
            await until(lambda: not list(journal.glob("[!.]*/*.jsonl")), limit_s=PATIENCE_S)
            found = await rows(whole, "SELECT attempt, provider, target, outcome, cost FROM attempts ORDER BY attempt")
            (call,) = await rows(whole, "SELECT draws FROM calls")
            await until(lambda: not any(level.leased for level in books.recorded()), limit_s=PATIENCE_S)
            (level,) = books.recorded()

    return found, call, level


async def test_a_worker_that_dies_in_a_fallback_leaves_both_attempts_on_the_books_and_no_hold(tmp_path):
    found, call, level = await killed(tmp_path, failing, POLICIES)

    assert [(row["provider"], row["target"], row["outcome"]) for row in found] == [
        ("one", "one", "error"),
        ("two", "two", "interrupted"),
    ]
    # The books have what was held, at the dearest rates that the provider may bill; the row has the list price.
    assert list(call["draws"].values()) == [level.spent]
    assert 0 < float(found[1]["cost"]) < level.spent / 1e9


async def test_a_worker_that_dies_with_two_targets_under_way_leaves_both_on_the_books_and_no_hold(tmp_path):
    hedged = POLICIES.replace("retry: {each: 1}", "retry: {each: 1}\n    hedge: {after: 10ms}")
    found, call, level = await killed(tmp_path, silent, hedged)

    assert [(row["provider"], row["target"], row["outcome"]) for row in found] == [
        ("one", "one", "interrupted"),
        ("two", "two", "interrupted"),
    ]
    assert list(call["draws"].values()) == [level.spent]
    assert 0 < float(found[0]["cost"]) + float(found[1]["cost"]) < level.spent / 1e9

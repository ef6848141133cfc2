"""Kill -9 of any process at any moment loses no finished call and doubles none.

Apps call without a pause through a Taximeter with two workers; at random instants one of its processes is killed, or
all of them. In the end the store is asked what it knows, and the apps and the provider, who are no part of the product,
are asked what they saw. TAXIMETER_KILL_ROUNDS makes it longer, TAXIMETER_KILL_SEED another one.
"""

import json
import os
import random
import sys
from collections import Counter

import aiohttp
import pytest

from tests.fakes.killable import CHILDREN, EVERYTHING, SUPERVISOR, killable
from tests.fakes.numbered_load import numbered_load
from tests.fakes.numbered_provider import OUTPUT_TOKENS, numbered_provider
from tests.fakes.until import until
from tests.fakes.whole import CONFIG

ROUNDS = int(os.environ.get("TAXIMETER_KILL_ROUNDS", "14"))
SEED = int(os.environ.get("TAXIMETER_KILL_SEED", "7"))
VICTIMS = ("worker-0", "recorder-0", SUPERVISOR, "store-0", "worker-1", CHILDREN, EVERYTHING)
APPS = 8
BEATS = 600
"""Most of what may happen to the calls before the next kill: about a second's worth."""
PATIENCE_S = 60.0
UNTOLD_S = 2.0
"""An answer's end may reach the app this long before its worker dies without having written so: it was busy."""

pytestmark = [pytest.mark.real, pytest.mark.timeout(120 + 30 * ROUNDS)]


async def test_kill_9_at_any_moment_loses_no_finished_call_and_doubles_none(tmp_path):
    dice = random.Random(SEED)
    async with numbered_provider() as provider:
        config = f"workers: 2\n{CONFIG}providers:\n  n: {{kind: openai, base_url: '{provider.url}'}}\n"
        async with killable(tmp_path, config) as taximeter:
            async with numbered_load(lambda: taximeter.whole.url, APPS) as load:
                for victim in victims(dice):
                    instant = load.beats + dice.randint(1, BEATS)
                    await until(lambda instant=instant: load.beats >= instant, limit_s=PATIENCE_S)
                    await taximeter.kill(victim)
                    if dice.random() < 0.7:
                        # Else the next one is killed in the middle of the recovery.
                        await taximeter.recovered()
                await taximeter.recovered()
                enough = len(load.finished) + 2 * APPS
                await until(lambda: len(load.finished) >= enough, limit_s=PATIENCE_S)
            known = await settled(taximeter.whole, {call.call_id for call in load.calls if call.call_id})
            rows, attempts = known
    sys.stdout.write(f"{figures(taximeter, load, rows)}\n")

    by_id = {row["call_id"]: row for row in rows}
    assert_each_once(rows, attempts)
    assert {int(row["session"]) for row in rows} >= provider.asked.keys()
    assert max(provider.asked.values()) == 1
    assert {call.status for call in load.calls if call.call_id} == {200}
    for call in load.finished:
        assert_as_finished(call, by_id[call.call_id], taximeter.kills)
    assert {by_id[call.call_id]["outcome"] for call in load.begun} <= {"interrupted"}


def victims(dice):
    """Every victim in turn, in an order that is drawn anew each time; ROUNDS in all."""
    drawn = []
    while len(drawn) < ROUNDS:
        drawn += dice.sample(VICTIMS, len(VICTIMS))
    return drawn[:ROUNDS]


def assert_each_once(rows, attempts):
    """One row for a call, one call for a number, and for every call its attempts."""
    assert [call for call, count in Counter(row["call_id"] for row in rows).items() if count > 1] == []
    assert [number for number, count in Counter(row["session"] for row in rows).items() if count > 1] == []
    assert Counter(row["call_id"] for row in attempts) == {
        row["call_id"]: row["attempt"] for row in rows if row["attempt"]
    }


def assert_as_finished(call, row, kills):
    """The row says what the app saw; only where its worker died with the answer's last byte it may not know the end."""
    assert (row["session"], row["streaming"]) == (str(call.number), call.streamed)
    if row["outcome"] == "interrupted":
        assert any(0 <= at - call.finished_at < UNTOLD_S for at, _ in kills), call
    else:
        tokens = (int(row["input_tokens"]), int(row["output_tokens"]))
        assert (row["outcome"], row["status"], *tokens) == ("ok", 200, call.number, OUTPUT_TOKENS), call


async def settled(whole, expected):
    """All rows of calls and attempts, once the expected calls are there and the journal has nothing more to give."""
    journal = whole.folder / "data" / "journal"
    found = ([], [])

    async def asked(session, sql):
        access = json.loads((whole.folder / "data/run/store-credentials.json").read_text())
        parameters = {"user": access["user"], "password": access["password"], "database": "taximeter"}
        async with session.post(
            whole.state["store_url"], params=parameters, data=f"{sql} FORMAT JSONEachRow"
        ) as answer:
            text = await answer.text()
            assert answer.status == 200, text
            return [json.loads(line) for line in text.splitlines()]

    async with aiohttp.ClientSession() as session:

        async def looked():
            nonlocal found
            calls = await asked(
                session,
                "SELECT call_id, session, streaming, outcome, status, attempt, input_tokens, output_tokens FROM calls",
            )
            found = (calls, await asked(session, "SELECT call_id FROM attempts"))
            return expected <= {row["call_id"] for row in calls}

        await until(lambda: not list(journal.glob("[!.]*/*.jsonl")), limit_s=PATIENCE_S)
        await until(lambda: not list(journal.glob("[!.]*/*.open")), limit_s=PATIENCE_S)
        await until(lambda: not list(journal.glob("[!.]*/*.jsonl")), limit_s=PATIENCE_S)
        assert await looked(), f"{len(expected - {row['call_id'] for row in found[0]})} calls are not in the store"
    return found


def figures(taximeter, load, rows):
    """What a long run is made for."""
    late = {row["call_id"] for row in rows if row["outcome"] == "interrupted"} & {c.call_id for c in load.finished}
    return {
        "kills": dict(Counter(name for _, name in taximeter.kills)),
        "sent": len(load.calls),
        "finished": len(load.finished),
        "begun": len(load.begun),
        "rows": dict(Counter(row["outcome"] for row in rows)),
        "finished but interrupted": len(late),
    }

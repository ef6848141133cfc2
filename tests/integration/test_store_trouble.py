"""The embedded store in trouble: killed while it works, or not able to start. Calls go on, and no row is lost."""

import json
import os
import random
import signal
import socket
import threading

import aiohttp
import pytest

from exporters.store.folder import Folder
from tests.fakes.embedded_store import embedded_store
from tests.fakes.filled_store import counted, fill, ready_store
from tests.fakes.until import until
from tests.fakes.whole import serving, taximeter

ROUNDS = int(os.environ.get("TAXIMETER_KILL_ROUNDS", "8"))
SEED = int(os.environ.get("TAXIMETER_KILL_SEED", "7"))

pytestmark = [pytest.mark.real, pytest.mark.timeout(120 + 10 * ROUNDS)]


def test_rows_survive_kill_9_during_inserts_and_merges(tmp_path):
    dice = random.Random(SEED)
    with embedded_store(tmp_path) as store:
        ready_store(store).close()
        acknowledged = 0
        for number in range(ROUNDS):
            killer = threading.Timer(dice.uniform(0.0, 0.6), store.kill)
            killer.start()
            sent = acknowledged
            try:
                client = store.client()
                merges = threading.Thread(target=lambda: quietly(store, "OPTIMIZE TABLE calls FINAL"))
                merges.start()
                while True:
                    fill(client, f"token-{sent}", 200)
                    sent += 1
            except Exception:  # noqa: BLE001 - it died in the middle, as it should
                killer.join()
                merges.join()
            store.start()
            client = store.client()
            # What was acknowledged is there; what was not is sent again, as the recorder does.
            assert counted(client)[0] >= sent * 200
            fill(client, f"token-{sent}", 200)
            acknowledged = sent + 1
            assert counted(client) == (acknowledged * 200,) * 4, number
            client.close()
        assert acknowledged > ROUNDS


def quietly(store, sql):
    try:
        client = store.client()
        client.command(sql)
        client.close()
    except Exception:  # noqa: BLE001 - it is killed meanwhile
        pass


def damage(folder):
    """A data folder whose store cannot be opened."""
    metadata = Folder(folder / "data" / "store").engine_dir / "metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "broken.sql").write_text("no SQL at all")
    return metadata / "broken.sql"


async def called(whole, times):
    async with aiohttp.ClientSession() as session:
        for _ in range(times):
            async with session.get(f"{whole.url}/nobody/x") as answer:
                assert answer.status == 404


async def rows(folder):
    status, out, _ = await taximeter(folder, "sql", "SELECT count() FROM calls", "--format", "tsv")
    return int(out.split()[-1]) if status == 0 else -1


async def test_with_a_damaged_folder_calls_go_on_and_are_delivered_once_it_is_repaired(tmp_path):
    broken = damage(tmp_path)
    async with serving(tmp_path) as whole:
        assert "IT DOES NOT RUN" in whole.banner
        assert str(tmp_path / "data" / "store") in whole.banner
        await called(whole, 5)
        status, out, _ = await taximeter(tmp_path, "doctor", "--format", "json")
        found = {finding["about"]: finding for finding in json.loads(out)["findings"]}
        assert status == 1
        assert found["store-0"]["state"] == "bad"
        assert "could not open it" in found["store-0"]["said"]
        assert found["store"]["state"] == "bad"
        broken.unlink()
        await until(lambda: whole.state["processes"][-1]["state"] == "ready", limit_s=60)
        journal = tmp_path / "data" / "journal"
        await until(lambda: not list(journal.glob("[!.]*/*.jsonl")), limit_s=60)
        assert await rows(tmp_path) == 5


async def test_a_port_that_is_taken_while_the_store_is_away_is_told_and_calls_go_on(tmp_path):
    async with serving(tmp_path) as whole:
        await called(whole, 2)
        port = int(whole.state["store_url"].rpartition(":")[2])
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            os.kill(whole.pid("store-0"), signal.SIGKILL)
            await until(lambda: taken(thief, port), limit_s=20)
            await called(whole, 3)
            status, out, _ = await taximeter(tmp_path, "doctor", "--format", "json")
            assert status == 1
            found = {finding["about"]: finding for finding in json.loads(out)["findings"]}
            assert found["store-0"]["state"] == "bad"
        await until(lambda: whole.state["processes"][-1]["state"] == "ready", limit_s=60)
        journal = tmp_path / "data" / "journal"
        await until(lambda: not list(journal.glob("[!.]*/*.jsonl")), limit_s=60)
        assert await rows(tmp_path) == 5


def taken(thief, port):
    try:
        thief.bind(("127.0.0.1", port))
        thief.listen()
    except OSError:
        return False
    return True

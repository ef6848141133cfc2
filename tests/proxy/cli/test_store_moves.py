import json

import aiohttp
import pytest
from typer.testing import CliRunner

from exporters.store.gap import Gap
from proxy.cli import app
from proxy.cli.store_moves import gap_lines
from tests.fakes.embedded_store import embedded_store
from tests.fakes.until import until
from tests.fakes.whole import serving, taximeter


@pytest.mark.parametrize("command", ["backup", "restore", "copy"])
def test_every_command_explains_itself_with_examples(command):
    result = CliRunner().invoke(app, ["store", command, "--help"])
    assert result.exit_code == 0
    assert f"taximeter store {command}" in result.output


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (Gap(reaches_back=True, oldest_archived="x"), []),
        (
            Gap(reaches_back=True, archived_calls=1200, archived_segments=3, folder="data/missing"),
            ["1,200 calls", "3 segments", "journal ship data/missing"],
        ),
        (Gap(oldest_archived="20261124T10"), ["goes back to 20261124T10 only", "between THEN and"]),
        (Gap(), ["is empty"]),
        (Gap(reaches_back=True, waiting_segments=2, unreadable_segments=1), ["2 segments wait", "1 archived segments"]),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(gap, words):
    lines = gap_lines(gap, "THEN")
    assert all(word in "\n".join(lines) for word in words)
    assert bool(lines) == bool(words)


def test_a_clickhouse_of_ones_own_is_not_ours_to_back_up(tmp_path):
    (tmp_path / "t.yaml").write_text("store: {url: 'http://127.0.0.1:1', user: u}\n")
    result = CliRunner().invoke(app, ["store", "backup", "--config", str(tmp_path / "t.yaml")])
    assert result.exit_code == 1
    assert "BACKUP statement" in result.output


def test_a_store_that_does_not_run_is_said_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.yaml").write_text("store: {listen: '127.0.0.1:1'}\n")
    result = CliRunner().invoke(app, ["store", "backup", "--config", "t.yaml", "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "Start it with: taximeter serve" in result.output
    assert "Traceback" not in result.output


def test_what_is_no_backup_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["store", "restore", str(tmp_path), "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "is no backup" in result.output


@pytest.mark.real
async def test_calls_go_on_while_a_running_taximeter_is_backed_up_and_restored(tmp_path):
    async with serving(tmp_path) as whole, aiohttp.ClientSession() as session:

        async def called(times):
            for _ in range(times):
                async with session.get(f"{whole.url}/nobody/x") as answer:
                    await answer.read()
                    assert answer.status == 404

        async def rows():
            status, out, _ = await taximeter(tmp_path, "sql", "SELECT count() FROM calls", "--format", "tsv")
            return int(out.split()[-1]) if status == 0 else -1

        async def rows_become(wanted):
            journal = tmp_path / "data" / "journal"
            await until(lambda: not list(journal.glob("[!.]*/*.jsonl")), limit_s=60)
            for _ in range(60):
                if await rows() == wanted:
                    return True
            return False

        await called(5)
        assert await rows_become(5)
        status, out, errors = await taximeter(tmp_path, "store", "backup", "b", "--format", "json")
        assert status == 0, errors
        assert json.loads(out)["manifest"]["tables"]["calls"]["rows"] == 5
        await called(3)
        assert await rows_become(8)
        status, _, errors = await taximeter(tmp_path, "store", "restore", "b")
        assert status == 1
        assert "--force" in errors
        status, out, errors = await taximeter(tmp_path, "store", "restore", "b", "--force")
        assert status == 0, errors
        assert "the store was started again on it" in out
        assert "3 calls were delivered after that and are not in it" in out
        missing = out.rpartition("journal ship ")[2].split()[0]
        await called(2)
        assert await rows_become(7)
        # As it says: what was delivered after the backup is delivered once more, and nothing twice.
        status, out, errors = await taximeter(tmp_path, "journal", "ship", missing, "--format", "json")
        assert status == 0, errors
        assert json.loads(out)["calls"] == 3
        assert await rows_become(10)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "clickhouse:8123"], "not of the form"),
        (["--to", "https://a:b@host"], "no password in the URL"),
        (["--to", "https://host:99999"], "is no URL"),
        (["--to", "http://host", "--password-env", "TAXIMETER_NO_SUCH"], "there is no variable"),
        (["--to", "http://host", "--password-file", "/nowhere/file"], "cannot be read"),
        (["--to", "http://host", "--password-env", "PATH", "--password-file", "x"], "one of them"),
        (["--to", "http://host", "--since", "yesterday"], "is no day"),
        (["--to", "http://host"], "holds no store"),
    ],
)
def test_a_copy_that_cannot_be_is_refused_in_one_sentence(tmp_path, arguments, said):
    result = CliRunner().invoke(app, ["store", "copy", *arguments, "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.real
async def test_a_running_taximeter_is_copied_and_the_way_to_switch_is_told(tmp_path):
    with embedded_store(tmp_path / "server") as server:
        (tmp_path / "password").write_text(f"{server.settings.store.password}\n")
        to = ["--to", server.settings.store.url, "--user", "taximeter", "--password-file", "password"]
        async with serving(tmp_path) as whole, aiohttp.ClientSession() as session:
            for _ in range(4):
                async with session.get(f"{whole.url}/nobody/x") as answer:
                    await answer.read()
            journal = tmp_path / "data" / "journal"
            await until(lambda: list(journal.glob(".shipped/*/*/*.jsonl")), limit_s=60)
            status, out, errors = await taximeter(tmp_path, "store", "copy", *to)
            assert status == 0, errors
            assert "To switch: set store.url to" in out
            assert "calls" in out
        # It has ended: the copy opens the store itself.
        status, out, errors = await taximeter(tmp_path, "store", "copy", *to, "--format", "json")
        assert status == 0, errors
        told = json.loads(out)
        assert told["good"]
        assert sum(day["rows"] for day in told["days"] if day["table"] == "calls") == 4
        client = server.client()
        assert client.command("SELECT count() FROM calls") == 4
        client.close()

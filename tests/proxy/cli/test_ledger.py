import json
import time

import pytest
from typer.testing import CliRunner

from exporters.ledger.comparing import Comparison, Line
from policies.ledger.books import Page, Posting
from policies.ledger.sqlite_books import SqliteBooks
from proxy import app_ledger_asks
from proxy.cli import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TAXIMETER_CONFIG", "TAXIMETER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "taximeter.yaml").write_text("data_dir: data\nstore: {url: 'http://127.0.0.1:1'}\n")
    return lambda *arguments: CliRunner().invoke(app, ["ledger", *arguments])


@pytest.fixture
def booked(tmp_path):
    books = SqliteBooks(tmp_path / "data" / "ledger.sqlite")
    books.post([Page("w1", 3, (Posting("budget:b", "USD", 1_500_000_000, 0),))], time.time_ns())
    books.close()


def test_status_tells_backend_counters_and_processes(run, booked):
    done = run("status")
    assert done.exit_code == 0
    assert "1 counters, 0 leases, 1 processes" in done.output
    assert done.output.splitlines()[-1].split()[:4] == ["w1", "0", "3", "-"]
    told = json.loads(run("status", "--format", "json").output)
    assert (told["reachable"], told["counters"][0]["spent"]) == (True, "1.5")


def test_a_ledger_that_does_not_answer_ends_with_status_1(run, tmp_path):
    with (tmp_path / "taximeter.yaml").open("a") as file:
        file.write("ledger: {url: 'redis://127.0.0.1:1/0'}\n")
    done = run("status")
    assert done.exit_code == 1
    assert "does not answer" in done.output


@pytest.mark.parametrize(("behind", "status"), [((), 1), (("w1",), 0)])
def test_only_a_proven_drift_ends_with_status_1(run, monkeypatch, behind, status):
    lines = (Line(counter="budget:b", unit="USD", ledger=5, store=3),)
    found = Comparison(lines=lines, behind=behind, left=0)
    monkeypatch.setattr(app_ledger_asks, "compared", lambda *_: found)
    done = run("compare")
    assert done.exit_code == status
    assert ["budget:b", "0.000000005", "0.000000003", "0.000000002", "USD"] in [
        line.split() for line in done.output.splitlines()
    ]
    assert json.loads(run("compare", "--format", "json").output)["equal"] is not bool(status)


def test_without_a_store_nothing_is_compared_rebuilt_or_forgotten(run, booked):
    for arguments in (["compare"], ["rebuild"], ["rebuild", "--dry-run"], ["forget", "nobody"]):
        done = run(*arguments)
        assert (done.exit_code, done.output.count("\n")) == (1, 1), done.output

"""The admin API's figures over a real store: those of `taximeter report`, to the last digit."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from policies.compiled import Budget, CompiledPolicies, Window, to_json
from policies.ledger.books import BooksUnavailableError, Recorded
from policies.routes_compiled import Route, RouteTarget, Routing
from proxy.admin.live import Live
from proxy.app import pricer_of, told_report
from proxy.app_console import ConsoleSource, console_of
from proxy.policy_state import policies_file
from proxy.settings import Listen, Settings, StoreSettings
from tests.fakes.report_store import report_store

BUDGET = Budget(name="team", policy="budget:team", unit="USD", limit=5 * 10**9, window=Window(shape="total"))
IDLE = Budget(name="other", policy="budget:other", unit="CNY", limit=10**9, window=Window(shape="total"))
HALF = Recorded(
    counter="budget:team", family="budget:team", unit="USD", spent=25 * 10**8, leased=10**9, allowed=0, starts_at_ns=0,
    ends_at_ns=None,
)  # fmt: skip


class Books:
    def __init__(self):
        self.down = False

    def recorded(self, family=""):
        if self.down:
            raise BooksUnavailableError("down")
        return (HALF,)


def settings_of(folder, store=None):
    made = Settings(
        listen=Listen("127.0.0.1", 0), admin=Listen("0.0.0.0", 0), admin_token="t" * 20,
        store=store or StoreSettings(url="http://127.0.0.1:1", user="", password=""), data_dir=folder, workers=1, providers=(),
    )  # fmt: skip
    made.run_dir.mkdir(exist_ok=True)
    return made


@pytest.fixture
def settings(tmp_path):
    return settings_of(tmp_path)


def source_of(settings, books=None):
    return ConsoleSource(settings, pricer_of(settings), books or Books())


def test_budgets_are_told_in_exact_figures_with_those_that_nothing_drew_on(settings):
    policies_file(settings).write_bytes(to_json(CompiledPolicies(budgets=(BUDGET, IDLE))))
    told = json.loads(source_of(settings).budgets().body)
    assert told == {
        "budgets": [{"budget": "team", "unit": "USD", "limit": "5", "used": "2.5", "held": "1", "share": 0.7}],
        "idle": ["other"],
    }


def test_a_ledger_that_is_down_is_told_and_not_taken_for_nothing_spent(settings):
    policies_file(settings).write_bytes(to_json(CompiledPolicies(budgets=(BUDGET,))))
    books = Books()
    books.down = True
    answer = source_of(settings, books).budgets()
    assert answer.status == 503
    assert "ledger" in answer.problem


def test_a_store_that_is_down_is_a_sentence(settings):
    source = source_of(settings)
    for answer in (source.report({"name": "costs", "since": "7d"}, "json"), source.call("c1", "UTC")):
        assert answer.status == 503
        assert answer.problem.startswith("No store answers")


def test_wrong_questions_are_told_from_broken_stores(settings):
    assert source_of(settings).report({"name": "profits", "since": "7d"}, "json").status == 400
    assert source_of(settings).call("c1", "Mars").status == 400


def test_without_breakers_the_page_is_told_why(settings):
    told = json.loads(source_of(settings).targets().body)
    assert told["breakers"] == []
    assert told["why"]


def test_the_targets_of_routes_come_with_the_states_of_their_breakers(settings):
    route = Route(name="r", targets=(RouteTarget(id="a/m", provider="a", model="m"),))
    policies_file(settings).write_bytes(to_json(CompiledPolicies(routing=Routing(routes=(route,)))))
    told = json.loads(source_of(settings).targets().body)
    assert [(one["target"], one["state"]) for one in told["breakers"]] == [("a/m", "closed")]
    assert not told["why"]


def test_the_door_is_that_of_the_settings(settings):
    console = console_of(settings, pricer_of(settings), Books(), Live(None))
    assert console.door.fits("t" * 20)
    assert console.door.host == "0.0.0.0"


@pytest.mark.real
@pytest.mark.timeout(120)
def test_api_and_command_tell_the_same_figures_and_a_call_is_told_whole(tmp_path):
    with report_store(tmp_path) as store:
        settings = settings_of(tmp_path, store.settings)
        at = datetime.now(UTC) - timedelta(hours=2)
        line = {
            "part": "input",
            "quantity": "1200",
            "free": "0",
            "rate": "0.3",
            "per": 1_000_000,
            "amount": "0.00036",
            "price_id": "p",
        }
        rows = [
            {"call_id": f"c{n}", "team": f"t{n % 3}", "started_at": (at + timedelta(minutes=n)).strftime("%Y-%m-%d %H:%M:%S"),
             "cost": f"0.{n + 1:018d}", "currency": ("USD", "CNY")[n % 2], "duration_ms": 100.0 + n, "ttft_ms": 50.0,
             "outcome": "error" if n % 10 == 0 else "ok", "price_lines": [line], "list_cost_currency": "USD"}
            for n in range(60)
        ]  # fmt: skip
        store.add(rows)
        source = source_of(settings)
        for asked in (
            {"name": "costs", "since": "24h", "by": "team"},
            {"name": "calls", "since": "24h", "limit": 7},
            {"name": "providers", "since": "24h"},
        ):
            told = json.loads(source.report(asked, "json").body)
            command = json.loads(told_report(settings, asked, "json").text)
            assert (told["rows"], told["totals"]) == (command["rows"], command["totals"])
            assert told["rows"]
        course = json.loads(source.report({"name": "course", "since": "24h", "limit": 50}, "json").body)
        assert sum(row["calls"] for row in course["rows"]) == 60
        assert sum(row["errors"] for row in course["rows"]) == 6
        whole = json.loads(source.call("c7", "UTC").body)
        assert whole["call"]["cost"] == "0.000000000000000008"
        assert whole["attempts"][0]["price_lines"][0]["formula"] == "input: 1,200 x 0.3 / 1,000,000 = 0.00036 USD"
        assert Decimal(whole["attempts"][0]["price_lines"][0]["rate"]) == Decimal("0.3")
        assert source.call("nobody", "UTC").status == 404
        assert source.report({"name": "costs", "since": "24h"}, "csv").content_type == "text/csv"

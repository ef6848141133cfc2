"""`/metrics` tells how full budgets are and which edition is in force, as far as the ledger answers."""

import msgspec
import pytest

from policies.compiled import Budget, CompiledPolicies, Window, to_json
from policies.ledger.books import BooksUnavailableError, Recorded
from proxy import app_metrics
from proxy.app_metrics import Levels
from proxy.policy_state import STATE_NAME, PolicyState, policies_file
from proxy.settings import Listen, Settings, StoreSettings

BUDGET = Budget(name="team", policy="budget:team", unit="USD", limit=5 * 10**9, window=Window(shape="total"))
HALF = Recorded(
    counter="budget:team", family="budget:team", unit="USD", spent=25 * 10**8, leased=0, allowed=0, starts_at_ns=0,
    ends_at_ns=None,
)  # fmt: skip


class Books:
    def __init__(self):
        self.asked = 0
        self.down = False

    def recorded(self, family=""):
        self.asked += 1
        if self.down:
            raise BooksUnavailableError("down")
        return (HALF,)


@pytest.fixture
def settings(tmp_path):
    made = Settings(
        listen=Listen("127.0.0.1", 0), admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="", password=""), data_dir=tmp_path, workers=1, providers=(),
    )  # fmt: skip
    made.run_dir.mkdir()
    return made


def in_force(settings, *budgets):
    policies_file(settings).write_bytes(to_json(CompiledPolicies(budgets=budgets)))
    state = PolicyState(generation=7, loaded_at_s=12.0)
    (settings.run_dir / STATE_NAME).write_bytes(msgspec.json.encode(state))


def told(levels):
    return {(sample.name, *sample.labels.values()): sample.value for one in levels.families() for sample in one.samples}


def test_budgets_and_the_edition_are_told(settings):
    in_force(settings, BUDGET)

    figures = told(Levels(settings, Books()))

    assert figures["taximeter_budget_used_ratio", "team", "USD"] == 0.5
    assert figures["taximeter_generation", "policies"] == 7


def test_without_policies_nothing_is_told_and_no_books_are_asked(settings):
    books = Books()

    assert told(Levels(settings, books)) == {}
    assert books.asked == 0


def test_a_ledger_that_does_not_answer_costs_its_figures_alone(settings):
    in_force(settings, BUDGET)
    books = Books()
    books.down = True

    assert set(told(Levels(settings, books))) == {
        ("taximeter_generation", "policies"),
        ("taximeter_loaded_timestamp_seconds", "policies"),
    }


def test_a_crowd_of_scrapes_asks_the_books_once(settings, monkeypatch):
    in_force(settings, BUDGET)
    books = Books()
    levels = Levels(settings, books)

    for _ in range(5):
        levels.families()
    assert books.asked == 1
    monkeypatch.setattr(levels, "_told_until_s", 0.0)
    levels.families()
    assert books.asked == 2
    assert app_metrics._LEVELS_FRESH_S < 15, "what Prometheus scrapes is not older than its usual interval"

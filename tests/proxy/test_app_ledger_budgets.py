"""Top-ups: who may get one, that they are noted first, and that they count at once."""

import time

import pytest

from policies.audit import entries
from policies.demand import Demand
from policies.ledger.books import Page, Posting, Want
from proxy.app_ledger import books_of
from proxy.app_ledger_asks import LedgerError
from proxy.app_ledger_budgets import TopUpWish, budget_history, budget_status, top_up
from proxy.settings import LedgerSettings, Listen, Settings, StoreSettings

POLICY = """version: 1
budgets:
  all: {limit: 5 USD, window: total}
  teams: {limit: 1 USD, window: month, per: team, named: {search: 3 USD}}
"""


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "p.yaml").write_text(POLICY)
    here = Listen("127.0.0.1", 0)
    store = StoreSettings(url="http://127.0.0.1:1", user="u", password="p")
    return Settings(
        listen=here, admin=here, store=store, data_dir=tmp_path, workers=1, providers=(),
        policy_files=(str(tmp_path / "p.yaml"),),
    )  # fmt: skip


def wish(**more):
    return TopUpWish(**{"budget": "teams", "scope": "team=search", "amount": "5USD", "reason": "launch"} | more)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"budget": "team"}, "there is no budget team.*teams"),
        ({"scope": ""}, "counts by team: say --scope team=..."),
        ({"scope": "user=jo"}, "counts by team"),
        ({"scope": "search"}, "must be like team=search"),
        ({"scope": "team=serach"}, "nobody has called with team=serach yet.*team=search.*--unseen"),
        ({"budget": "all"}, "leave --scope out"),
        ({"amount": "5"}, "--amount"),
        ({"amount": "5 EUR"}, "must be in USD"),
        ({"amount": "0 USD"}, "more than 0"),
        ({"amount": "-5 USD"}, "--amount"),
        ({"reason": "  "}, "--reason is needed"),
        ({"until_ns": 1}, "over already"),
    ],
)
def test_what_is_not_right_is_refused_in_a_sentence_and_changes_nothing(settings, more, said):
    with pytest.raises(LedgerError, match=said):
        top_up(settings, wish(**more), by="ada")
    books = books_of(settings)
    assert (books.top_ups(), entries(settings.data_dir)) == ((), ())
    books.close()


def test_a_top_up_is_noted_and_counts_with_the_next_borrowing(settings):
    books = books_of(settings)
    demand = Demand(
        counter="budget:all", family="budget:all", policy="budget:all", unit="USD", amount=0, limit=5, stated=5, top_ups=True
    )  # fmt: skip
    assert not books.borrow("w1", [Want(demand, 6)], time.time_ns()).granted

    made = top_up(settings, wish(budget="all", scope=""), by="ada")[1]

    assert books.borrow("w1", [Want(demand, 5_000_000_005)], time.time_ns()).granted
    (entry,) = entries(settings.data_dir)
    assert (entry.action, entry.subject, entry.by) == ("budget.top_up", "budget:all", "ada")
    assert (entry.detail["amount"], entry.detail["reason"]) == ("5 USD", "launch")
    assert books.top_ups() == (made,)
    books.close()


def test_a_top_up_that_cannot_be_made_is_noted_as_failed(settings):
    lost = Settings(
        **{name: getattr(settings, name) for name in settings.__struct_fields__}
        | {"ledger": LedgerSettings(url="redis://127.0.0.1:1/0")}
    )
    with pytest.raises(LedgerError, match="does not answer"):
        top_up(lost, wish(budget="all", scope=""), by="ada")


def test_without_a_store_budgets_are_told_and_forecasts_are_not(settings):
    books = books_of(settings)
    books.post([Page("w1", 1, (Posting("budget:all", "USD", 7, 0),))], time.time_ns())
    books.close()

    told = budget_status(settings)

    assert [(one.budget, one.scope, one.spent) for one in told.standings] == [
        ("all", "", 7),
        ("teams", "team=search", 0),
    ]
    assert told.without_forecast
    _, past, without = budget_history(settings, "all")
    assert [(one.spent, one.by) for one in past] == [(7, "ledger")]
    assert without

"""The books are put back to what a real store has, and nothing is booked twice afterwards."""

import time

import pytest

from exporters.ledger.rebuilding import plan, rebuild
from exporters.reports.store import StoreReader
from policies.compiled import Budget, Window
from policies.ledger.books import Page, Posting
from policies.ledger.sqlite_books import SqliteBooks
from tests.fakes.report_store import report_store

pytestmark = pytest.mark.real

NOW_NS = time.time_ns()
DAY_NS = 86_400 * 10**9
TODAY = "budget:team@2026-11-24T00:00:00Z"
ALWAYS = "budget:all"
BUDGETS = {
    "budget:team": Budget(name="team", policy="budget:team", unit="USD", limit=10**9, window=Window(shape="day")),
    "budget:all": Budget(name="all", policy="budget:all", unit="USD", limit=10**9, window=Window(shape="total")),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with report_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def ask(store):
    store.run("TRUNCATE TABLE calls")
    reader = StoreReader(store.settings)
    yield reader.rows
    reader.close()


@pytest.fixture
def books(tmp_path):
    books = SqliteBooks(tmp_path / "ledger.sqlite")
    yield books
    books.close()


def row(number, journal, segment, at_ns=NOW_NS, **draws):
    names = {"team": TODAY, "all": ALWAYS, "old": "budget:gone@2020-01-01T00:00:00Z"}
    return {
        "call_id": f"{number:032x}", "started_at": f"{at_ns / 1e9:.9f}", "journal": journal, "segment": segment,
        "draws": {names[name]: amount for name, amount in draws.items()},
    }  # fmt: skip


def post(books, instance, segment, **amounts):
    names = {"team": TODAY, "all": ALWAYS}
    postings = tuple(Posting(names[name], "USD", amount, amount) for name, amount in amounts.items())
    books.post([Page(instance, segment, postings)], NOW_NS)


def test_a_rebuilding_sets_what_the_store_has_and_later_postings_add_only_what_is_new(books, ask, store):
    post(books, "w1", 1, all=900)
    store.add([row(1, "w1", 1, team=5, all=5), row(2, "w1", 2, team=6, all=6, old=3), row(3, "w2", 1, all=7)])

    planned = plan(books, ask, BUDGETS, now_ns=NOW_NS, kept_days=None)
    assert {line.counter: (line.ledger, line.store, line.unit) for line in planned.changes} == {
        ALWAYS: (900, 18, "USD"),
        TODAY: (0, 11, "USD"),
    }
    assert rebuild(books, planned, now_ns=NOW_NS) == ()

    post(books, "w1", 2, team=6, all=6)
    post(books, "w2", 1, all=7)
    post(books, "w2", 2, all=1)
    assert {one.counter: one.spent for one in books.recorded()} == {ALWAYS: 19, TODAY: 11}


def test_a_rebuilding_waits_for_a_store_that_is_behind_unless_it_is_forced(books, ask, store):
    post(books, "w1", 1, all=5)
    post(books, "w1", 2, all=6)
    store.add([row(1, "w1", 1, all=5)])
    planned = plan(books, ask, BUDGETS, now_ns=NOW_NS, kept_days=None)

    assert rebuild(books, planned, now_ns=NOW_NS) == ("w1",)
    assert [one.spent for one in books.recorded()] == [11]
    assert rebuild(books, planned, now_ns=NOW_NS, force=True) == ()
    assert [one.spent for one in books.recorded()] == [5]

"""The books are put back to what a real store has, and nothing is booked twice afterwards."""

import pytest

from exporters.ledger.rebuilding import plan, rebuild
from exporters.reports.store import StoreReader
from policies.compiled import Budget, Window
from policies.ledger.sqlite_books import SqliteBooks
from tests.fakes.booked_rows import ALWAYS, NOW_NS, TODAY, post, row
from tests.fakes.report_store import report_store

pytestmark = pytest.mark.real

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

"""The books against the rows of a real store: what is not there yet is no drift, what differs is."""

import pytest

from exporters.ledger.comparing import compare
from exporters.reports.store import StoreReader
from policies.demand import Demand
from policies.ledger.books import Want
from policies.ledger.sqlite_books import SqliteBooks
from tests.fakes.booked_rows import ALWAYS, DAY_NS, NOW_NS, TODAY, post, row
from tests.fakes.report_store import report_store

pytestmark = pytest.mark.real


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


def drifts(comparison):
    return {line.counter: line.drift for line in comparison.drifting}


def compared(books, ask, **more):
    return compare(books, ask, now_ns=NOW_NS, kept_days=None, **more)


def test_what_both_have_is_the_same_to_the_digit(books, ask, store):
    post(books, "w1", 1, team=2**52 + 1, all=7)
    post(books, "w1", 3, team=2)
    post(books, "w2", 1, all=5)
    store.add([row(1, "w1", 1, team=2**52 + 1, all=3), row(2, "w1", 1, all=4), row(3, "w1", 3, team=2)])
    store.add([row(4, "w2", 1, all=5)])

    found = compared(books, ask)

    assert {line.counter: line.store for line in found.lines} == {TODAY: 2**52 + 3, ALWAYS: 12}
    assert (drifts(found), found.behind) == ({}, ())


def test_what_the_ledger_does_not_have_yet_is_no_drift(books, ask, store):
    post(books, "w1", 1, team=5)
    store.add([row(1, "w1", 1, team=5), row(2, "w1", 2, team=50), row(3, "new", 1, team=500)])

    assert drifts(compared(books, ask)) == {}


def test_a_store_that_is_behind_is_told_with_its_difference(books, ask, store):
    post(books, "w1", 1, team=5)
    post(books, "w1", 2, team=6)
    store.add([row(1, "w1", 1, team=5)])

    found = compared(books, ask)

    assert (drifts(found), found.behind) == ({TODAY: 6}, ("w1",))


def test_a_row_that_only_one_of_both_has_is_a_drift(books, ask, store):
    post(books, "w1", 2, team=5, all=5)
    store.add([row(1, "w1", 1, team=1), row(2, "w1", 2, team=5, all=7)])

    assert drifts(compared(books, ask)) == {TODAY: -1, ALWAYS: -2}


def test_journals_that_the_books_have_forgotten_count_in_full(books, ask, store):
    post(books, "w1", 1, all=5)
    store.add([row(1, "w1", 1, all=5), row(2, "ancient", 9, at_ns=NOW_NS - 60 * DAY_NS, all=70)])

    assert drifts(compared(books, ask)) == {ALWAYS: -70}


def test_counters_from_before_the_oldest_rows_are_left_out(books, ask):
    post(books, "w1", 1, all=5)

    found = compare(books, ask, now_ns=NOW_NS, kept_days=30)

    assert (found.lines, found.left) == ((), 1)


def test_only_wanted_counters_are_compared(books, ask):
    books.borrow("w1", [Want(Demand(counter="budget:x", family="budget:x", policy="budget:x", unit="USD", amount=1, limit=9, stated=9), 1)], NOW_NS)  # fmt: skip
    post(books, "w1", 1, all=5)

    found = compared(books, ask, wanted=lambda one: one.counter == "budget:x")

    assert [line.counter for line in found.lines] == ["budget:x"]

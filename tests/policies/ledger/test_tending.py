"""A process that lives is heard of, and one that cannot be heard of spends nothing that others may have by then."""

import pytest

from policies.demand import Demand
from policies.ledger.books import BooksUnavailableError, Want
from policies.ledger.leases import LeasedLedger
from policies.ledger.tending import BEAT_S, LAPSE_S, Tending

NOW_NS = 1_795_000_000 * 10**9
CALL = Demand(counter="budget:b", family="budget:b", policy="budget:b", unit="USD", amount=10, limit=1000, stated=1000)


class Process:
    """What a worker's ledger has, without its event loop."""

    def __init__(self, books, name):
        self.books, self.name, self.now_ns = books, name, NOW_NS
        self.counters = {}
        self.tending = Tending(books, name, self.counters, lambda: self.now_ns)
        self.tending.apply(self.tending.glance()())

    def borrow(self, amount):
        counter = self.tending.counter(CALL)
        found = self.books.borrow(self.name, [Want(CALL, amount)], self.now_ns)
        counter.borrowed(CALL, found.standings[0])
        counter.used += amount if found.granted else 0
        return found.granted

    def look(self, now_s):
        """As the ledger does some times a second."""
        self.now_ns = NOW_NS + int(now_s * 10**9)
        self.tending.apply(self.tending.glance()())
        works = list(self.tending.due(now_s))
        for work in works:
            work()
        return len(works)

    @property
    def counter(self):
        return self.counters["budget:b"]


def heard_of_s(books, name):
    return next((one.seen_ns - NOW_NS) / 10**9 for one in books.lenders() if one.instance == name)


def test_a_process_whose_calls_only_last_is_heard_of_each_minute(open_books):
    process = Process(open_books(), "a")
    process.borrow(10)
    for now_s in range(1, 1000):
        process.look(float(now_s))
        assert now_s - heard_of_s(process.books, "a") <= BEAT_S
    assert process.counter.free >= 0


def test_between_two_beats_an_idle_process_asks_for_nothing(open_books):
    process = Process(open_books(), "a")
    process.borrow(10)
    for now_s in (BEAT_S, BEAT_S + 1, BEAT_S + 2):
        process.look(now_s)
    assert [process.look(BEAT_S + 2 + n) for n in range(1, 50)] == [0] * 49


def test_a_process_without_the_books_has_nothing_to_admit_from_before_it_may_be_forgotten(open_books):
    process = Process(open_books(), "a")
    process.borrow(10)
    process.look(1.0)
    process.tending.missed(LAPSE_S)
    assert process.counter.free >= 0
    process.tending.missed(LAPSE_S + 1.1)
    assert process.counter.free == -process.counter.used == -10


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_after_a_long_time_without_the_books_what_is_used_is_on_lease_once(open_books, is_forgotten):
    process, others = Process(open_books(), "a"), Process(open_books(), "b")
    process.borrow(10)
    process.look(1.0)
    process.tending.missed(LAPSE_S + 1.1)
    if is_forgotten:
        others.books.forget("a")
    for now_s in (400.0, 401.1, 402.2):
        process.look(now_s)
    assert process.counter.free == 0
    assert [one.leased for one in others.books.recorded()] == [10]
    assert not others.borrow(991)
    assert others.borrow(990)


async def test_a_worker_counts_how_long_the_books_have_not_answered(open_books, monkeypatch):
    ledger = LeasedLedger(open_books(), "a", clock=lambda: NOW_NS)
    await ledger.admit("1", [CALL], NOW_NS)
    await ledger.look()

    def away(*_):
        raise BooksUnavailableError("away")

    monkeypatch.setattr(ledger._books, "glance", away)
    await ledger.look()
    assert ledger.try_admit("2", [CALL], NOW_NS) is not None
    began_s = ledger._loop.time()
    monkeypatch.setattr(ledger._loop, "time", lambda: began_s + LAPSE_S + 1)
    await ledger.look()
    assert ledger.try_admit("3", [CALL], NOW_NS) is None
    monkeypatch.undo()
    await ledger.close()

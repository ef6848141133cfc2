"""What `taximeter ledger` asks and does, with real books, a real store, and a journal on the disk."""

import time
from decimal import Decimal

import msgspec
import pytest
import redis

from exporters.journal.reader import add_segment, list_segments
from exporters.ledger.sink import LedgerSink
from exporters.recorder.ports import Batch
from exporters.recorder.segments import PricedSegments
from policies.audit import entries
from policies.demand import Demand
from policies.ledger.books import Page, Posting, TopUp, Want
from policies.ledger.tending import BEAT_S, LAPSE_S
from proxy import app_ledger_asks as asks
from proxy.app_ledger import books_of
from proxy.app_ledger_budgets import TopUpWish, top_up
from proxy.core.pricing import Priced
from proxy.core.record import Draw
from proxy.settings import LedgerSettings, Listen, Settings, StoreSettings
from tests.fakes.records import call
from tests.fakes.redis_server import PROGRAM, WHY_NOT, running_redis
from tests.fakes.report_store import report_store

NOW_NS = time.time_ns()
ALL = "budget:all"
POLICY = "version: 1\nbudgets:\n  all: {limit: 5 USD, window: total}\n"


class Flat:
    """A price list by which every attempt costs the same."""

    def price(self, attempt, call):
        return Priced(amount=Decimal("0.001"), currency="USD")


def make_settings(folder, **more):
    here = Listen("127.0.0.1", 0)
    (folder / "p.yaml").write_text(POLICY)
    fields = {"store": StoreSettings(url="http://127.0.0.1:1", user="u", password="p"), **more}
    return Settings(
        listen=here, admin=here, data_dir=folder, workers=1, providers=(), policy_files=(str(folder / "p.yaml"),), **fields
    )  # fmt: skip


def post(settings, instance, segment, amount):
    books = books_of(settings)
    books.post([Page(instance, segment, (Posting(ALL, "USD", amount, amount),))], NOW_NS)
    books.close()


def spent(settings):
    books = books_of(settings)
    found = {one.counter: one.spent for one in books.recorded()}
    books.close()
    return found


def row(number, journal, segment, amount):
    return {"call_id": f"{number:032x}", "started_at": f"{NOW_NS / 1e9:.9f}", "journal": journal, "segment": segment,
            "draws": {ALL: amount}}  # fmt: skip


def in_journal(settings, instance, segment):
    """A sealed segment with one call, which uses a thousandth of a dollar."""
    record = call(segment, draws=(Draw(counter=ALL, unit="USD", held=9),))
    (settings.journal_dir / instance).mkdir(parents=True, exist_ok=True)
    add_segment(settings.journal_dir, instance, segment, [record])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with report_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def settings(tmp_path, store):
    store.run("TRUNCATE TABLE calls")
    return make_settings(tmp_path, store=store.settings)


def test_a_ledger_tells_its_counters_and_processes(tmp_path):
    settings = make_settings(tmp_path)
    post(settings, "w1", 3, 7)

    found = asks.ledger_status(settings)

    assert (found.error, found.is_lost) == ("", False)
    assert [(one.counter, one.spent) for one in found.counters] == [(ALL, 7)]
    assert [(one.instance, one.posted_up_to) for one in found.processes] == [("w1", 3)]


def test_one_that_cannot_be_reached_says_so(tmp_path):
    found = asks.ledger_status(make_settings(tmp_path, ledger=LedgerSettings(url="redis://127.0.0.1:1/0")))
    assert "does not answer" in found.error
    assert found.backend == "redis redis://127.0.0.1:1/0"


def test_a_process_that_is_gone_is_forgotten_and_noted(tmp_path):
    settings = make_settings(tmp_path)
    books = books_of(settings)
    demand = Demand(counter=ALL, family=ALL, policy=ALL, unit="USD", amount=5, limit=9, stated=9)
    books.borrow("far", [Want(demand, 5)], NOW_NS)

    with pytest.raises(asks.LedgerError, match="add --force"):
        asks.forget(settings, "far", by="ada")
    with pytest.raises(asks.LedgerError, match="knows no process near"):
        asks.forget(settings, "near", by="ada", force=True)
    assert asks.forget(settings, "far", by="ada", force=True).leases == 1

    assert [one.leased for one in books.recorded()] == [0]
    assert [(one.action, one.subject, one.by) for one in entries(tmp_path)] == [("ledger.forget", "far", "ada")]
    books.close()


def test_nobody_can_be_forgotten_who_still_lives_by_the_ledger():
    """A live one is heard of each minute; one that is cut off has nothing free by the time at which it may be forgotten."""
    assert asks.ALIVE_S >= BEAT_S + LAPSE_S + BEAT_S


def test_a_process_of_this_machine_is_left_to_the_recorder(tmp_path):
    settings = make_settings(tmp_path)
    post(settings, "w1", 1, 5)
    (settings.journal_dir / "w1").mkdir(parents=True)

    with pytest.raises(asks.LedgerError, match="the recorder frees its leases"):
        asks.forget(settings, "w1", by="ada", force=True)


@pytest.mark.real
def test_a_comparison_is_exact_and_names_what_is_under_way(settings, store):
    post(settings, "w1", 1, 2**52 + 1)
    store.add([row(1, "w1", 1, 2**52 + 1)])
    assert asks.compared(settings).drifting == ()

    post(settings, "w1", 2, 3)
    found = asks.compared(settings)
    assert ([one.drift for one in found.drifting], found.proven, found.behind) == ([3], (), ("w1",))

    store.add([row(2, "w1", 2, 4)])
    assert [one.drift for one in asks.compared(settings).proven] == [-1]


@pytest.mark.real
def test_a_rebuilding_counts_what_only_the_journal_has_and_nothing_twice(settings, store):
    post(settings, "w1", 1, 999)
    store.add([row(1, "w1", 1, 5)])
    in_journal(settings, "w1", 1)
    in_journal(settings, "w1", 2)

    assert asks.rebuilding(settings, Flat()).plan.changes[0].store == 1_000_005
    assert spent(settings) == {ALL: 999}
    assert asks.rebuilt(settings, Flat(), by="ada").ahead == ()
    assert spent(settings) == {ALL: 1_000_005}

    post(settings, "w1", 2, 1_000_000)
    store.add([row(2, "w1", 2, 1_000_000)])
    assert spent(settings) == {ALL: 1_000_005}
    assert asks.compared(settings).drifting == ()


@pytest.mark.real
def test_what_another_machine_has_booked_and_nobody_has_is_waited_for(settings, store):
    post(settings, "far", 1, 5)
    post(settings, "far", 2, 6)
    store.add([row(1, "far", 1, 5)])
    waits = []

    assert asks.rebuilt(settings, Flat(), by="ada", pause=waits.append).ahead == ("far",)
    assert (spent(settings), len(waits)) == ({ALL: 11}, 4)

    def arrives(_s):
        store.add([row(2, "far", 2, 7)])

    assert asks.rebuilt(settings, Flat(), by="ada", pause=arrives).ahead == ()
    assert spent(settings) == {ALL: 12}


@pytest.mark.real
@pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)
def test_a_redis_that_lost_its_data_is_put_back_to_the_last_digit(settings, store, tmp_path):
    with running_redis(tmp_path) as server:
        settings = msgspec.structs.replace(settings, ledger=LedgerSettings(url=server.url))
        books = books_of(settings, durable=True)
        amounts = [2**52 + 1, 7, 10**15 + 3]
        for number, amount in enumerate(amounts, 1):
            books.post([Page("w1", number, (Posting(ALL, "USD", amount, 0),))], NOW_NS)
            store.add([row(number, "w1", number, amount)])
        made = top_up(settings, TopUpWish(budget="all", scope="", amount="5USD", reason="launch"), by="ada")[1]
        in_journal(settings, "w1", 4)

        redis.Redis.from_url(server.url).flushall()
        assert asks.ledger_status(settings).is_lost
        with pytest.raises(asks.LedgerError, match="taximeter ledger rebuild"):
            asks.compared(settings)

        done = asks.rebuilt(settings, Flat(), by="ada")
        assert (done.ahead, [one.reason for one in done.top_ups]) == ((), ["launch"])
        assert spent(settings) == {ALL: sum(amounts) + 1_000_000}
        again = books_of(settings)
        assert again.top_ups() == (made,)

        # The recorder, which knew the old books, goes on where it was.
        calls = list(PricedSegments(Flat()).get(_segment(settings, "w1", 4), "ledger").calls)
        sink = LedgerSink(books)
        with pytest.raises(Exception, match="rebuilt a moment ago"):
            sink.deliver(Batch(instance="w1", number=4, token="t", calls=calls))
        sink.deliver(Batch(instance="w1", number=4, token="t", calls=calls))
        store.add([row(4, "w1", 4, 1_000_000)])
        assert asks.compared(settings).drifting == ()
        assert asks.compared(settings).behind == ()
        again.close()
        books.close()


def _segment(settings, instance, number):
    return list_segments(settings.journal_dir, instance).sealed[number]


def test_top_ups_that_failed_are_not_put_back(tmp_path):
    settings = make_settings(tmp_path, ledger=LedgerSettings(url="redis://127.0.0.1:1/0"))
    one = {"whole": "5", "at_ns": "1000", "reason": "r"}
    asks.note(tmp_path, asks.TOP_UP, ALL, by="ada", **one)
    asks.note(tmp_path, asks.TOP_UP, ALL, by="ada", **one | {"at_ns": "2000"})
    asks.note(tmp_path, asks.TOP_UP_FAILED, ALL, by="ada", **one | {"at_ns": "2000"})
    asks.note(tmp_path, asks.TOP_UP, ALL, by="ada", whole="many")

    assert asks.noted_top_ups(settings) == (TopUp(family=ALL, amount=5, reason="r", by="ada", at_ns=1000),)

"""What only books in a Redis can meet: a server that restarts, forgets, hangs, asks for TLS, or is one of a cluster."""

import socket
import time

import pytest
import redis
from redis.crc import key_slot

from policies.demand import Admitted, Demand
from policies.ledger.books import BooksLostError, BooksUnavailableError, Page, Posting, Want
from policies.ledger.leases import LeasedLedger
from policies.ledger.redis_books import CLOSED_MS, RedisBooks
from policies.ledger.redis_link import RedisOptions
from tests.fakes.certificates import make_pair
from tests.fakes.redis_server import PROGRAM, WHY_NOT, running_redis

pytestmark = [pytest.mark.real, pytest.mark.skipif(PROGRAM is None, reason=WHY_NOT)]

MINUTE_NS = 60 * 10**9
NOW_NS = 1_795_000_000 * 10**9
COUNTER = "budget:b@2026-11-24T00:00:00Z"


def demand(amount=0, limit=1000):
    return Demand(
        counter=COUNTER, family="budget:b", policy="budget:b", unit="USD", amount=amount, limit=limit, stated=limit,
        starts_at_ns=NOW_NS, ends_at_ns=NOW_NS + MINUTE_NS,
    )  # fmt: skip


def borrow(books, need, instance="a"):
    return books.borrow(instance, [Want(demand(), need)], NOW_NS)


def page(segment, amount):
    return Page("a", segment, (Posting(counter=COUNTER, unit="USD", spent=amount, set_aside=amount),))


@pytest.fixture
def server(tmp_path):
    """One of its own, which the test may harm."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as server:
        yield server


@pytest.fixture
def open_books(server, tmp_path):
    opened = []

    def open_books(machine="one", **options):
        opened.append(RedisBooks(RedisOptions(url=server.url, **options), epoch_file=tmp_path / machine / "epoch"))
        return opened[-1]

    yield open_books
    for books in opened:
        books.close()


def wait_until_open():
    time.sleep(CLOSED_MS / 1000 + 0.1)


def test_a_server_that_lost_its_data_is_not_taken_for_a_new_one(server, open_books):
    books = open_books()
    borrow(books, 100)
    server.stop()
    with pytest.raises(BooksUnavailableError):
        borrow(books, 1)

    server.start()

    for later in (books, open_books()):
        with pytest.raises(BooksLostError, match="taximeter ledger rebuild"):
            borrow(later, 1)
        with pytest.raises(BooksLostError):
            later.post([page(1, 5)], NOW_NS)


def test_rebuilt_books_are_taken_by_all_who_knew_the_old_ones(server, open_books):
    books, other, operator = open_books(), open_books("two"), open_books()
    borrow(books, 100)
    borrow(other, 100, "b")
    server.stop()
    server.start()

    assert operator.rebuild({COUNTER: 40}, {COUNTER: "USD"}, {"a": 2}, NOW_NS) == ()

    for one in (books, other):
        with pytest.raises(BooksLostError, match="a moment ago"):
            one.glance("a", 0)
        assert one.glance("a", 0).standings == ()
    with pytest.raises(BooksUnavailableError, match="a moment ago"):
        borrow(other, 1, "b")
    books.cover("a", {COUNTER: 60}, NOW_NS)
    books.post([page(2, 5), page(3, 7)], NOW_NS)
    wait_until_open()
    answer = borrow(other, 0, "b")
    assert (answer.standings[0].spent, answer.standings[0].leased) == (47, 48)


def test_books_that_a_new_machine_began_are_not_taken_for_the_old_ones(server, open_books):
    books = open_books()
    borrow(books, 100)
    server.stop()
    server.start()
    borrow(open_books("new"), 100, "b")

    with pytest.raises(BooksLostError):
        borrow(books, 1)
    assert books.rebuild({COUNTER: 40}, {COUNTER: "USD"}, {}, NOW_NS) == ()
    with pytest.raises(BooksUnavailableError, match="a moment ago"):
        borrow(books, 1)


def test_a_flush_is_a_loss_too(server, open_books):
    books = open_books()
    borrow(books, 100)

    redis.Redis(port=server.port).flushall()

    with pytest.raises(BooksLostError):
        books.glance("a", 0)


async def test_a_worker_puts_what_its_calls_hold_on_lease_again_before_anything_is_lent(server, open_books):
    ledger, other = LeasedLedger(open_books(), "a"), open_books("two")
    assert isinstance(await ledger.admit("1", [demand(700)], NOW_NS), Admitted)
    server.stop()
    server.start()
    await ledger.look()
    assert (await ledger.admit("2", [demand(1)], NOW_NS)).unavailable

    other.rebuild({COUNTER: 100}, {COUNTER: "USD"}, {}, NOW_NS)
    for _ in range(2):
        await ledger.look()

    assert [(one.spent, one.leased) for one in other.recorded()] == [(100, 700)]
    wait_until_open()
    assert isinstance(await ledger.admit("3", [demand(200)], NOW_NS), Admitted)
    assert not isinstance(await ledger.admit("4", [demand(1)], NOW_NS), Admitted)
    await ledger.close()


def test_a_script_that_the_server_does_not_know_is_sent_again(server, open_books):
    books = open_books()
    assert borrow(books, 1).granted

    redis.Redis(port=server.port).script_flush()

    assert borrow(books, 500).granted


def test_a_connection_that_was_closed_meanwhile_costs_no_call(server, open_books):
    books = open_books()
    assert borrow(books, 1).granted

    redis.Redis(port=server.port).client_kill_filter(_type="normal", skipme=True)

    assert borrow(books, 500).granted
    assert books.post([page(1, 3)], NOW_NS) == 1


def test_a_step_that_arrives_after_a_later_one_is_not_done(server, open_books):
    books = open_books()
    lease = borrow(books, 100).standings[0].lease
    books._serial = 0

    books.give_back("a", {COUNTER: 50}, NOW_NS)

    assert [one.leased for one in books.recorded()] == [lease]


def test_a_server_that_hangs_is_given_up_in_time(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        books = RedisBooks(RedisOptions(url=url, timeout_s=0.1))

        with pytest.raises(BooksUnavailableError, match="does not answer"):
            borrow(books, 1)


def test_a_server_without_memory_is_no_ledger(server, open_books):
    books = open_books()
    borrow(books, 1)
    redis.Redis(port=server.port).config_set("maxmemory", 1)

    with pytest.raises(BooksUnavailableError):
        borrow(books, 500)


def test_ledgers_of_different_names_share_nothing(open_books):
    borrow(open_books(name="one"), 900)

    assert borrow(open_books("other", name="two"), 900).granted


def test_a_counter_goes_some_time_after_its_window(server, open_books):
    books = open_books()
    borrow(books, 1)

    client = redis.Redis(port=server.port)
    kept_s = client.expiretime(f"{{taximeter}}:c:{COUNTER}")

    assert kept_s == (NOW_NS + MINUTE_NS) // 10**9 + 40 * 86_400
    client.delete(f"{{taximeter}}:c:{COUNTER}")
    assert books.recorded() == ()


def test_all_keys_are_in_one_slot(server, open_books):
    books = open_books()
    borrow(books, 1)
    books.post([page(1, 1)], NOW_NS)

    keys = list(redis.Redis(port=server.port).scan_iter())

    assert len(keys) > 5
    assert len({key_slot(key) for key in keys}) == 1


def test_a_cluster_will_do(tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    with running_redis(folder, "--cluster-enabled", "yes") as server:
        client = redis.Redis(port=server.port)
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        deadline_s = time.monotonic() + 10
        while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO") and time.monotonic() < deadline_s:
            time.sleep(0.05)
        books = RedisBooks(RedisOptions(url=server.url, cluster=True))

        assert borrow(books, 900).granted
        books.post([page(1, 5)], NOW_NS)
        assert [one.spent for one in books.recorded()] == [5]
        books.close()


def test_tls_is_spoken_and_checked(tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    pair = make_pair(folder, "redis")
    with running_redis(folder, tls=pair) as server:
        trusting = RedisBooks(RedisOptions(url=server.url, tls_ca_file=pair.cert))
        assert borrow(trusting, 1).granted
        trusting.close()

        with pytest.raises(BooksUnavailableError, match="certificate"):
            borrow(RedisBooks(RedisOptions(url=server.url)), 1)

"""What holds of the books, wherever they are kept: one module for a file and for a Redis."""

import threading

import pytest

from policies.demand import MAX_AMOUNT, Carry, Demand
from policies.ledger.books import Page, Posting, TopUp, Want

MINUTE_NS = 60 * 10**9
NOW_NS = 1_795_000_000 * 10**9
COUNTER = "budget:b@2026-11-24T00:00:00Z"


@pytest.fixture
def books(open_books):
    return open_books()


def demand(amount=0, limit=1000, counter=COUNTER, **fields):
    values = {"policy": "budget:b", "unit": "USD", "stated": limit, "ends_at_ns": NOW_NS + MINUTE_NS}
    return Demand(
        counter=counter, family=counter.rpartition("@")[0] or counter, amount=amount, limit=limit, **values | fields
    )


def borrow(books, need, instance="a", now_ns=NOW_NS, **fields):
    """One want; whether it was met, and the standing."""
    answer = books.borrow(instance, [Want(demand(**fields), need)], now_ns)
    return answer.granted, answer.standings[0]


def page(segment, spent, set_aside, instance="a", counter=COUNTER):
    return Page(instance, segment, (Posting(counter=counter, unit="USD", spent=spent, set_aside=set_aside),))


def figures(books, counter=COUNTER):
    return {one.counter: (one.spent, one.leased) for one in books.recorded()}[counter]


def test_far_from_the_cap_more_is_lent_than_needed_and_near_it_no_more_than_that(books):
    granted, standing = borrow(books, 100)
    assert (granted, standing.lease, standing.room) == (True, 100 + 900 // 16, 900 - 900 // 16)

    granted, standing = borrow(books, standing.room, "b")
    assert (granted, standing.room) == (True, 0)
    assert borrow(books, 1, "c")[0] is False


def test_all_wants_are_met_or_none(books):
    other = demand(counter="budget:other@2026-11-24T00:00:00Z", limit=5)

    answer = books.borrow("a", [Want(demand(), 10), Want(other, 6)], NOW_NS)

    assert not answer.granted
    assert [standing.lease for standing in answer.standings] == [0, 0]
    assert answer.standings[1].frees_at_ns == NOW_NS + MINUTE_NS


def test_two_wants_of_one_counter_are_counted_together(books):
    assert not books.borrow("a", [Want(demand(), 600), Want(demand(), 600)], NOW_NS).granted
    assert books.borrow("a", [Want(demand(), 500), Want(demand(), 500)], NOW_NS).granted
    assert figures(books) == (0, 1000)


def test_figures_of_63_bits_are_exact(books):
    limit = MAX_AMOUNT
    assert borrow(books, limit - 1, limit=limit)[0]
    assert borrow(books, 2, "b", limit=limit)[0] is False
    assert borrow(books, 1, "b", limit=limit)[0]
    assert figures(books) == (0, MAX_AMOUNT)

    books.post([page(1, limit - 3, limit - 1)], NOW_NS)

    assert figures(books) == (limit - 3, 1)
    granted, standing = borrow(books, 0, "c", limit=limit)
    assert (granted, standing.room) == (True, 2)


def test_a_page_is_booked_once_and_takes_off_the_lease_what_was_set_aside(books):
    lease = borrow(books, 100)[1].lease

    assert books.post([page(1, 30, 40), page(2, 5, 6)], NOW_NS) == 2
    assert books.post([page(1, 30, 40), page(2, 5, 6), page(3, 1, 1)], NOW_NS) == 1

    standing = borrow(books, 0)[1]
    assert (standing.spent, standing.lease, standing.posted) == (36, lease - 47, 47)
    assert standing.leased == standing.lease


def test_what_was_used_beyond_the_lease_was_never_on_it(books):
    lease = borrow(books, 100)[1].lease

    books.post([page(1, 500, 500)], NOW_NS)

    standing = borrow(books, 0)[1]
    assert (standing.spent, standing.lease, standing.posted) == (500, 0, 500)
    assert lease < 500
    books.cover("a", {COUNTER: 600}, NOW_NS)
    assert borrow(books, 0, "b")[1].room == -100


def test_a_posting_of_an_unknown_process_is_spent_all_the_same(books):
    books.post([page(1, 7, 9, instance="nobody")], NOW_NS)

    assert figures(books) == (7, 0)


def test_a_process_that_is_forgotten_leaves_no_lease(books):
    borrow(books, 100)
    borrow(books, 100, "b")

    books.forget("a")
    books.forget("a")

    spent, leased = figures(books)
    assert (spent, leased) == (0, borrow(books, 0, "b")[1].lease)


def test_no_more_comes_back_than_was_lent(books):
    lease = borrow(books, 100)[1].lease

    books.give_back("a", {COUNTER: lease + 50}, NOW_NS)

    assert figures(books) == (0, 0)


def test_a_glance_tells_what_changed_and_what_others_want(open_books):
    books, others = open_books(), open_books()
    start = books.glance("a", -1).at
    borrow(books, 900)
    first = books.glance("a", start)
    assert [standing.lease for standing in first.standings] == [900 + 100 // 16]
    assert not first.wanted
    assert books.glance("a", first.at).standings == ()

    assert borrow(others, 1000, "b")[0] is False
    second = books.glance("a", first.at)
    assert second.wanted == {COUNTER}

    others.post([page(1, 5, 6)], NOW_NS)
    third = books.glance("a", second.at)
    assert [(standing.spent, standing.posted) for standing in third.standings] == [(5, 6)]


def test_nobody_is_asked_for_what_would_not_help(open_books):
    books, others = open_books(), open_books()
    start = books.glance("a", -1).at
    borrow(books, 900)

    borrow(others, 1001, "b")

    assert not books.glance("a", start).wanted


def test_an_empty_lease_can_be_left_and_then_is_told_of_no_more(books):
    start = books.glance("a", -1).at
    lease = borrow(books, 10)[1].lease
    books.leave("a", [COUNTER])
    assert len(books.glance("a", start).standings) == 1

    books.give_back("a", {COUNTER: lease}, NOW_NS)
    books.leave("a", [COUNTER])

    assert books.glance("a", start).standings == ()


def test_top_ups_of_the_window_and_until_their_time_add_to_the_limit(books):
    def add(amount, at_ns, until_ns=None):
        books.top_up(TopUp(family="budget:b", amount=amount, reason="r", by="me", at_ns=at_ns, until_ns=until_ns))

    add(1, NOW_NS - 2 * MINUTE_NS)
    add(10, NOW_NS - MINUTE_NS)
    add(100, NOW_NS - 2 * MINUTE_NS, NOW_NS + 1000)
    add(1000, NOW_NS + MINUTE_NS)
    fields = {"top_ups": True, "starts_at_ns": NOW_NS - MINUTE_NS}

    assert borrow(books, 0, **fields)[1].allowed == 1110
    assert borrow(books, 0, now_ns=NOW_NS + 1000, **fields)[1].allowed == 1010
    assert borrow(books, 0)[1].allowed == 1000
    assert [one.amount for one in books.top_ups("budget:b")] == [1, 100, 10, 1000]
    assert books.top_ups("another") == ()
    assert len(books.top_ups()) == 4


def carrying(books, need, instance="a", now_ns=NOW_NS):
    carry = Carry(counter="budget:b@2026-11-23T00:00:00Z", limit=100, most=60)
    return borrow(books, need, instance, now_ns, limit=100, carry=carry)


def test_what_a_window_left_is_carried_over_up_to_the_most(books):
    borrow(books, 70, counter="budget:b@2026-11-23T00:00:00Z", limit=100)
    books.post([page(1, 70, 72, counter="budget:b@2026-11-23T00:00:00Z")], NOW_NS)

    assert carrying(books, 0)[1].allowed == 130
    assert carrying(books, 131)[0] is False


def test_a_counter_never_drawn_on_leaves_its_whole_limit(books):
    assert carrying(books, 0)[1].allowed == 160


def test_a_late_call_finds_no_room_that_the_next_window_has_lent_already(books):
    assert carrying(books, 160)[0]

    granted, standing = borrow(books, 1, "late", counter="budget:b@2026-11-23T00:00:00Z", limit=100)

    assert (granted, standing.room) == (False, 0)


def rolling(books, need, minute, instance="a"):
    names = [f"budget:r@2026-11-24T00:0{one}:00Z" for one in range(8)]
    return borrow(
        books, need, instance, counter=names[minute], also=tuple(names[minute - 2 : minute]), bucket_ns=MINUTE_NS,
        starts_at_ns=NOW_NS, ends_at_ns=NOW_NS + 3 * MINUTE_NS,
    )  # fmt: skip


def test_older_buckets_count_until_they_leave_the_window(books):
    assert rolling(books, 600, 2)[0]
    books.post([page(1, 600, 625, counter="budget:r@2026-11-24T00:02:00Z")], NOW_NS)
    assert rolling(books, 300, 3, "b")[0]

    granted, standing = rolling(books, 200, 4, "c")
    assert (granted, standing.older_spent, standing.older_leased) == (False, 600, 306)
    assert standing.frees_at_ns == NOW_NS + MINUTE_NS
    assert standing.reclaimable == 306

    assert rolling(books, 200, 5, "c")[0]


def test_a_late_call_of_an_older_bucket_leaves_the_newer_ones_what_they_have(books):
    assert rolling(books, 900, 3)[0]

    assert rolling(books, 95, 2, "late")[0] is False
    assert rolling(books, 94, 2, "late")[0]
    assert rolling(books, 1, 4, "b")[0] is False


RATE = {"kind": "rate", "unit": "calls", "counter": "limit:rpm", "per_ns": MINUTE_NS, "ends_at_ns": None}


def test_a_bucket_gives_its_capacity_and_then_what_it_gains(books):
    assert borrow(books, 60, limit=60, **RATE)[0]
    granted, standing = borrow(books, 1, limit=60, **RATE)
    assert (granted, standing.frees_at_ns) == (False, NOW_NS + 10**9)

    assert borrow(books, 1, "b", NOW_NS + 10**9 - 1000, limit=60, **RATE)[0] is False
    assert borrow(books, 1, "b", NOW_NS + 10**9, limit=60, **RATE)[0]
    # A third of a token's time is not lost.
    assert borrow(books, 1, "b", NOW_NS + 2 * 10**9 + 10**9 // 3, limit=60, **RATE)[0]
    assert borrow(books, 1, "b", NOW_NS + 3 * 10**9, limit=60, **RATE)[0]


def test_what_is_lent_of_a_bucket_and_may_be_unused_is_not_refilled(books):
    granted, standing = borrow(books, 1, limit=6000, **RATE)
    assert (granted, standing.lease) == (True, 11)

    later_ns = NOW_NS + MINUTE_NS
    assert borrow(books, 5991, "b", later_ns, limit=6000, **RATE)[0] is False
    books.give_back("a", {"limit:rpm": 10}, later_ns)
    assert borrow(books, 6000, "b", later_ns, limit=6000, **RATE)[0]


def test_a_bucket_takes_back_what_was_not_used_and_claims_what_was_used_beyond(books):
    borrow(books, 60, limit=60, **RATE)

    books.give_back("a", {"limit:rpm": 20}, NOW_NS)
    assert borrow(books, 0, limit=60, **RATE)[1].room == 20
    books.give_back("a", {"limit:rpm": -50}, NOW_NS)
    granted, standing = borrow(books, 1, limit=60, **RATE)
    assert (granted, standing.room, standing.frees_at_ns) == (False, -30, NOW_NS + 31 * 10**9)


def test_a_clock_that_was_far_ahead_does_not_stop_a_bucket_for_long(books):
    borrow(books, 60, now_ns=NOW_NS + 3 * 3600 * 10**9, limit=60, **RATE)

    assert borrow(books, 1, limit=60, **RATE)[0] is False
    assert borrow(books, 1, now_ns=NOW_NS + 10**9, limit=60, **RATE)[0]


def test_a_clock_a_little_behind_gains_nothing_and_loses_nothing(books):
    borrow(books, 60, limit=60, **RATE)

    assert borrow(books, 1, now_ns=NOW_NS - 10**9, limit=60, **RATE)[0] is False
    assert borrow(books, 1, now_ns=NOW_NS + 10**9, limit=60, **RATE)[0]


def test_a_large_bucket_is_filled_to_the_token(books):
    stated = 999_999_999_937
    large = RATE | {"per_ns": 24 * 3600 * 10**9}
    borrow(books, stated, limit=stated, **large)

    later_ns = NOW_NS + 12_345_678_912_000
    standing = borrow(books, 0, now_ns=later_ns, limit=stated, **large)[1]

    assert standing.room == 12_345_678_912 * stated // (24 * 3600 * 10**6)


def test_an_observed_budget_is_lent_beyond_its_limit(books):
    granted, standing = borrow(books, 1500, enforce="observe")

    assert (granted, standing.room < 0) == (True, True)


def test_an_observed_bucket_is_none_the_worse_for_what_it_would_have_refused(books):
    borrow(books, 60, limit=60, enforce="observe", **RATE)
    granted, standing = borrow(books, 5, limit=60, enforce="observe", **RATE)
    assert (granted, standing.room) == (True, -5)

    assert borrow(books, 0, limit=60, enforce="observe", **RATE)[1].room == 0


def test_rebuilding_sets_what_was_spent_and_does_not_book_twice_what_it_includes(books):
    lease = borrow(books, 100)[1].lease
    books.post([page(1, 10, 10)], NOW_NS)

    assert books.rebuild({COUNTER: 45}, {COUNTER: "USD"}, {}, NOW_NS) == ("a",)
    assert figures(books) == (10, lease - 10)
    assert books.rebuild({COUNTER: 45, "budget:new": 3}, {"budget:new": "EUR"}, {"a": 3}, NOW_NS) == ()

    books.post([page(2, 20, 21), page(3, 15, 15), page(4, 1, 2)], NOW_NS)
    assert figures(books) == (46, lease - 48)
    assert figures(books, "budget:new") == (3, 0)
    assert {one.counter: one.unit for one in books.recorded()} == {COUNTER: "USD", "budget:new": "EUR"}


def test_processes_are_listed_with_what_they_have(books):
    borrow(books, 100)
    books.post([page(7, 1, 1, instance="b")], NOW_NS + 1000)

    found = {one.instance: (one.posted_up_to, one.seen_ns, one.leases) for one in books.lenders()}

    assert found == {"a": (0, NOW_NS, 1), "b": (7, NOW_NS + 1000, 0)}


def test_counters_of_a_family_are_found_with_their_window(books):
    borrow(books, 1, starts_at_ns=NOW_NS - MINUTE_NS)
    borrow(books, 1, counter="budget:other", ends_at_ns=None)
    borrow(books, 1, limit=60, **RATE)

    (found,) = books.recorded("budget:b")
    assert (found.counter, found.unit, found.allowed) == (COUNTER, "USD", 1000)
    assert (found.starts_at_ns, found.ends_at_ns) == (NOW_NS - MINUTE_NS, NOW_NS + MINUTE_NS)
    assert [one.counter for one in books.recorded()] == [COUNTER, "budget:other"]


def test_many_that_borrow_at_once_never_get_more_than_there_is(open_books):
    got = []

    def worker(name):
        books = open_books()
        for _ in range(30):
            granted, standing = borrow(books, 7, name)
            if granted:
                got.append((name, standing.lease))

    threads = [threading.Thread(target=worker, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    most = {name: max(lease for of, lease in got if of == name) for name in dict(got)}
    assert 1000 - 7 < sum(most.values()) <= 1000

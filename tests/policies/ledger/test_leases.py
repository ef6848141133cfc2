"""The worker's ledger over real books of either kind, several workers on the same ones."""

import asyncio
import random

import pytest

from policies.demand import Admitted, Demand, Refused
from policies.ledger.books import BooksUnavailableError, Page, Posting
from policies.ledger.leases import LeasedLedger

MINUTE_NS = 60 * 10**9
NOW_NS = 1_795_000_000 * 10**9


def demand(amount, limit=1000, counter="budget:b@2026-11-24T00:00:00Z", **fields):
    family = counter.rpartition("@")[0]
    values = {"policy": "budget:b", "unit": "USD", "limit": limit, "stated": limit, "ends_at_ns": NOW_NS + MINUTE_NS}
    return Demand(counter=counter, family=family, amount=amount, **values | fields)


@pytest.fixture
async def workers(open_books):
    """Makes workers on the same books; all are closed at the end."""
    made = []

    def worker(name, **options):
        made.append(LeasedLedger(open_books(), name, clock=lambda: NOW_NS, **options))
        return made[-1]

    yield worker
    for ledger in made:
        await ledger.close()


def spent_and_leased(books, counter="budget:b@2026-11-24T00:00:00Z"):
    found = {one.counter: one for one in books.recorded()}
    return (found[counter].spent, found[counter].leased)


async def test_a_call_that_fits_is_admitted_and_the_next_one_needs_no_books(workers):
    ledger = workers("a")

    assert ledger.try_admit("1", [demand(10)], NOW_NS) is None
    assert isinstance(await ledger.admit("1", [demand(10)], NOW_NS), Admitted)
    assert ledger.try_admit("2", [demand(10)], NOW_NS) == Admitted()


async def test_a_hard_cap_is_not_passed_by_workers_that_lease_at_the_same_time(workers):
    ledgers = [workers(name) for name in "abcd"]
    chance = random.Random(7)

    async def calls(ledger, name):
        admitted = 0
        for number in range(60):
            amount = chance.randrange(1, 40)
            answer = await ledger.admit(f"{name}{number}", [demand(amount)], NOW_NS)
            admitted += amount if isinstance(answer, Admitted) else 0
        return admitted

    held = await asyncio.gather(*(calls(ledger, name) for ledger, name in zip(ledgers, "abcd", strict=True)))

    assert 1000 - 40 < sum(held) <= 1000


async def test_what_another_worker_leases_and_does_not_use_is_given_back_for_a_call_that_fits(workers):
    idle, busy = workers("idle"), workers("busy")
    await idle.admit("1", [demand(10)], NOW_NS)
    idle.release("1", NOW_NS)

    answer = await busy.admit("2", [demand(1000)], NOW_NS)

    assert isinstance(answer, Admitted)


async def test_a_refusal_names_the_demand_and_holds_nothing(workers, open_books):
    ledger = workers("a")
    other = demand(1, counter="budget:other@2026-11-24T00:00:00Z")

    answer = await ledger.admit("1", [other, demand(1001)], NOW_NS)

    assert isinstance(answer, Refused)
    assert (answer.demand.policy, answer.spent, answer.allowed) == ("budget:b", 0, 1000)
    assert answer.frees_at_ns == NOW_NS + MINUTE_NS
    assert ledger.level(other.counter).held == 0


async def test_a_refusal_tells_what_others_hold_and_not_the_share_of_the_call_itself(workers):
    ledger = workers("a")
    await ledger.admit("1", [demand(300)], NOW_NS)
    await ledger.admit("2", [demand(400)], NOW_NS)
    ledger.release("2", NOW_NS)

    answer = await ledger.admit("3", [demand(800)], NOW_NS)

    assert isinstance(answer, Refused)
    assert (answer.spent, answer.held, answer.allowed) == (0, 300, 1000)


async def test_settling_frees_what_was_not_used_and_a_second_settling_changes_nothing(workers):
    ledger = workers("a")
    await ledger.admit("1", [demand(1000)], NOW_NS)

    ledger.settle("1", [400], NOW_NS)
    ledger.settle("1", [1], NOW_NS)

    assert ledger.level(demand(0).counter).spent == 400
    assert isinstance(await ledger.admit("2", [demand(600)], NOW_NS), Admitted)
    assert isinstance(await ledger.admit("3", [demand(1)], NOW_NS), Refused)


async def test_what_is_posted_moves_from_the_lease_to_what_is_spent(workers, open_books):
    ledger = workers("a")
    await ledger.admit("1", [demand(1000)], NOW_NS)
    ledger.settle("1", [400], NOW_NS)
    books = open_books()
    page = Page("a", 1, (Posting(counter=demand(0).counter, unit="USD", spent=390, set_aside=400),))

    assert books.post([page], NOW_NS) == 1
    assert books.post([page], NOW_NS) == 0
    await ledger.look()

    level = ledger.level(demand(0).counter)
    assert (level.spent, level.held) == (390, 0)
    assert isinstance(await ledger.admit("2", [demand(610)], NOW_NS), Admitted)
    assert isinstance(await ledger.admit("3", [demand(1)], NOW_NS), Refused)


async def test_the_lease_of_a_process_that_is_gone_is_free_when_it_is_forgotten(workers, open_books):
    gone = workers("gone")
    await gone.admit("1", [demand(900)], NOW_NS)
    alive = workers("alive", reclaim_s=0)
    assert isinstance(await alive.admit("2", [demand(900)], NOW_NS), Refused)

    open_books().forget("gone")
    await alive.look()

    assert isinstance(await alive.admit("3", [demand(900)], NOW_NS), Admitted)


async def test_a_lease_is_cut_down_to_a_few_times_what_was_taken(workers, open_books, monkeypatch):
    monkeypatch.setattr("policies.ledger.tending.TRIM_S", 0.0)
    ledger = workers("a")
    await ledger.admit("1", [demand(10)], NOW_NS)
    ledger.settle("1", [10], NOW_NS)
    assert spent_and_leased(open_books()) == (0, 10 + 990 // 16)

    await ledger.look()

    assert spent_and_leased(open_books()) == (0, 10 + 3 * 10)


async def test_at_rest_nothing_is_on_lease(workers, open_books, monkeypatch):
    monkeypatch.setattr("policies.ledger.tending.TRIM_S", 0.0)
    ledger = workers("a")
    await ledger.admit("1", [demand(10)], NOW_NS)
    ledger.release("1", NOW_NS)

    await ledger.look()
    await ledger.look()

    assert spent_and_leased(open_books()) == (0, 0)


@pytest.mark.parametrize(("unavailable", "kind"), [("deny", Refused), ("allow", Admitted)])
async def test_books_that_cannot_be_reached_do_what_the_policy_says(workers, unavailable, kind, monkeypatch):
    ledger = workers("a")

    def fail(*_):
        raise BooksUnavailableError("gone")

    monkeypatch.setattr(ledger._books, "borrow", fail)
    answer = await ledger.admit("1", [demand(10, when_unavailable=unavailable)], NOW_NS)

    assert isinstance(answer, kind)
    ledger.settle("1", [3], NOW_NS)
    assert ledger.failures == {"ledger_unavailable": 1}


async def test_a_soft_budget_refuses_when_what_is_spent_has_reached_it_and_not_before(workers):
    ledger = workers("a")
    await ledger.admit("1", [demand(5000, enforce="soft")], NOW_NS)
    ledger.settle("1", [999], NOW_NS)
    assert isinstance(await ledger.admit("2", [demand(5000, enforce="soft")], NOW_NS), Admitted)
    ledger.settle("2", [1], NOW_NS)

    answer = await ledger.admit("3", [demand(1, enforce="soft")], NOW_NS)

    assert isinstance(answer, Refused)
    assert answer.spent == 1000


async def test_an_observed_budget_says_what_it_would_have_refused(workers):
    ledger = workers("a")

    answer = await ledger.admit("1", [demand(1001, enforce="observe")], NOW_NS)

    assert answer == Admitted(would_refuse=(demand(0).counter,))


async def test_a_bucket_gives_its_burst_then_its_pace_and_says_when_to_come_again(workers):
    ledger = workers("a")
    limit = {"kind": "rate", "unit": "calls", "counter": "limit:rpm", "per_ns": MINUTE_NS, "ends_at_ns": None}

    answers = [await ledger.admit(str(n), [demand(1, 60, **limit)], NOW_NS) for n in range(61)]

    assert all(isinstance(answer, Admitted) for answer in answers[:60])
    assert answers[60].frees_at_ns == NOW_NS + 10**9
    assert isinstance(await ledger.admit("x", [demand(1, 60, **limit)], NOW_NS + 10**9), Admitted)
    assert isinstance(await ledger.admit("y", [demand(1, 60, **limit)], NOW_NS + 10**9), Refused)


async def test_a_concurrent_limit_counts_calls_under_way_and_no_others(workers):
    ledger = workers("a")
    slot = {"kind": "concurrent", "unit": "concurrent", "counter": "limit:open", "ends_at_ns": None}
    for number in range(2):
        await ledger.admit(str(number), [demand(1, 2, **slot)], NOW_NS)
    assert isinstance(await ledger.admit("2", [demand(1, 2, **slot)], NOW_NS), Refused)

    ledger.settle("0", [0], NOW_NS)

    assert isinstance(await ledger.admit("3", [demand(1, 2, **slot)], NOW_NS), Admitted)


async def test_a_long_call_holds_more_in_steps_until_the_cap(workers):
    ledger = workers("a")
    await ledger.admit("1", [demand(400)], NOW_NS)

    assert isinstance(await ledger.extend("1", [500], NOW_NS), Admitted)
    assert list(ledger.held("1")) == [900]
    assert isinstance(await ledger.extend("1", [101], NOW_NS), Refused)
    assert list(ledger.held("1")) == [900]
    ledger.settle("1", [901], NOW_NS)
    assert ledger.level(demand(0).counter).spent == 901


async def test_the_older_buckets_of_a_rolling_window_count_until_they_leave(workers):
    ledger = workers("a")
    rolling = {"starts_at_ns": NOW_NS, "bucket_ns": MINUTE_NS, "ends_at_ns": NOW_NS + 2 * MINUTE_NS}
    old, new = "budget:r@2026-11-24T00:00:00Z", "budget:r@2026-11-24T00:01:00Z"
    await ledger.admit("1", [demand(700, counter=old, **rolling)], NOW_NS)
    ledger.settle("1", [700], NOW_NS)

    answer = await ledger.admit("2", [demand(301, counter=new, also=(old,), **rolling)], NOW_NS)

    assert isinstance(answer, Refused)
    assert answer.frees_at_ns == NOW_NS + MINUTE_NS
    assert isinstance(await ledger.admit("3", [demand(300, counter=new, also=(old,), **rolling)], NOW_NS), Admitted)


async def test_what_a_call_finds_free_while_another_borrows_is_not_taken_twice(workers, open_books):
    ledger = workers("a", reclaim_s=0)
    await ledger.admit("1", [demand(500)], NOW_NS)
    ledger.release("1", NOW_NS)

    slow = asyncio.create_task(ledger.admit("2", [demand(1000)], NOW_NS))
    await asyncio.sleep(0)
    quick = ledger.try_admit("3", [demand(400)], NOW_NS)
    answers = [await slow, quick or await ledger.admit("3", [demand(400)], NOW_NS)]

    assert [type(answer) for answer in answers] == [Admitted, Refused]
    assert ledger.level(demand(0).counter).held == 1000


async def test_what_was_borrowed_for_a_call_is_not_taken_by_one_that_comes_before_it_hears_of_it(workers):
    ledger = workers("a", reclaim_s=0)
    await ledger.admit("0", [demand(1)], NOW_NS)
    borrowing = asyncio.create_task(ledger.admit("1", [demand(800)], NOW_NS))
    others = 0

    while not borrowing.done():
        others += ledger.try_admit(f"other-{others}", [demand(100)], NOW_NS) is not None
        await asyncio.sleep(0)

    assert isinstance(borrowing.result(), Admitted)
    assert ledger._counters[demand(0).counter].free >= 0


@pytest.mark.parametrize("turns", range(12))
async def test_a_call_that_goes_away_at_any_moment_of_its_borrowing_holds_nothing(workers, turns):
    ledger = workers("a", reclaim_s=0)
    await ledger.admit("0", [demand(1)], NOW_NS)
    borrowing = asyncio.create_task(ledger.admit("1", [demand(800)], NOW_NS))
    for _ in range(turns):
        await asyncio.sleep(0)
    if turns > 6:
        await ledger._heard()
    borrowing.cancel()
    await asyncio.gather(borrowing, return_exceptions=True)
    await ledger._heard()
    await asyncio.sleep(0)

    ledger.release("1", NOW_NS)
    ledger.release("0", NOW_NS)

    assert ledger._counters[demand(0).counter].used == 0


async def test_a_call_that_goes_away_while_it_borrows_leaves_nothing_held(workers, open_books):
    ledger = workers("a")
    await ledger.admit("1", [demand(100)], NOW_NS)

    leaving = asyncio.create_task(ledger.admit("2", [demand(800)], NOW_NS))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    ledger.release("1", NOW_NS)
    assert isinstance(await ledger.admit("3", [demand(1000)], NOW_NS), Admitted)


async def test_a_limit_that_was_lowered_counts_for_the_next_call(workers):
    ledger = workers("a")
    await ledger.admit("1", [demand(500)], NOW_NS)
    ledger.settle("1", [100], NOW_NS)

    answer = await ledger.admit("2", [demand(51, limit=150)], NOW_NS)

    assert isinstance(answer, Refused)
    assert isinstance(await ledger.admit("3", [demand(50, limit=150)], NOW_NS), Admitted)


async def test_two_demands_of_one_counter_hold_both(workers):
    ledger = workers("a")

    assert isinstance(await ledger.admit("1", [demand(600), demand(600)], NOW_NS), Refused)
    assert isinstance(await ledger.admit("2", [demand(500), demand(500)], NOW_NS), Admitted)
    assert ledger.try_admit("3", [demand(1)], NOW_NS) is None


async def test_a_crowd_at_a_cap_asks_the_books_once(workers, monkeypatch):
    ledger, asked = workers("a"), []
    borrow = ledger._books.borrow
    monkeypatch.setattr(ledger._books, "borrow", lambda *given: asked.append(1) or borrow(*given))

    answers = await asyncio.gather(*(ledger.admit(str(n), [demand(1001)], NOW_NS) for n in range(50)))

    assert {type(answer) for answer in answers} == {Refused}
    assert {(answer.allowed, answer.frees_at_ns) for answer in answers} == {(1000, NOW_NS + MINUTE_NS)}
    assert len(asked) == 1


async def test_while_the_books_are_down_calls_are_answered_from_memory_until_they_are_back(workers, monkeypatch):
    ledger, asked = workers("a"), []
    await ledger.admit("1", [demand(100)], NOW_NS)
    ledger.release("1", NOW_NS)

    def fail(*_):
        asked.append(1)
        raise BooksUnavailableError("gone")

    with monkeypatch.context() as broken:
        broken.setattr(ledger._books, "borrow", fail)
        answers = await asyncio.gather(*(ledger.admit(str(n), [demand(500)], NOW_NS) for n in range(20)))
        assert {answer.unavailable for answer in answers} == {True}
        assert len(asked) == 1
        assert isinstance(await ledger.admit("free", [demand(100)], NOW_NS), Admitted)

    await ledger.look()
    assert isinstance(await ledger.admit("2", [demand(500)], NOW_NS), Admitted)


async def test_what_a_call_used_beyond_its_hold_is_put_on_lease(workers, open_books):
    ledger = workers("a")
    await ledger.admit("1", [demand(100)], NOW_NS)
    ledger.settle("1", [700], NOW_NS)

    await ledger.look()

    assert spent_and_leased(open_books()) == (0, 700)
    assert isinstance(await workers("b", reclaim_s=0).admit("2", [demand(301)], NOW_NS), Refused)


async def test_a_call_that_held_nothing_and_used_something_is_counted_though_its_counter_was_let_go(
    workers, open_books, monkeypatch
):
    monkeypatch.setattr("policies.ledger.tending.TRIM_S", 0.0)
    monkeypatch.setattr("policies.ledger.tending.IDLE_S", 0.0)
    ledger = workers("a")
    await ledger.admit("1", [demand(0, kind="budget")], NOW_NS)
    for _ in range(3):
        await ledger.look()

    ledger.settle("1", [40], NOW_NS)
    await ledger.look()

    assert spent_and_leased(open_books()) == (0, 40)


async def test_a_bucket_takes_back_what_a_call_did_not_use(workers):
    ledger = workers("a")
    limit = {"kind": "rate", "unit": "tokens", "counter": "limit:tpm", "per_ns": MINUTE_NS, "ends_at_ns": None}
    await ledger.admit("1", [demand(1000, 1000, **limit)], NOW_NS)
    assert isinstance(await ledger.admit("2", [demand(1, 1000, **limit)], NOW_NS), Refused)

    ledger.settle("1", [100], NOW_NS)
    await ledger.look()

    assert isinstance(await ledger.admit("3", [demand(900, 1000, **limit)], NOW_NS + 10**6), Admitted)
    assert isinstance(await ledger.admit("4", [demand(1, 1000, **limit)], NOW_NS + 10**6), Refused)


async def test_a_bucket_remembers_what_a_call_used_beyond_its_share(workers):
    ledger = workers("a")
    limit = {"kind": "rate", "unit": "tokens", "counter": "limit:tpm", "per_ns": MINUTE_NS, "ends_at_ns": None}
    await ledger.admit("1", [demand(10, 600, **limit)], NOW_NS)

    ledger.settle("1", [600], NOW_NS)
    await ledger.look()

    answer = await ledger.admit("2", [demand(1, 600, **limit)], NOW_NS)
    assert isinstance(answer, Refused)


async def test_counters_that_are_idle_are_let_go_and_take_up_where_they_were(workers, open_books, monkeypatch):
    monkeypatch.setattr("policies.ledger.tending.TRIM_S", 0.0)
    monkeypatch.setattr("policies.ledger.tending.IDLE_S", 0.0)
    ledger, books = workers("a"), open_books()
    for turn in range(1, 4):
        await ledger.admit(str(turn), [demand(100)], NOW_NS)
        ledger.settle(str(turn), [50], NOW_NS)
        books.post([Page("a", turn, (Posting(counter=demand(0).counter, unit="USD", spent=50, set_aside=50),))], NOW_NS)
        for _ in range(4):
            await ledger.look()
        assert books.lenders()[0].leases == 0
        assert ledger.level(demand(0).counter).spent == 50 * turn

    assert spent_and_leased(books) == (150, 0)


async def test_an_extension_of_what_could_not_be_counted_is_not_counted_either(workers, monkeypatch):
    ledger = workers("a")

    def fail(*_):
        raise BooksUnavailableError("gone")

    with monkeypatch.context() as broken:
        broken.setattr(ledger._books, "borrow", fail)
        answer = await ledger.admit("1", [demand(10, when_unavailable="allow")], NOW_NS)
    assert answer.uncounted == (demand(0).counter,)
    await ledger.look()

    assert isinstance(await ledger.extend("1", [50], NOW_NS), Admitted)
    assert list(ledger.held("1")) == [None]
    ledger.settle("1", [60], NOW_NS)
    assert ledger.level(demand(0).counter) is None


async def test_what_is_extended_is_held_until_the_call_is_settled(workers):
    ledger = workers("a")
    await ledger.admit("1", [demand(100)], NOW_NS)

    assert isinstance(await ledger.extend("1", [900], NOW_NS), Admitted)
    assert ledger.held("1") == [1000]
    assert isinstance(await ledger.admit("2", [demand(1)], NOW_NS), Refused)
    ledger.settle("1", [150], NOW_NS)
    assert isinstance(await ledger.admit("2", [demand(850)], NOW_NS), Admitted)


async def test_an_extension_that_does_not_fit_leaves_the_hold_as_it_was(workers, open_books):
    ledger = workers("a")
    await ledger.admit("1", [demand(100), demand(1, counter="budget:other@2026-11-24T00:00:00Z")], NOW_NS)

    answer = await ledger.extend("1", [901, 5], NOW_NS)

    assert isinstance(answer, Refused)
    assert answer.demand.counter == "budget:b@2026-11-24T00:00:00Z"
    assert ledger.held("1") == [100, 1]


async def test_workers_that_extend_at_the_same_time_do_not_pass_a_cap(workers):
    ledgers = [workers(name) for name in "abc"]
    chance = random.Random(11)

    for ledger, name in zip(ledgers, "abc", strict=True):
        await ledger.admit(name, [demand(10)], NOW_NS)

    async def grows(ledger, name):
        for _ in range(60):
            await ledger.extend(name, [chance.randrange(1, 30)], NOW_NS)
        return ledger.held(name)[0]

    held = await asyncio.gather(*(grows(ledger, name) for ledger, name in zip(ledgers, "abc", strict=True)))

    assert 1000 - 30 < sum(held) <= 1000


async def test_a_spent_soft_budget_does_not_stand_in_the_way_of_what_it_is_not_asked_for(workers):
    ledger = workers("a")
    soft = demand(1, counter="budget:soft@2026-11-24T00:00:00Z", enforce="soft")
    await ledger.admit("1", [soft, demand(1)], NOW_NS)
    await ledger.admit("2", [soft], NOW_NS)
    ledger.settle("2", [5000], NOW_NS)
    assert isinstance(await ledger.admit("3", [soft], NOW_NS), Refused)

    assert isinstance(await ledger.extend("1", [0, 500], NOW_NS), Admitted)
    assert ledger.held("1") == [1, 501]
    assert isinstance(await ledger.extend("1", [1, 1], NOW_NS), Refused)


async def test_a_call_that_was_settled_while_it_asked_for_more_holds_nothing(workers):
    ledger = workers("a")
    await ledger.admit("1", [demand(100)], NOW_NS)
    asked = asyncio.ensure_future(ledger.extend("1", [500], NOW_NS))
    await asyncio.wait({asked}, timeout=0)
    ledger.settle("1", [100], NOW_NS)
    await asked

    assert ledger.held("1") == ()
    assert isinstance(await ledger.admit("2", [demand(900)], NOW_NS), Admitted)

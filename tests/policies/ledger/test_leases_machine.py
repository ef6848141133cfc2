"""Several workers, their recorder, crashes and windows against a simple model: whatever the order of things, a hard cap
is never passed, a call that fits is admitted, and at rest the books are the model to the last digit."""

import asyncio
import tempfile
import uuid
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from policies.demand import Admitted, Carry, Demand, Refused
from policies.ledger.books import Page, Posting
from policies.ledger.leases import LeasedLedger
from policies.ledger.redis_books import RedisBooks
from policies.ledger.redis_link import RedisOptions
from policies.ledger.sqlite_books import SqliteBooks

MINUTE_NS = 60 * 10**9
NOW_NS = 1_795_000_000 * 10**9
LIMIT = 1000
SMALL = 300
MOST_CARRIED = 200
LOOSE = "budget:loose@2026-11-24T00:00:00Z"
"""The counter whose calls may use more than they held."""


def name(family, window):
    return f"budget:{family}@2026-11-24T00:0{window}:00Z"


def demand(kind, amount, window):
    """Of one of the counters: `flat` and `small` have one window, `rolling` and `carrying` have several."""
    base = {"policy": "p", "unit": "USD", "starts_at_ns": NOW_NS, "ends_at_ns": NOW_NS + MINUTE_NS}
    limit = SMALL if kind == "small" else LIMIT
    base |= {"limit": limit, "stated": limit, "amount": amount, "family": f"budget:{kind}"}
    if kind == "rolling":
        also = tuple(name(kind, older) for older in range(max(0, window - 2), window))
        return Demand(counter=name(kind, window), also=also, bucket_ns=MINUTE_NS, **base)
    if kind == "carrying":
        carry = Carry(counter=name(kind, window - 1), limit=LIMIT, most=MOST_CARRIED) if window else None
        return Demand(counter=name(kind, window), carry=carry, **base)
    if kind == "soft":
        return Demand(counter=name(kind, 0), **base | {"enforce": "soft"})
    return Demand(counter=LOOSE if kind == "loose" else name(kind, 0), **base)


class StillLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes when the test says so: what happens must not depend on the machine."""

    now_s = 1000.0

    def time(self):
        return self.now_s


class OpenCall(msgspec.Struct):
    demands: list[Demand]
    held: list[int]


class Worker:
    """A process: its ledger, its calls under way, and the lines of its journal that are not posted."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.calls = {}
        self.lines = []
        self.segments = 0


KINDS = ["flat", "small", "rolling", "carrying", "soft", "loose"]
shares = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 400)), min_size=1, max_size=4, unique_by=lambda share: share[0]
)


class LedgerMachine(RuleBasedStateMachine):
    """The rules are what can happen; `used` is the model: what every counter has spent or holds, by whom."""

    redis_url = ""

    def __init__(self):
        super().__init__()
        self.loop = StillLoop()
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.name = f"m{uuid.uuid4().hex}"
        self.opened = []
        self.recorder = self.books()
        self.workers = {}
        self.dead = {}
        self.spent = {}
        """Counter -> what ended calls used, by their priced records, posted or not."""
        self.posted = {}
        self.window = 0
        self.numbers = 0
        for _ in range(2):
            self.start()

    def books(self):
        if self.redis_url:
            made = RedisBooks(RedisOptions(url=self.redis_url, name=self.name))
        else:
            made = SqliteBooks(Path(self.folder.name) / "ledger.sqlite")
        self.opened.append(made)
        return made

    def run_it(self, work):
        return self.loop.run_until_complete(work)

    def number(self):
        self.numbers += 1
        return self.numbers

    def worker(self, data, having=lambda _: True):
        return data.draw(st.sampled_from([one for one in self.workers.values() if having(one)]))

    # what can happen

    @precondition(lambda self: len(self.workers) < 4)
    @rule()
    def start(self):
        instance = f"worker-{self.number()}"

        async def make():
            ledger = LeasedLedger(self.books(), instance, clock=lambda: NOW_NS, reclaim_s=0)
            ledger._glancing.cancel()
            return ledger

        self.workers[instance] = Worker(self.run_it(make()))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), wanted=shares, late=st.booleans())
    def admit(self, data, wanted, late):
        worker, call_id = self.worker(data), f"call-{self.number()}"
        window = max(0, self.window - 1) if late else self.window
        demands = [demand(kind, amount, window) for kind, amount in wanted]
        answer = worker.ledger.try_admit(call_id, demands, NOW_NS)
        if answer is None:
            answer = self.run_it(worker.ledger.admit(call_id, demands, NOW_NS))
        if isinstance(answer, Admitted):
            worker.calls[call_id] = OpenCall(demands, [one.amount for one in demands])
        else:
            assert not answer.unavailable

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), amounts=st.lists(st.integers(1, 300), min_size=3, max_size=3))
    def admit_at_once(self, data, amounts):
        """Calls of one worker that wait for the books together."""
        worker = self.worker(data)
        calls = {f"call-{self.number()}": demand("flat", amount, self.window) for amount in amounts}

        async def all_of_them():
            return await asyncio.gather(*(worker.ledger.admit(call, [one], NOW_NS) for call, one in calls.items()))

        for (call_id, one), answer in zip(calls.items(), self.run_it(all_of_them()), strict=True):
            if isinstance(answer, Admitted):
                worker.calls[call_id] = OpenCall([one], [one.amount])

    @precondition(lambda self: any(worker.calls for worker in self.workers.values()))
    @rule(data=st.data())
    def extend(self, data):
        worker = self.worker(data, lambda one: one.calls)
        call_id = data.draw(st.sampled_from(sorted(worker.calls)))
        call = worker.calls[call_id]
        more = [data.draw(st.integers(0, 60)) for _ in call.demands]
        if isinstance(self.run_it(worker.ledger.extend(call_id, more, NOW_NS)), Admitted):
            call.held = [held + one for held, one in zip(call.held, more, strict=True)]
        assert list(worker.ledger.held(call_id)) == call.held

    @precondition(lambda self: any(worker.calls for worker in self.workers.values()))
    @rule(data=st.data())
    def settle(self, data):
        worker = self.worker(data, lambda one: one.calls)
        call_id = data.draw(st.sampled_from(sorted(worker.calls)))
        call = worker.calls.pop(call_id)
        used = [
            data.draw(st.integers(0, 700 if one.counter == LOOSE else held))
            for one, held in zip(call.demands, call.held, strict=True)
        ]
        worker.ledger.settle(call_id, used, NOW_NS)
        for one, amount in zip(call.demands, used, strict=True):
            # A price that changed on the hour: the recorder knows better than the worker did.
            booked = max(0, amount - data.draw(st.sampled_from([0, 0, 1])))
            self.write(worker, one, booked, amount)

    def write(self, worker, one, booked, set_aside):
        worker.lines.append(Posting(one.counter, "USD", booked, set_aside))
        self.spent[one.counter] = self.spent.get(one.counter, 0) + booked

    @precondition(lambda self: any(worker.lines for worker in self.workers.values()))
    @rule(data=st.data(), again=st.booleans())
    def post(self, data, again):
        worker = self.worker(data, lambda one: one.lines)
        self.post_of(worker, again=again)

    def post_of(self, worker, *, again=False):
        lines, worker.lines = worker.lines, []
        worker.segments += 1
        sums = {}
        for line in lines:
            before = sums.get(line.counter, Posting(line.counter, "USD", 0, 0))
            sums[line.counter] = Posting(
                line.counter, "USD", before.spent + line.spent, before.set_aside + line.set_aside
            )
            self.posted[line.counter] = self.posted.get(line.counter, 0) + line.spent
        page = Page(worker.ledger.instance, worker.segments, tuple(sums.values()))
        assert self.recorder.post([page], NOW_NS) == 1
        if again:
            assert self.recorder.post([page], NOW_NS) == 0

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def look(self, data):
        self.run_it(self.worker(data).ledger.look())

    @rule(seconds=st.sampled_from([0.1, 0.3, 1.1, 11.0]))
    def time_passes(self, seconds):
        """Refusals are forgotten, leases are cut down, counters are let go of."""
        self.loop.now_s += seconds

    @precondition(lambda self: len(self.workers) > 1)
    @rule(data=st.data())
    def crash(self, data):
        worker = self.worker(data)
        del self.workers[worker.ledger.instance]
        for call in worker.calls.values():
            for one, held in zip(call.demands, call.held, strict=True):
                self.write(worker, one, held, held)
        worker.calls = {}
        self.dead[worker.ledger.instance] = worker

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def bury(self, data):
        worker = self.dead.pop(data.draw(st.sampled_from(sorted(self.dead))))
        if worker.lines:
            self.post_of(worker)
        self.recorder.forget(worker.ledger.instance)

    @precondition(lambda self: self.window < 7)
    @rule()
    def turn(self):
        """The next window begins."""
        self.window += 1

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), part=st.integers(0, 16))
    def a_call_that_fits_is_admitted(self, data, part):
        """Once every process has looked, what is neither spent nor held can be had."""
        worker = self.worker(data)
        room = LIMIT - self.used().get(name("flat", 0), 0)
        one = demand("flat", room - room * part // 16, 0)
        call_id = f"call-{self.number()}"
        answer = self.run_it(worker.ledger.admit(call_id, [one], NOW_NS))
        if isinstance(answer, Refused):
            for other in (*self.workers.values(), worker):
                self.run_it(other.ledger.look())
            answer = self.run_it(worker.ledger.admit(call_id, [one], NOW_NS))
        if self.dead:
            # What a dead process has on lease is freed when it is buried.
            if isinstance(answer, Admitted):
                worker.calls[call_id] = OpenCall([one], [one.amount])
            return
        # A recorder that booked less than was set aside frees the rest with the posting.
        unsure = sum(line.set_aside - line.spent for other in self.workers.values() for line in other.lines)
        assert isinstance(answer, Admitted) or unsure
        if isinstance(answer, Admitted):
            worker.calls[call_id] = OpenCall([one], [one.amount])

    # what must hold

    def used(self):
        used = dict(self.spent)
        for worker in self.workers.values():
            for call in worker.calls.values():
                for one, held in zip(call.demands, call.held, strict=True):
                    used[one.counter] = used.get(one.counter, 0) + held
        return used

    @invariant()
    def no_hard_cap_is_passed(self):
        used = self.used()
        assert used.get(name("flat", 0), 0) <= LIMIT
        assert used.get(name("small", 0), 0) <= SMALL
        for window in range(self.window + 1):
            rolling = sum(used.get(name("rolling", one), 0) for one in range(max(0, window - 2), window + 1))
            assert rolling <= LIMIT
            before = used.get(name("carrying", window - 1), 0) if window else LIMIT
            carried = min(MOST_CARRIED, max(0, LIMIT - before))
            assert used.get(name("carrying", window), 0) <= LIMIT + carried

    @invariant()
    def the_books_have_what_was_posted_and_nothing_less_than_is_used(self):
        used = self.used()
        for one in self.recorder.recorded():
            assert one.spent == self.posted.get(one.counter, 0)
            assert one.leased >= 0
            if one.counter != LOOSE:
                assert one.spent + one.leased >= used.get(one.counter, 0)

    def teardown(self):
        try:
            self.come_to_rest()
        finally:
            for books in self.opened:
                books.close()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()
            self.folder.cleanup()

    def come_to_rest(self):
        for worker in self.workers.values():
            for call_id, call in worker.calls.items():
                worker.ledger.settle(call_id, [None] * len(call.demands), NOW_NS)
                for one, held in zip(call.demands, call.held, strict=True):
                    self.write(worker, one, held, held)
            worker.calls = {}
        for worker in (*self.workers.values(), *self.dead.values()):
            if worker.lines:
                self.post_of(worker)
        for worker in self.workers.values():
            self.loop.now_s += 1.1
            self.run_it(worker.ledger.look())
            for level in worker.ledger.levels().values():
                assert level.held >= 0
            self.run_it(worker.ledger.close())
        for one in self.recorder.recorded():
            owed = sum(1 for worker in self.dead.values())
            assert one.leased == 0 or owed or one.counter == LOOSE
        for instance in (*self.workers, *self.dead):
            self.recorder.forget(instance)
        found = {one.counter: (one.spent, one.leased) for one in self.recorder.recorded()}
        assert {counter: spent for counter, (spent, _) in found.items() if spent} == {
            counter: spent for counter, spent in self.spent.items() if spent
        }
        assert {leased for _, leased in found.values()} <= {0}


def test_any_order_of_things_over_a_file():
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.real
def test_any_order_of_things_over_redis(redis_server):
    machine = type("RedisLedgerMachine", (LedgerMachine,), {"redis_url": redis_server.url})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )

import random
import sqlite3
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.journal.archive import Archive
from exporters.journal.reader import add_segment, list_segments
from exporters.recorder import relief as relief_module
from exporters.recorder.deliver import Delivery
from exporters.recorder.relief import Relief
from exporters.recorder.segments import PricedSegments
from exporters.recorder.state import State
from tests.fakes.records import call, call_id, loss, opened
from tests.fakes.sinks import FixedPrices, MemorySink

BOOKS = ("clickhouse", "ledger")
OTHERS = ("webhook-a", "webhook-b")
INSTANCES = ("w", "x")


class KilledError(Exception):
    """The process has ended there."""


@dataclass
class Machine:
    """A data folder, and a recorder on it that can be killed: what the sinks took stays, and what lies on the disk."""

    folder: object
    max_bytes: int
    sinks: dict = field(default_factory=lambda: {name: MemorySink(name) for name in (*BOOKS, *OTHERS)})
    read: dict = field(default_factory=dict)
    calls: int = 0
    kill_in: int | None = None
    """After so many steps that change something on the disk."""

    def __post_init__(self):
        for instance in INSTANCES:
            (self.folder / instance).mkdir(exist_ok=True)
        self.state = None
        self.start()

    def start(self):
        if self.state is not None:
            self.state.close()
        self.state = State(self.folder / "recorder.sqlite")
        for name in ("commit_given_up", "commit_delivered", "commit_parcel"):
            setattr(self.state, name, self._mortal(getattr(self.state, name)))
        archive = Archive(self.folder, keep_s=0, keep_bytes=0)
        self._put = self._mortal(archive.put)
        self.deliveries = {
            name: Delivery(
                sink,
                PricedSegments(FixedPrices()),
                self.state,
                self.folder,
                max_parcel_bytes=None if name in BOOKS else self.max_bytes // (2 * len(OTHERS)),
            )
            for name, sink in self.sinks.items()
        }
        self.parcels = dict.fromkeys(self.sinks)
        self.relief = Relief(self.folder, self.max_bytes, list(self.deliveries.values()), self.put_away)
        for instance in INSTANCES:
            for segment in list_segments(self.folder, instance).sealed.values():
                self.put_away(segment)

    def _mortal(self, step):
        def mortal(*args, **more):
            if self.kill_in is not None:
                self.kill_in -= 1
                if self.kill_in < 0:
                    self.kill_in = None
                    raise KilledError
            return step(*args, **more)

        return mortal

    def put_away(self, segment):
        return self._put(segment) if all(delivery.has(segment) for delivery in self.deliveries.values()) else None

    def write(self, instance, calls):
        number = self.read[instance] = self.read.get(instance, 0) + 1
        records = [record for at in range(calls) for record in (opened(self.calls + at), call(self.calls + at))]
        self.calls += calls
        add_segment(self.folder, instance, number, [*records, loss(odd=1)])

    def deliver(self, name):
        delivery = self.deliveries[name]
        parcel = self.parcels[name] or delivery.next_parcel(self.read)
        self.parcels[name] = parcel
        if parcel is None or self.sinks[name].down:
            return False
        delivery.deliver(parcel)
        self.parcels[name] = None
        for segment in parcel.segments:
            self.put_away(segment)
        return True

    def look(self):
        """As many looks as one burst takes."""
        self.relief._walk_due_s = 0.0
        while self.relief.look(self.read).put_away_bytes:
            self.relief._walk_due_s = 0.0

    def files(self):
        return {(instance, number) for instance in INSTANCES for number in list_segments(self.folder, instance).sealed}

    def bytes(self):
        return sum(path.stat().st_size for instance in INSTANCES for path in (self.folder / instance).iterdir())

    def given_up(self, name):
        return self.state.counts(name).get("given_up", 0)


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path, max_bytes=100_000)
    yield machine
    machine.state.close()


def books_have_all(machine):
    for name in BOOKS:
        while machine.deliver(name):
            pass


def test_no_segment_is_given_up_that_a_sink_of_the_books_lacks(machine):
    machine.sinks["ledger"].down = True
    for _ in range(60):
        machine.write("w", 2)
    machine.deliver("clickhouse")
    machine.look()
    assert len(machine.files()) == 60
    assert machine.bytes() > machine.max_bytes
    assert [machine.given_up(name) for name in OTHERS] == [0, 0]
    machine.sinks["ledger"].down = False
    books_have_all(machine)
    machine.look()
    assert machine.bytes() < machine.max_bytes * relief_module.START_SHARE
    assert set(machine.sinks["ledger"].calls) == {call_id(number) for number in range(machine.calls)}


def test_a_sink_that_is_dead_keeps_the_newest_and_what_is_on_its_way(machine):
    for name in OTHERS:
        machine.sinks[name].down = True
    for round_ in range(80):
        machine.write(INSTANCES[round_ % 2], 2)
        for name in machine.sinks:
            machine.deliver(name)
        machine.look()
        assert machine.bytes() < machine.max_bytes
    for name in OTHERS:
        machine.sinks[name].down = False
        while machine.deliver(name):
            pass
        sink = machine.sinks[name]
        assert call_id(0) in sink.calls
        assert call_id(machine.calls - 1) in sink.calls
        assert len(sink.calls) == len(set(sink.calls)) == machine.calls - machine.given_up(name)
        assert machine.given_up(name) > 0
        assert machine.state.passed(name) == {}
    assert machine.files() == set()
    assert machine.state.losses()["given_up"] == sum(map(machine.given_up, OTHERS))


def test_a_parcel_that_is_on_its_way_to_a_sink_is_never_touched(machine):
    machine.sinks["webhook-a"].down = True
    machine.write("w", 2)
    for name in machine.sinks:
        machine.deliver(name)
    on_its_way = machine.parcels["webhook-a"]
    for _ in range(60):
        machine.write("w", 2)
    books_have_all(machine)
    machine.look()
    assert {segment.path.exists() for segment in on_its_way.segments} == {True}
    machine.start()
    assert machine.deliveries["webhook-a"].next_parcel(machine.read).token == on_its_way.token
    assert machine.deliveries["webhook-a"].waiting_segments(machine.read) == len(machine.files())


def test_a_sink_that_has_a_segment_does_not_lose_it(machine):
    machine.sinks["webhook-a"].down = True
    for _ in range(60):
        machine.write("w", 2)
        machine.deliver("webhook-b")
    machine.deliver("webhook-a")
    books_have_all(machine)
    machine.look()
    assert machine.given_up("webhook-a") > 0
    assert machine.given_up("webhook-b") == 0


def test_what_one_sink_could_not_note_it_gives_up_at_the_next_look(machine, monkeypatch):
    for name in OTHERS:
        machine.sinks[name].down = True
    for _ in range(60):
        machine.write("w", 2)
    books_have_all(machine)
    commit = machine.state.commit_given_up

    def full(sink, **more):
        if sink == "webhook-b":
            raise sqlite3.OperationalError("database or disk is full")
        commit(sink, **more)

    with monkeypatch.context() as patched:
        patched.setattr(machine.state, "commit_given_up", full)
        with pytest.raises(sqlite3.OperationalError):
            machine.look()
    assert len(machine.files()) == 60
    machine.look()
    assert len(machine.files()) < 60
    assert machine.given_up("webhook-a") == machine.given_up("webhook-b") > 0
    assert "segments_gone" not in machine.state.counts("webhook-b")


def test_without_a_bound_nothing_is_given_up(tmp_path):
    machine = Machine(tmp_path, max_bytes=0)
    machine.write("w", 2)
    books_have_all(machine)
    machine.look()
    assert len(machine.files()) == 1
    machine.state.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(INSTANCES), st.integers(0, 6)),
        st.tuples(st.just("deliver"), st.sampled_from((*BOOKS, *OTHERS))),
        st.tuples(st.just("turn"), st.sampled_from((*BOOKS, *OTHERS))),
        st.tuples(st.just("look")),
        st.tuples(st.just("kill"), st.integers(0, 5)),
    ),
    min_size=10,
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_every_call_that_a_sink_loses_is_counted_once_whatever_is_killed_in_between(tmp_path_factory, steps, seed):
    dice = random.Random(seed)
    machine = Machine(tmp_path_factory.mktemp("machine"), max_bytes=12_000)
    for step in steps:
        try:
            play(machine, step, dice)
        except KilledError:
            machine.start()
    machine.kill_in = None
    machine.start()
    for name, sink in machine.sinks.items():
        sink.down = False
        while machine.deliver(name):
            pass
        assert len(set(sink.calls)) == machine.calls - machine.given_up(name), name
        assert len(sink.calls) == len(set(sink.calls))
        assert "segments_gone" not in machine.state.counts(name)
    for name in BOOKS:
        assert machine.given_up(name) == 0
    assert machine.state.losses().get("given_up", 0) == sum(map(machine.given_up, OTHERS))
    assert machine.files() == set()
    machine.state.close()


def play(machine, step, dice):
    match step:
        case ("write", instance, calls):
            machine.write(instance, calls)
        case ("deliver", name):
            machine.deliver(name)
        case ("turn", name):
            machine.sinks[name].down = not machine.sinks[name].down
        case ("look",):
            for name in dice.sample(BOOKS, k=dice.randint(0, 2)):
                machine.deliver(name)
            machine.look()
        case ("kill", after):
            machine.kill_in = after

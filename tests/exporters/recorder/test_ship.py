import os
import shutil
from collections.abc import Mapping

import pytest

from exporters.journal.files import FileLock
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import add_segment, list_segments
from exporters.journal.writer import Journal
from exporters.recorder.deliver import Delivery
from exporters.recorder.follow import Follower
from exporters.recorder.ports import Batch, SinkUnavailableError
from exporters.recorder.segments import PricedSegments
from exporters.recorder.ship import ShipError, find_source, ship
from exporters.recorder.state import State
from tests.fakes.records import STARTED_NS, call, call_id, loss, opened
from tests.fakes.sinks import FixedPrices


class Store:
    """A sink that keeps calls by id, takes no token twice and leaves out what it has; it may fail at a batch."""

    name = "clickhouse"

    def __init__(self):
        self.calls = {}
        self.tokens = set()
        self.taken = []
        self.fails_at = None

    def check(self):
        pass

    def deliver(self, batch: Batch) -> Mapping[str, int]:
        if self.fails_at == len(self.taken):
            self.fails_at = None
            raise SinkUnavailableError("down")
        self.taken.append(batch.token)
        missing = [priced.call for priced in batch.calls if priced.call.call_id not in self.calls]
        if batch.token in self.tokens:
            missing = []
        self.tokens.add(batch.token)
        self.calls |= {one.call_id: one for one in missing}
        return {"calls": len(missing), "known": len(batch.calls) - len(missing)}

    def close(self):
        pass


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def dead(tmp_path):
    """The data folder of a machine that died: two processes, one of them in the middle of a call and of a line."""
    journal_dir = tmp_path / "dead" / "journal"
    one = Journal(journal_dir, "w1", segment_bytes=1)
    for number in (1, 2, 3):
        one.open_call(opened(number))
        one.close_call(call(number))
    one.close()
    two = Journal(journal_dir, "w2")
    two.open_call(opened(4))
    two.close_call(call(4))
    two.lose("odd", 2)
    two.tick()
    two.open_call(opened(5))
    os.write(two._segment.descriptor, b'{"line":"call","v":1,"call_i')
    two._lock.release()
    two._keeper.shutdown()
    for path in sorted(journal_dir.glob("*/*")):
        os.utime(path, ns=(STARTED_NS, STARTED_NS + 7 * 10**9))
    return tmp_path / "dead"


@pytest.fixture
def deliver(tmp_path, dead, store):
    """Ships the dead machine's journal; `more` as of `ship`."""

    def deliver(**more):
        return ship(
            find_source(dead, tmp_path / "own" / "journal"),
            tmp_path / "own" / "run" / "ship" / "x",
            sink=store,
            pricer=FixedPrices(),
            quarantine=Quarantine(tmp_path / "own" / "journal"),
            **more,
        )

    return deliver


def snapshot(folder):
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def recorded_by_the_dead(dead, store, parcels=1):
    """Let the dead machine's recorder read everything and deliver some parcels, of two segments each, before it dies."""
    (dead / "run").mkdir()
    state = State(dead / "run" / "recorder.sqlite")
    delivery = Delivery(store, PricedSegments(FixedPrices()), state, dead / "journal")
    for instance in ("w1", "w2"):
        for segment in list_segments(dead / "journal", instance).sealed.values():
            state.commit_read(instance, segment.number, opened={}, closed=[], losses={})
    for _ in range(parcels):
        delivery.deliver(delivery.next_parcel({"w1": 2}))
    return state, delivery


def test_everything_is_delivered_and_what_was_under_way_is_interrupted(deliver, store, tmp_path):
    shipped = deliver()
    assert sorted(store.calls) == [call_id(number) for number in range(1, 6)]
    assert store.calls[call_id(5)].outcome == "interrupted"
    assert store.calls[call_id(5)].duration_ns == 7 * 10**9
    assert (shipped.instances, shipped.calls, shipped.known, shipped.interrupted) == (2, 5, 0, 1)
    assert (shipped.losses, shipped.with_state, shipped.errors) == ({"odd": 2}, False, [])
    assert shipped.segments == len(list_segments(tmp_path / "dead" / "journal", "w1").sealed) + 2
    assert Quarantine(tmp_path / "own" / "journal").counts() == {"torn": 1}
    assert not (tmp_path / "own" / "run" / "ship" / "x").exists()


def test_nothing_in_the_folder_of_the_dead_machine_is_changed(deliver, dead):
    before = snapshot(dead)
    deliver()
    assert snapshot(dead) == before


def test_what_is_done_may_be_done_again(deliver, store):
    deliver()
    again = deliver()
    assert (again.calls, again.known) == (0, 5)
    assert len(store.calls) == 5


def test_what_the_dead_machine_had_delivered_is_not_delivered_again_with_its_memory(deliver, dead, store):
    state, _ = recorded_by_the_dead(dead, store)
    state.close()
    delivered = set(store.calls)
    assert delivered
    store.taken.clear()
    shipped = deliver()
    assert shipped.with_state
    assert shipped.known == 0
    assert len(store.calls) == 5


@pytest.mark.parametrize("memory", ["there", "gone", "damaged"])
def test_an_insert_that_was_applied_and_not_noted_is_not_doubled(deliver, dead, store, memory, monkeypatch):
    state, delivery = recorded_by_the_dead(dead, store, parcels=0)

    def killed(*_, **__):
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(state, "commit_delivered", killed)
        with pytest.raises(OSError, match="killed"):
            delivery.deliver(delivery.next_parcel({"w1": 2}))
    state.close()
    (token,) = store.tokens
    applied = len(store.calls)
    assert applied
    if memory == "gone":
        shutil.rmtree(dead / "run")
    elif memory == "damaged":
        (dead / "run" / "recorder.sqlite").write_bytes(b"x" * 4096)
    shipped = deliver()
    assert len(store.calls) == 5
    assert shipped.calls == 5 - applied
    assert shipped.known == applied
    if memory == "there":
        assert store.taken.count(token) == 2, "the very parcel, under the very token"


def test_what_is_cut_short_is_gone_on_with(deliver, dead, store, monkeypatch):
    monkeypatch.setattr("exporters.recorder.deliver.MAX_PARCEL_SEGMENTS", 1)
    failed_at = 0
    for fails_at in range(20):
        store.fails_at = fails_at
        try:
            deliver()
        except SinkUnavailableError:
            failed_at = fails_at
        else:
            break
    assert failed_at > 3
    assert len(store.calls) == 5
    assert len(store.taken) == len(set(store.taken))


def test_what_it_had_delivered_and_kept_is_shipped_too_when_asked_for(deliver, dead, store):
    kept = dead / "journal" / ".shipped" / "20261124T10" / "w0"
    kept.mkdir(parents=True)
    (dead / "journal" / "w0").mkdir()
    add_segment(dead / "journal", "w0", 1, [call(8), opened(9), loss(odd=1)])
    next((dead / "journal" / "w0").glob("*.jsonl")).rename(
        kept / list_segments(dead / "journal", "w0").sealed[1].path.name
    )
    (dead / "journal" / "w0").rmdir()
    deliver()
    assert len(store.calls) == 5
    shipped = deliver(kept_too=True)
    assert (shipped.calls, shipped.interrupted) == (2, 2)
    assert store.calls[call_id(9)].outcome == "interrupted"


def test_progress_is_told_to_the_end(deliver):
    told = []
    deliver(progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0


def test_a_machine_that_lives_is_not_shipped(tmp_path, dead):
    lock = FileLock.take(dead / "journal" / "w1" / "lock")
    with lock, pytest.raises(ShipError, match=r"w1.*not gone"):
        find_source(dead, tmp_path / "own")
    (dead / "run").mkdir()
    with FileLock.take(dead / "run" / "recorder.lock"), pytest.raises(ShipError, match="recorder works"):
        find_source(dead, tmp_path / "own")


def test_a_folder_may_be_the_data_folder_or_the_journal_alone(tmp_path, dead):
    assert find_source(dead, tmp_path / "own").journal_dir == dead / "journal"
    assert find_source(dead / "journal", tmp_path / "own").journal_dir == dead / "journal"
    with pytest.raises(ShipError, match="no folder"):
        find_source(tmp_path / "nowhere", tmp_path / "own")
    with pytest.raises(ShipError, match="holds no journal"):
        find_source(dead / "journal" / "w1", tmp_path / "own")
    with pytest.raises(ShipError, match="its own recorder"):
        find_source(dead, dead / "journal")


def test_one_journal_is_shipped_at_a_time_for_two_may_be_copies_of_one(deliver, tmp_path):
    staging = tmp_path / "own" / "run" / "ship" / "another"
    staging.mkdir(parents=True)
    with FileLock.take(staging.parent / "ship.lock"), pytest.raises(ShipError, match="being shipped"):
        deliver()
    assert deliver().calls == 5


def test_trouble_with_one_instance_is_told_and_what_was_staged_stays(deliver, store, tmp_path, monkeypatch):
    def broken(self, instance, *arguments):
        if instance == "w2":
            raise OSError("bad sector")
        return follow(self, instance, *arguments)

    follow = Follower._follow
    with monkeypatch.context() as patched:
        patched.setattr(Follower, "_follow", broken)
        assert deliver().errors == ["journal w2: bad sector"]
    assert len(store.calls) == 3
    deliver()
    assert len(store.calls) == 5

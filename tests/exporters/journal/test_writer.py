import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from exporters.journal.files import FileLock
from exporters.journal.names import parse_sealed
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import claim_dead, list_segments, read_segment, recover
from exporters.journal.writer import Journal
from proxy.core.record import CallRecord, LossRecord, OpenRecord
from tests.fakes.records import call, call_id, opened

ROOT = Path(__file__).parents[3]


class Timers:
    """Stands in for the loop's `call_later`; time passes when a test says so."""

    def __init__(self):
        self.due = []

    def call_later(self, delay_s, callback):
        self.due.append((delay_s, callback))

    def fire(self, most_s=1e9):
        now, self.due = [t for t in self.due if t[0] <= most_s], [t for t in self.due if t[0] > most_s]
        for _, callback in now:
            callback()


def records(journal_dir, instance="w"):
    """Everything in sealed segments, in order."""
    sealed = list_segments(journal_dir, instance).sealed
    return [record for number in sorted(sealed) for record in read_segment(sealed[number]).records]


def test_what_was_written_reads_back_in_order(tmp_path):
    journal = Journal(tmp_path, "w")
    written = [opened(1), call(1), opened(2), call(2)]
    for record in written:
        assert journal.open_call(record) if isinstance(record, OpenRecord) else journal.close_call(record)
    journal.close()
    assert records(tmp_path) == written
    assert journal.lines_written == 4
    assert journal.losses == {}


def test_a_line_is_in_the_file_before_the_call_returns(tmp_path):
    journal = Journal(tmp_path, "w")
    journal.close_call(call(1))
    assert msgspec.json.decode((tmp_path / "w" / "00000001.open").read_bytes(), type=CallRecord) == call(1)
    journal.close()


def test_a_sealed_segment_is_complete(tmp_path):
    journal = Journal(tmp_path, "w")
    journal.close_call(call(1))
    journal.close_call(call(2))
    journal.close()
    (path,) = (tmp_path / "w").glob("*.jsonl")
    data = path.read_bytes()
    name = parse_sealed(path.name)
    assert (name.number, name.lines) == (1, 2)
    assert name.sha256 == hashlib.sha256(data).hexdigest()


def test_a_segment_is_sealed_when_it_has_grown(tmp_path):
    journal = Journal(tmp_path, "w", segment_bytes=1)
    for number in (1, 2, 3):
        journal.close_call(call(number))
    journal.close()
    assert sorted(list_segments(tmp_path, "w").sealed) == [1, 2, 3]


def test_a_segment_is_sealed_when_it_is_old_enough(tmp_path):
    journal = Journal(tmp_path, "w", segment_s=1000.0)
    journal.close_call(call(1))
    journal.tick()
    assert list_segments(tmp_path, "w").sealed == {}
    journal._segment.age_s = 0.0
    journal.tick()
    journal.close()
    assert sorted(list_segments(tmp_path, "w").sealed) == [1]


@pytest.mark.parametrize(("waiting", "age_s"), [(0, 1.0), (499, 1.0), (5000, 11.0), (10**6, 60.0)])
def test_where_many_segments_wait_the_next_one_is_longer_and_is_still_synced_in_time(tmp_path, waiting, age_s):
    timers = Timers()
    journal = Journal(tmp_path, "w", call_later=timers.call_later)
    journal._room.waiting_segments = waiting
    journal.close_call(call(1))
    assert [delay_s for delay_s, _ in timers.due] == [age_s, 1.0][: 1 + (age_s > 1)]
    timers.fire()
    journal.close()


def test_the_loop_seals_by_time_and_only_what_it_was_asked_for(tmp_path):
    timers = Timers()
    journal = Journal(tmp_path, "w", segment_bytes=1, segment_s=1.0, call_later=timers.call_later)
    journal.close_call(call(1))
    journal._segment_bytes = 10**9
    journal.close_call(call(2))
    due, timers.due = timers.due, []
    due[0][1]()  # the timer of the first segment, which is sealed by size already
    assert journal._segment.number == 2
    timers.due = due[1:]
    timers.fire()
    assert journal._segment is None
    journal.close()
    assert [record.call_id for record in records(tmp_path)] == [call_id(1), call_id(2)]


def test_a_quiet_journal_has_no_timer_and_no_file(tmp_path):
    timers = Timers()
    journal = Journal(tmp_path, "w", call_later=timers.call_later)
    assert timers.due == []
    assert [path.name for path in (tmp_path / "w").iterdir()] == ["lock"]
    journal.close()
    assert not (tmp_path / "w").exists()


def test_losses_are_counted_and_journalled_with_the_next_segment(tmp_path):
    timers = Timers()
    journal = Journal(tmp_path, "w", call_later=timers.call_later)
    journal.lose("odd")
    journal.lose("odd", 2)
    journal.lose("even")
    timers.fire()
    journal.close()
    assert journal.losses == {"odd": 3, "even": 1}
    (record,) = records(tmp_path)
    assert isinstance(record, LossRecord)
    assert record.counts == {"odd": 3, "even": 1}


def test_losses_are_journalled_once(tmp_path):
    journal = Journal(tmp_path, "w", segment_s=0.0)
    journal.lose("odd")
    journal.tick()
    journal.tick()
    journal.close()
    assert [record.counts for record in records(tmp_path)] == [{"odd": 1}]


@pytest.fixture
def small_disk():
    """No file may grow beyond 2,000 bytes: a write then stops half-way, and the next fails, as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, previous)


def looked(journal):
    """Let time pass until it has looked for room."""
    journal._look_timer()
    journal._keeper.submit(lambda: None).result()


def test_a_write_that_fails_leaves_no_half_line_and_is_counted(tmp_path, small_disk):
    journal = Journal(tmp_path, "w")
    small_disk(2000)
    kept = [number for number in range(1, 6) if journal.close_call(call(number))]
    size_bytes = (tmp_path / "w" / "00000001.open").stat().st_size
    assert journal.full == "write_failed"
    assert 0 < len(kept) < 5
    assert journal.losses == {"journal_write_failed": 1, "journal_full": 4 - len(kept)}
    assert (tmp_path / "w" / "00000001.open").read_bytes().endswith(b"\n")
    small_disk(size_bytes + 10**6)
    looked(journal)
    assert not journal.full
    assert journal.close_call(call(9))
    journal.close()
    assert [record.call_id for record in records(tmp_path)[:-1]] == [call_id(number) for number in [*kept, 9]]
    assert records(tmp_path)[-1].counts == journal.losses


def test_half_a_line_that_cannot_be_taken_back_ends_the_segment(tmp_path, small_disk, monkeypatch):
    journal = Journal(tmp_path, "w")
    small_disk(1500)

    def fail(*_):
        raise OSError("read-only now")

    monkeypatch.setattr(os, "ftruncate", fail)
    assert journal.close_call(call(1))
    assert not journal.close_call(call(2))
    small_disk(10**6)
    looked(journal)
    assert journal.close_call(call(3))
    journal.close()
    sealed = list_segments(tmp_path, "w").sealed
    damaged = read_segment(sealed[1])
    assert not damaged.intact
    assert damaged.records == [call(1)]
    assert len(damaged.bad) == 1
    assert damaged.missing == 0
    assert read_segment(sealed[2]).records[0] == call(3)


def test_a_journal_whose_folder_is_gone_counts_and_goes_on(tmp_path):
    journal = Journal(tmp_path, "w")
    (tmp_path / "w" / "lock").unlink()
    (tmp_path / "w").rmdir()
    assert not journal.open_call(opened(1))
    assert not journal.close_call(call(1))
    assert journal.full == "write_failed"
    assert journal.losses == {"journal_full": 1}
    journal.close()


def test_a_record_that_cannot_be_encoded_is_counted(tmp_path):
    journal = Journal(tmp_path, "w")
    assert not journal.close_call(call(path=object()))
    assert journal.close_call(call(1))
    assert journal.losses == {"journal_write_failed": 1}
    journal.close()
    assert records(tmp_path)[0] == call(1)


def test_what_comes_after_the_end_is_counted_and_writes_nothing(tmp_path):
    timers = Timers()
    journal = Journal(tmp_path, "w", call_later=timers.call_later)
    journal.close_call(call(1))
    journal.close()
    assert not journal.close_call(call(2))
    journal.lose("late")
    timers.fire()
    assert journal.losses == {"journal_write_failed": 1, "late": 1}
    assert [record.call_id for record in records(tmp_path)] == [call_id(1)]


def test_an_instance_shows_its_life_by_a_held_lock(tmp_path):
    journal = Journal(tmp_path, "w")
    assert FileLock.take(tmp_path / "w" / "lock") is None
    assert claim_dead(tmp_path, "w") is None
    journal.close_call(call(1))
    journal.close()
    lock = claim_dead(tmp_path, "w")
    assert lock is not None
    lock.release()


def test_an_instance_name_is_used_once(tmp_path):
    journal = Journal(tmp_path, "w")
    journal.close_call(call(1))
    journal.close()
    with pytest.raises(FileExistsError):
        Journal(tmp_path, "w")


@pytest.mark.parametrize("durability", ["fast", "group", "strict"])
def test_every_durability_writes_the_same(tmp_path, durability):
    timers = Timers()
    journal = Journal(tmp_path, "w", durability=durability, call_later=timers.call_later)
    journal.close_call(call(1))
    timers.fire(0.5)
    journal.close_call(call(2))
    journal.close()
    assert records(tmp_path) == [call(1), call(2)]


def test_only_group_syncs_an_open_segment_and_only_when_asked_to_before_its_sealing(tmp_path):
    for durability, sync_s, timers_due in (("fast", 0.2, 1), ("group", 0.2, 2), ("group", 1.0, 1), ("strict", 0.2, 1)):
        timers = Timers()
        instance = f"{durability}-{sync_s}"
        journal = Journal(tmp_path, instance, durability=durability, sync_s=sync_s, call_later=timers.call_later)
        journal.close_call(call(1))
        journal.close_call(call(2))
        assert len(timers.due) == timers_due
        journal.close()


def test_a_segment_that_cannot_be_sealed_is_counted_and_stays(tmp_path, monkeypatch):
    journal = Journal(tmp_path, "w", segment_s=0.0)
    monkeypatch.setattr("exporters.journal.writer._SEAL_PAUSE_S", 0.0)
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError("no")))
    journal.close_call(call(1))
    journal.tick()
    journal._keeper.submit(lambda: None).result()
    monkeypatch.undo()
    journal.tick()
    assert journal.losses == {"journal_seal_failed": 1}
    journal.close()
    assert (tmp_path / "w" / "00000001.open").exists()
    assert [record.counts for record in records(tmp_path)] == [{"journal_seal_failed": 1}]


@pytest.mark.real
def test_what_was_written_survives_the_death_of_the_process(tmp_path):
    for round_number in range(12):
        instance = f"w{round_number}"
        command = [sys.executable, "-m", "tests.fakes.journal_process", str(tmp_path), instance, "20000"]
        writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(1 + 7 * round_number):
            writer.stdout.readline()
        writer.kill()
        told = [int(number) for number in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
        with claim_dead(tmp_path, instance):
            recover(tmp_path, instance, Quarantine(tmp_path))
        found = records(tmp_path, instance)
        assert all(read_segment(segment).intact for segment in list_segments(tmp_path, instance).sealed.values())
        calls = [record.call_id for record in found if isinstance(record, CallRecord)]
        last_told = max(told, default=0)
        assert calls == [call_id(number) for number in range(1, len(calls) + 1)]
        assert len(calls) >= last_told
        opens = [record.call_id for record in found if isinstance(record, OpenRecord)]
        assert len(opens) - len(calls) in {0, 1}

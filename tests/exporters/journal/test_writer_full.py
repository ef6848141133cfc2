"""A journal without room: no call is begun, those that were are ended, and it goes on by itself."""

import contextlib
import os
import subprocess

import pytest

from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import claim_dead, list_segments, read_segment, recover
from exporters.journal.room import Limits
from exporters.journal.writer import Journal
from proxy.core.record import LossRecord
from tests.fakes.records import call, call_id, opened

SIZE_BYTES = 2 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES},nr_inodes=200", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder):
    """Take all that the file system has left."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def looked(journal):
    """Let time pass until it has looked for room."""
    journal._look_timer()
    kept(journal)


def kept(journal):
    """Wait for the keeper."""
    journal._keeper.submit(lambda: None).result()


def found(journal_dir):
    """Everything in the journal, sealed or not, as the recorder will find it."""
    with claim_dead(journal_dir, "w"):
        recover(journal_dir, "w", Quarantine(journal_dir))
    sealed = list_segments(journal_dir, "w").sealed
    return [record for number in sorted(sealed) for record in read_segment(sealed[number]).records]


def told(records):
    """Losses in the records."""
    counts = {}
    for record in records:
        for reason, count in record.counts.items() if isinstance(record, LossRecord) else ():
            counts[reason] = counts.get(reason, 0) + count
    return counts


@pytest.mark.parametrize("on_full", ["pass", "refuse"])
def test_at_its_bound_no_call_is_begun_and_those_that_were_are_ended(tmp_path, on_full):
    journal = Journal(tmp_path, "w", segment_bytes=1, limits=Limits(max_bytes=1, on_full=on_full))
    assert journal.open_call(opened(1))
    kept(journal)
    assert journal.full == "max_bytes"
    assert journal.refusing == (on_full == "refuse")
    assert not journal.open_call(opened(2))
    assert journal.close_call(call(1))
    refused = {"outcome": "refused", "reasons": ("journal_full",)} if on_full == "refuse" else {}
    assert not journal.close_call(call(2, **refused))
    assert journal.losses == {"journal_full_refused" if refused else "journal_full": 1}
    journal.close()
    records = found(tmp_path)
    assert [record.call_id for record in records if not isinstance(record, LossRecord)] == [call_id(1), call_id(1)]
    assert told(records) == journal.losses


def test_it_goes_on_by_itself_as_soon_as_there_is_room(tmp_path, monkeypatch):
    for name in ("_WALK_S", "_WALK_SHARE", "_WALK_SHARE_WHEN_FULL"):
        monkeypatch.setattr(f"exporters.journal.room.{name}", 0.0)
    due = []
    journal = Journal(
        tmp_path,
        "w",
        segment_bytes=1,
        limits=Limits(max_bytes=1, on_full="refuse"),
        call_later=lambda _, callback: due.append(callback),
    )

    def pass_time():
        kept(journal)
        now, due[:] = due[:], []
        for callback in now:
            callback()
        kept(journal)

    journal.open_call(opened(1))
    pass_time()
    assert journal.refusing
    pass_time()
    assert journal.refusing
    for path in (tmp_path / "w").glob("*.jsonl"):
        path.unlink()
    pass_time()
    assert not journal.refusing
    assert journal.open_call(opened(2))
    journal.close()


def test_a_call_that_began_without_room_and_ends_with_it_is_recorded(tmp_path):
    journal = Journal(tmp_path, "w")
    journal._room.failed()
    assert not journal.open_call(opened(1))
    looked(journal)
    assert journal.close_call(call(1))
    assert journal.losses == {}
    journal.close()


@pytest.mark.real
@pytest.mark.parametrize("on_full", ["pass", "refuse"])
def test_a_full_disk_still_takes_the_ends_of_admitted_calls(small_disk, on_full):
    limits = Limits(reserve_bytes=256 * 1024, on_full=on_full)
    journal = Journal(small_disk / "journal", "w", durability="group", segment_bytes=64 * 1024, limits=limits)
    admitted = [number for number in range(1, 101) if journal.open_call(opened(number))]
    assert admitted == list(range(1, 101))
    fill(small_disk)
    late = [number for number in range(101, 201) if journal.open_call(opened(number))]
    assert len(late) < 20, "what was left of the last page of the file"
    assert journal.full == "write_failed"
    assert journal.refusing == (on_full == "refuse")
    assert all(journal.close_call(call(number)) for number in [*admitted, *late])
    left_out = [number for number in range(101, 201) if number not in late]
    assert not any(journal.close_call(call(number)) for number in left_out)
    assert journal.losses == {"journal_full": len(left_out)}
    looked(journal)
    assert journal.full
    (small_disk / "filler").unlink()
    looked(journal)
    assert not journal.full
    assert journal.open_call(opened(500))
    assert journal.close_call(call(500))
    journal.close()
    records = found(small_disk / "journal")
    ids = [record.call_id for record in records if not isinstance(record, LossRecord)]
    assert sorted(ids) == sorted(2 * [call_id(number) for number in [*admitted, *late, 500]])
    assert told(records) == journal.losses


@pytest.mark.real
def test_a_journal_begun_on_a_full_disk_waits_for_room(small_disk):
    fill(small_disk)
    for number in range(10_000):
        # A folder needs no page there, but it does need an inode.
        try:
            (small_disk / f"f{number}").mkdir()
        except OSError:
            break
    journal = Journal(small_disk / "journal", "w", limits=Limits(reserve_bytes=4096))
    assert journal.full == "write_failed"
    assert not journal.open_call(opened(1))
    assert not journal.close_call(call(1))
    looked(journal)
    assert journal.full
    (small_disk / "filler").unlink()
    for path in small_disk.glob("f*"):
        path.rmdir()
    looked(journal)
    assert journal.open_call(opened(2))
    assert journal.close_call(call(2))
    journal.close()
    assert told(found(small_disk / "journal")) == {"journal_full": 1}


@pytest.mark.real
def test_the_file_system_is_left_its_share(small_disk):
    journal = Journal(
        small_disk / "journal", "w", segment_bytes=64 * 1024, limits=Limits(min_free_bytes=SIZE_BYTES // 2)
    )
    number = 0
    while not journal.full:
        number += 1
        assert journal.open_call(opened(number))
        if number % 100 == 0:
            kept(journal)
    found_free = os.statvfs(small_disk)
    assert journal.full == "min_free_bytes"
    assert found_free.f_bavail * found_free.f_frsize > SIZE_BYTES // 2 - 256 * 1024
    journal.close()

import errno
import os

import pytest

from exporters.journal import room as room_module
from exporters.journal.room import RESERVE_BYTES_PER_CALL, Limits, Room, free_bytes, waiting


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "w").mkdir()
    return tmp_path / "w"


@pytest.fixture
def room(folder, monkeypatch):
    """A room with these limits that walks at every look."""
    monkeypatch.setattr(room_module, "_WALK_S", 0.0)
    monkeypatch.setattr(room_module, "_WALK_SHARE", 0.0)
    monkeypatch.setattr(room_module, "_WALK_SHARE_WHEN_FULL", 0.0)
    return lambda **limits: Room(folder.parent, folder, Limits(**limits))


def look(room, calls=0, written_bytes=0):
    room.look(calls=calls, written_bytes=written_bytes)
    return room.full


def test_without_limits_there_is_room_and_no_file(room, folder):
    assert look(room(), calls=1000) == ""
    assert list(folder.iterdir()) == []


def test_it_is_full_when_all_instances_together_hold_too_much_and_no_longer_when_they_do_not(room, folder):
    other = folder.parent / "x"
    other.mkdir()
    (folder / "00000001.open").write_bytes(b"x" * 600)
    ours = room(max_bytes=1000)
    assert look(ours) == ""
    (other / f"00000001-1-{'a' * 64}.jsonl").write_bytes(b"x" * 400)
    assert look(ours) == "max_bytes"
    (other / f"00000001-1-{'a' * 64}.jsonl").unlink()
    assert look(ours) == ""


def test_what_is_put_away_or_in_quarantine_does_not_wait(folder):
    for hidden in (".shipped/h/w", ".quarantine", ".w2.new"):
        (folder.parent / hidden).mkdir(parents=True)
        (folder.parent / hidden / "x.jsonl").write_bytes(b"x" * 100)
    (folder / "lock").write_bytes(b"x" * 7)
    (folder / "00000001.open").write_bytes(b"x" * 5)
    assert waiting(folder.parent) == (5, 1)
    assert waiting(folder.parent / "nowhere") == (0, 0)


def test_between_two_walks_what_was_written_here_counts(folder):
    ours = Room(folder.parent, folder, Limits(max_bytes=1000))
    assert look(ours) == ""
    (folder / "00000001.open").write_bytes(b"x" * 5000)
    assert look(ours, written_bytes=900) == ""
    assert look(ours, written_bytes=100) == "max_bytes"


def test_it_is_full_when_the_file_system_has_too_little_left(room, folder):
    free = free_bytes(folder)
    assert look(room(min_free_bytes=free // 2)) == ""
    assert look(room(min_free_bytes=free * 2)) == "min_free_bytes"


def test_a_failed_write_makes_it_full_until_the_next_look(room):
    ours = room()
    ours.failed()
    assert ours.full == "write_failed"
    assert look(ours) == ""


def test_a_folder_that_cannot_be_asked_is_no_room(room, folder):
    ours = room()
    folder.rmdir()
    assert look(ours) == "write_failed"


def test_the_reserve_takes_room_grows_with_the_calls_and_is_given_up_at_once(room, folder):
    ours = room(reserve_bytes=8192)
    assert look(ours) == ""
    assert (folder / "reserve").stat().st_blocks * 512 >= 8192
    assert look(ours, calls=10) == ""
    assert (folder / "reserve").stat().st_blocks * 512 >= 10 * RESERVE_BYTES_PER_CALL
    assert ours.release()
    assert not (folder / "reserve").exists()
    assert not ours.release()
    assert look(ours) == ""
    assert (folder / "reserve").exists()


def test_where_space_cannot_be_allocated_it_is_written(room, folder, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    assert look(room(reserve_bytes=100_000)) == ""
    assert (folder / "reserve").read_bytes() == bytes(100_000)


def test_a_reserve_that_cannot_be_had_is_no_room(room, folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert look(room(reserve_bytes=100_000)) == "write_failed"
    assert (folder / "reserve").stat().st_size == 0


def test_a_write_that_fails_while_the_keeper_looks_is_not_overlooked(room, folder, monkeypatch):
    ours = room(reserve_bytes=100)
    allocate = os.posix_fallocate

    def meanwhile(*arguments):
        allocate(*arguments)
        ours.failed()

    monkeypatch.setattr(os, "posix_fallocate", meanwhile)
    assert look(ours) == "write_failed"
    assert not (folder / "reserve").exists()


def test_a_long_walk_is_taken_seldom(folder, monkeypatch):
    used_s = iter([0.0, 0.1] * 10)
    now_s = [0.0]
    walks = []
    monkeypatch.setattr(room_module.time, "thread_time", lambda: next(used_s))
    monkeypatch.setattr(room_module.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(room_module, "waiting", lambda _: walks.append(now_s[0]) or (0, 0))
    ours = Room(folder.parent, folder, Limits(max_bytes=1))
    for now_s[0] in range(12):
        look(ours)
    assert walks == [0, 5, 10]

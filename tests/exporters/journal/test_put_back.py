import contextlib
import os
from pathlib import Path

import msgspec
import pytest

from exporters.journal import put_back as module
from exporters.journal.put_back import finish, put_back
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import instances, list_segments, read_segment, remove_instance
from tests.fakes.records import call


def line(record):
    return msgspec.json.encode(record)


@pytest.fixture
def entry(tmp_path):
    Quarantine(tmp_path).put("w", 3, "newer", [b"as it was"], why="of tomorrow")
    return Quarantine(tmp_path).entries()[0]


def everything(journal_dir):
    """Instances with their records, and ids in quarantine."""
    found = {
        name: [
            record
            for segment in list_segments(journal_dir, name).sealed.values()
            for record in read_segment(segment).records
        ]
        for name in instances(journal_dir)
    }
    return found, [entry.id for entry in Quarantine(journal_dir).entries()]


def test_the_lines_take_the_place_of_the_entry(tmp_path, entry):
    instance = put_back(tmp_path, entry, [line(call(1)), line(call(2))])
    assert everything(tmp_path) == ({instance: [call(1), call(2)]}, [])
    assert not entry.path.with_suffix(".why").exists()
    remove_whole(tmp_path, instance)


def remove_whole(journal_dir, instance):
    """As the recorder does once all sinks have it."""
    for segment in list_segments(journal_dir, instance).sealed.values():
        segment.path.unlink()
    remove_instance(journal_dir, instance)
    assert instances(journal_dir) == []


@pytest.mark.parametrize("steps", range(12))
def test_a_crash_anywhere_neither_loses_nor_doubles(tmp_path, entry, monkeypatch, steps):
    left = [steps]

    def killing(work):
        def step(*arguments, **more):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return work(*arguments, **more)

        return step

    with monkeypatch.context() as patched:
        for owner, name in ((Path, "mkdir"), (Path, "rename"), (os, "fsync"), (Path, "unlink")):
            patched.setattr(owner, name, killing(getattr(owner, name)))
        with contextlib.suppress(KeyboardInterrupt):
            put_back(tmp_path, entry, [line(call(1))])
    finish(tmp_path)
    found, waiting = everything(tmp_path)
    assert (list(found.values()), waiting) in [([[call(1)]], []), ([], [entry.id])]
    if waiting:
        put_back(tmp_path, entry, [line(call(1))])
        assert list(everything(tmp_path)[0].values()) == [[call(1)]]


def test_an_entry_that_somebody_else_has_taken_is_not_taken_twice(tmp_path, entry):
    put_back(tmp_path, entry, [line(call(1))])
    with pytest.raises(FileNotFoundError):
        put_back(tmp_path, entry, [line(call(1))])
    assert len(instances(tmp_path)) == 1
    assert list(tmp_path.glob(".again-*")) == []


def test_what_a_crash_left_of_nothing_goes_after_a_while(tmp_path, monkeypatch):
    (tmp_path / ".again-1.new").mkdir()
    (tmp_path / ".again-1.new" / "x.jsonl").touch()
    assert finish(tmp_path) == 0
    assert (tmp_path / ".again-1.new").exists()
    monkeypatch.setattr(module, "_ABANDONED_AFTER_S", -1.0)
    assert finish(tmp_path) == 0
    assert not (tmp_path / ".again-1.new").exists()

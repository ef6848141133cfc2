"""What a restored store is short of, counted against the archive of delivered segments."""

import shutil
import time

import pytest

from exporters.journal.names import shipped_dir
from exporters.journal.reader import add_segment, instances, list_segments, read_segment
from exporters.store.gap import find_gap
from tests.fakes.records import call, call_id

AT_S = 1_795_000_000.0
HOUR_S = 3600


@pytest.fixture
def archive(tmp_path):
    def add(numbers, hours_later, instance="worker-0-x", segment=1):
        hour = time.strftime("%Y%m%dT%H", time.gmtime(AT_S + hours_later * HOUR_S))
        folder = shipped_dir(tmp_path) / hour / instance
        folder.mkdir(parents=True, exist_ok=True)
        add_segment(folder.parent, instance, segment, [call(number, call_id=call_id(number)) for number in numbers])

    return add


def store_with(numbers):
    """Answers as a store that has these calls."""
    known = {call_id(number) for number in numbers}

    def ask(sql):
        return [[str(sum(one in sql for one in known))]]

    return ask


def gap(tmp_path, numbers):
    return find_gap(store_with(numbers), "taximeter", tmp_path, int(AT_S * 1e9), collect_in=tmp_path / "missing")


def test_calls_that_are_archived_and_not_in_the_store_are_counted(tmp_path, archive):
    archive(range(1, 11), 0)
    archive(range(11, 16), 1)
    archive(range(16, 20), 1, "worker-1-y")
    archive(range(20, 23), 2, segment=2)
    found = gap(tmp_path, range(1, 14))

    assert (found.archived_calls, found.archived_segments, found.reaches_back) == (9, 3, True)
    # They are put together as a journal, and stay when the archive goes.
    shutil.rmtree(shipped_dir(tmp_path))
    kept = [
        record.call_id
        for instance in instances(tmp_path / "missing" / "journal")
        for segment in list_segments(tmp_path / "missing" / "journal", instance).sealed.values()
        for record in read_segment(segment).records
    ]
    assert {call_id(number) for number in range(14, 23)} <= set(kept)
    assert found.folder == str(tmp_path / "missing")


def test_nothing_is_missing_from_a_store_that_has_all(tmp_path, archive):
    archive(range(1, 11), 0)
    found = gap(tmp_path, range(1, 11))
    assert (found.archived_calls, found.folder) == (0, "")
    assert not (tmp_path / "missing").exists()


def test_hours_well_before_the_backup_are_not_looked_at(tmp_path, archive):
    archive([1], -3)
    archive([2], -1)
    assert gap(tmp_path, []).archived_calls == 1


def test_an_archive_that_begins_later_does_not_reach_back(tmp_path, archive):
    archive([1], 2)
    found = gap(tmp_path, [])
    assert not found.reaches_back
    assert found.oldest_archived == time.strftime("%Y%m%dT%H", time.gmtime(AT_S + 2 * HOUR_S))


def test_without_an_archive_nothing_is_claimed(tmp_path):
    found = gap(tmp_path, [])
    assert (found.archived_calls, found.oldest_archived, found.reaches_back) == (0, "", False)


def test_what_waits_in_the_journal_is_counted_apart(tmp_path):
    (tmp_path / "worker-0-x").mkdir()
    add_segment(tmp_path, "worker-0-x", 1, [call(1)])
    assert gap(tmp_path, []).waiting_segments == 1


def test_a_segment_that_cannot_be_read_is_said_to_be_so(tmp_path, archive):
    archive([1], 0)
    path = next(shipped_dir(tmp_path).rglob("*.jsonl"))
    name = path.name
    path.unlink()
    path.with_name(name).mkdir()
    assert gap(tmp_path, []).unreadable_segments == 1

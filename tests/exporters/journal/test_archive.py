import pytest

from exporters.journal.archive import Archive
from exporters.journal.reader import add_segment, list_segments
from tests.fakes.records import call

HOUR_S = 3600


@pytest.fixture
def clock():
    return [1_795_000_000.0]


@pytest.fixture
def segments(tmp_path):
    (tmp_path / "w").mkdir()
    for number in (1, 2, 3):
        add_segment(tmp_path, "w", number, [call(number)])
    sealed = list_segments(tmp_path, "w").sealed
    return [sealed[number] for number in (1, 2, 3)]


def archive(tmp_path, clock, keep_s=2 * HOUR_S, keep_bytes=10**9):
    return Archive(tmp_path, keep_s=keep_s, keep_bytes=keep_bytes, now_s=lambda: clock[0])


def kept(tmp_path):
    return sorted(int(path.name[:8]) for path in (tmp_path / ".shipped").rglob("*.jsonl"))


def test_a_shipped_segment_leaves_the_journal_and_is_kept(tmp_path, clock, segments):
    size_bytes = segments[0].path.stat().st_size
    put_away = archive(tmp_path, clock)
    assert put_away.put(segments[0]) == size_bytes
    assert not segments[0].path.exists()
    assert kept(tmp_path) == [1]
    assert put_away.size_bytes == size_bytes


def test_a_segment_is_put_away_once(tmp_path, clock, segments):
    put_away = archive(tmp_path, clock)
    assert put_away.put(segments[0]) is not None
    assert put_away.put(segments[0]) is None


def test_nothing_is_kept_where_nothing_is_to_be_kept(tmp_path, clock, segments):
    put_away = archive(tmp_path, clock, keep_s=0)
    assert put_away.put(segments[0]) is not None
    assert not segments[0].path.exists()
    assert kept(tmp_path) == []


def test_segments_go_when_they_are_too_old(tmp_path, clock, segments):
    put_away = archive(tmp_path, clock)
    put_away.put(segments[0])
    clock[0] += 2 * HOUR_S
    put_away.put(segments[1])
    put_away.expire()
    assert kept(tmp_path) == [1, 2]
    clock[0] += 2 * HOUR_S
    put_away.expire()
    assert kept(tmp_path) == [2]


def test_the_oldest_go_when_all_are_too_much_and_the_present_hour_stays(tmp_path, clock, segments):
    put_away = archive(tmp_path, clock, keep_s=100 * HOUR_S, keep_bytes=1)
    put_away.put(segments[0])
    put_away.expire()
    assert kept(tmp_path) == [1]
    clock[0] += HOUR_S
    put_away.put(segments[1])
    put_away.expire()
    assert kept(tmp_path) == [2]


def test_a_later_recorder_knows_what_is_kept(tmp_path, clock, segments):
    first = archive(tmp_path, clock)
    first.put(segments[0])
    clock[0] += 10 * HOUR_S
    later = archive(tmp_path, clock)
    assert later.size_bytes == first.size_bytes > 0
    later.expire()
    assert kept(tmp_path) == []
    assert later.size_bytes == 0


def test_on_a_disk_that_fills_up_the_oldest_hours_go_first_and_the_present_one_too(
    tmp_path, clock, segments, monkeypatch
):
    put_away = Archive(tmp_path, keep_s=10 * HOUR_S, keep_bytes=10**9, min_free_bytes=100, now_s=lambda: clock[0])
    for segment in segments:
        put_away.put(segment)
        clock[0] += HOUR_S
    left = iter([199, 199, 200])
    monkeypatch.setattr("exporters.journal.archive.free_bytes", lambda _: next(left))
    put_away.relieve()
    assert kept(tmp_path) == [3]
    monkeypatch.setattr("exporters.journal.archive.free_bytes", lambda _: 0)
    put_away.relieve()
    assert kept(tmp_path) == []
    assert put_away.size_bytes == 0
    put_away.relieve()

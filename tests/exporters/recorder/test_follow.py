import hashlib
import os

import msgspec
import pytest

from exporters.journal.names import SegmentName
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import add_segment, list_segments, read_segment
from exporters.journal.writer import Journal
from exporters.recorder.follow import Follower, size_bytes
from exporters.recorder.state import State, doubts_on_disk
from proxy.core.record import Draw
from tests.fakes.records import STARTED_NS, call, call_id, loss, opened


@pytest.fixture
def journal_dir(tmp_path):
    folder = tmp_path / "journal"
    folder.mkdir()
    return folder


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "recorder.sqlite")
    yield state
    state.close()


def follower(journal_dir, state):
    return Follower(journal_dir, state, Quarantine(journal_dir))


def live(journal_dir, instance="w", **more):
    """A journal that seals after every line."""
    return Journal(journal_dir, instance, segment_bytes=1, **more)


def sealed(journal):
    """Wait until everything that was handed to the keeper is sealed."""
    journal._keeper.submit(lambda: None).result()


def put_raw(journal_dir, number, lines, instance="w"):
    """A sealed segment of any lines."""
    data = b"".join(line + b"\n" for line in lines)
    name = SegmentName(number, len(lines), hashlib.sha256(data).hexdigest()).file_name
    (journal_dir / instance).mkdir(exist_ok=True)
    (journal_dir / instance / name).write_bytes(data)


def ids(journal_dir, instance, number):
    return [record.call_id for record in read_segment(list_segments(journal_dir, instance).sealed[number]).records]


def test_sealed_segments_are_read_once_and_in_order(journal_dir, state):
    journal = live(journal_dir)
    following = follower(journal_dir, state)
    assert following.look().read == {"w": 0}
    journal.close_call(call(1))
    journal.close_call(call(2))
    sealed(journal)
    found = following.look()
    assert (found.read, found.new_segments) == ({"w": 2}, 2)
    assert found.new_bytes == sum(path.stat().st_size for path in (journal_dir / "w").glob("*.jsonl"))
    again = following.look()
    assert (again.read, again.new_segments, again.finished) == ({"w": 2}, 0, set())
    journal.close()


def test_a_quiet_instance_is_not_listed_and_a_new_segment_is_still_seen(journal_dir, state):
    journal = live(journal_dir)
    following = follower(journal_dir, state)
    for number in range(1, 4):
        journal.close_call(call(number))
        sealed(journal)
        os.utime(journal_dir / "w", ns=(number * 10**9, number * 10**9))
        assert following.look().read == {"w": number}
        assert following.look().read == {"w": number}
        assert following._is_quiet("w", following._followed["w"])
    journal.close()


def test_calls_under_way_are_remembered_over_segments_and_restarts(journal_dir, state):
    journal = live(journal_dir)
    for record in (opened(1), opened(2), opened(3)):
        journal.open_call(record)
    journal.close_call(call(2))
    sealed(journal)
    follower(journal_dir, state).look()
    assert state.open_calls() == 2
    journal.close_call(call(1))
    sealed(journal)
    follower(journal_dir, state).look()
    assert [msgspec.json.decode(line)["call_id"] for line in state.open_lines("w")] == [call_id(3)]
    journal.close()


def test_calls_of_a_dead_process_are_closed_as_interrupted(journal_dir, state):
    journal = live(journal_dir)
    journal.open_call(opened(1))
    journal.open_call(opened(2))
    journal.close_call(call(1))
    journal.open_call(opened(3))
    journal.close()
    following = follower(journal_dir, state)
    found = following.look()
    assert (found.read, found.finished, found.interrupted) == ({"w": 5}, {"w"}, 2)
    assert ids(journal_dir, "w", 5) == [call_id(2), call_id(3)]
    assert state.open_calls() == 0
    later = follower(journal_dir, state).look()
    assert (later.interrupted, later.read, later.finished) == (0, {"w": 5}, {"w"})


def test_what_a_dead_process_left_open_is_read_too(journal_dir, state):
    journal = Journal(journal_dir, "w")
    journal.open_call(opened(1))
    journal.close_call(call(1))
    journal._lock.release()  # as if the process had died
    found = follower(journal_dir, state).look()
    assert (found.read, found.finished, found.interrupted) == ({"w": 1}, {"w"}, 0)


def test_a_torn_line_does_not_change_when_a_process_gave_its_last_sign_of_life(journal_dir, state):
    journal = Journal(journal_dir, "w")
    journal.open_call(opened(1))
    os.write(journal._segment.descriptor, b'{"line":"ca')
    journal._lock.release()
    for path in (journal_dir / "w").iterdir():
        os.utime(path, ns=(STARTED_NS, STARTED_NS + 3 * 10**9))
    follower(journal_dir, state).look()
    (record,) = read_segment(list_segments(journal_dir, "w").sealed[2]).records
    assert record.duration_ns == 3 * 10**9


@pytest.mark.parametrize("fails", ["add_segment", "commit_read"])
def test_a_closing_that_is_cut_short_is_done_again_and_once(journal_dir, state, monkeypatch, fails):
    journal = live(journal_dir)
    journal.open_call(opened(1))
    journal.close()
    following = follower(journal_dir, state)

    def killed(*_, **__):
        raise OSError("killed")

    with monkeypatch.context() as patched:
        if fails == "add_segment":
            patched.setattr("exporters.recorder.follow.add_segment", killed)
        else:
            steps = iter([state.commit_read, killed])

            def commit(*args, **more):
                return next(steps)(*args, **more)

            patched.setattr(state, "commit_read", commit)
        found = following.look()
    assert "killed" in found.errors[0]
    assert found.finished == set()
    found = follower(journal_dir, state).look()
    assert (found.read, found.finished) == ({"w": 2}, {"w"})
    assert ids(journal_dir, "w", 2) == [call_id(1)]
    assert state.open_calls() == 0


def test_a_segment_behind_one_that_is_open_waits(journal_dir, state):
    journal = live(journal_dir)
    journal.close_call(call(1))
    sealed(journal)
    add_segment(journal_dir, "w", 3, [call(3)])
    (journal_dir / "w" / "00000002.open").touch()
    assert follower(journal_dir, state).look().read == {"w": 1}
    journal.close()


def test_a_segment_that_is_gone_is_counted_and_stepped_over(journal_dir, state):
    journal = live(journal_dir)
    for number in range(1, 5):
        journal.close_call(call(number))
    sealed(journal)
    following = follower(journal_dir, state)
    next((journal_dir / "w").glob("00000003-*")).unlink()
    next((journal_dir / "w").glob("00000002-*")).unlink()
    assert following.look().read == {"w": 4}
    assert state.losses() == {"segment_missing": 2}
    journal.close()


def test_segments_that_were_put_away_before_the_state_was_lost_are_no_loss(journal_dir, state):
    (journal_dir / "w").mkdir()
    add_segment(journal_dir, "w", 8, [call(8)])
    assert follower(journal_dir, state).look().read == {"w": 8}
    assert state.losses() == {}


def test_losses_of_the_workers_add_up(journal_dir, state):
    (journal_dir / "w").mkdir()
    add_segment(journal_dir, "w", 1, [loss(odd=2), call(1), loss(odd=1, even=4)])
    follower(journal_dir, state).look()
    follower(journal_dir, state).look()
    assert state.losses() == {"odd": 3, "even": 4}


def test_unreadable_lines_go_into_quarantine_and_hold_up_nothing(journal_dir, state):
    journal = Journal(journal_dir, "w")
    journal.close_call(call(1))
    os.write(journal._segment.descriptor, b"not json\n")
    journal._segment.digest.update(b"not json\n")
    journal.close_call(call(2))
    journal.close()
    assert follower(journal_dir, state).look().read == {"w": 1}
    assert Quarantine(journal_dir).counts() == {"unreadable": 1}
    assert state.losses() == {}


def test_a_line_of_a_later_version_is_put_aside_whole_and_its_call_is_not_closed_a_second_time(journal_dir, state):
    later = [line.replace(b'"v":1', b'"v":2') for line in map(msgspec.json.encode, (call(1), call(2), opened(3)))]
    put_raw(journal_dir, 1, [msgspec.json.encode(opened(1)), msgspec.json.encode(opened(4))])
    put_raw(journal_dir, 2, [msgspec.json.encode(opened(2)), *later])
    found = follower(journal_dir, state).look()
    assert Quarantine(journal_dir).counts() == {"newer": 3}
    assert found.interrupted == 1
    assert ids(journal_dir, "w", 3) == [call_id(4)]


def test_a_damaged_segment_gives_its_good_lines_and_is_counted(journal_dir, state):
    (journal_dir / "w").mkdir()
    add_segment(journal_dir, "w", 1, [call(1), call(2), call(3)])
    path = next((journal_dir / "w").glob("*.jsonl"))
    first, second, _ = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:50] + b"\n")
    assert follower(journal_dir, state).look().read == {"w": 1}
    assert Quarantine(journal_dir).counts() == {"damaged": 1}
    assert state.losses() == {"segment_damaged": 1, "journal_line_missing": 1}


def test_trouble_with_one_instance_does_not_hold_up_the_others(journal_dir, state, monkeypatch):
    for instance in ("a", "b", "c"):
        (journal_dir / instance).mkdir()
        add_segment(journal_dir, instance, 1, [call(1)])
    read = read_segment

    def broken(segment):
        if segment.instance == "b":
            raise OSError("bad sector")
        return read(segment)

    monkeypatch.setattr("exporters.recorder.follow.read_segment", broken)
    following = follower(journal_dir, state)
    found = following.look()
    assert found.read == {"a": 1, "b": 0, "c": 1}
    assert found.errors == ["journal b: bad sector"]
    monkeypatch.undo()
    assert following.look().read == {"a": 1, "b": 1, "c": 1}


def test_segments_of_a_former_run_are_told_once(journal_dir, state):
    (journal_dir / "w").mkdir()
    add_segment(journal_dir, "w", 1, [call(1)])
    assert follower(journal_dir, state).look().old == []
    following = follower(journal_dir, state)
    found = following.look()
    assert [segment.number for segment in found.old] == [1]
    assert found.new_segments == 0
    assert following.look().old == []


def test_an_instance_whose_folder_is_gone_is_forgotten(journal_dir, state):
    (journal_dir / "w").mkdir()
    add_segment(journal_dir, "w", 1, [opened(1)])
    state.commit_delivered("clickhouse", {"x": 3}, {})
    follower(journal_dir, state).look()
    for path in (journal_dir / "w").iterdir():
        path.unlink()
    (journal_dir / "w").rmdir()
    following = follower(journal_dir, state)
    assert following.look().read == {}
    assert state.known_instances() == set()


def test_a_folder_that_vanishes_while_we_look_is_no_error_for_long(journal_dir, state):
    (journal_dir / "w").mkdir()
    following = follower(journal_dir, state)
    assert following.look().finished == {"w"}
    (journal_dir / "w" / "lock").unlink()
    (journal_dir / "w").rmdir()
    assert following.look().read == {}


def test_a_journal_that_is_not_there_yet_is_empty(tmp_path, state):
    found = follower(tmp_path / "later", state).look()
    assert (found.read, found.errors) == ({}, [])


def test_the_size_of_a_segment_that_is_gone_is_nothing(journal_dir):
    (journal_dir / "w").mkdir()
    add_segment(journal_dir, "w", 1, [call(1)])
    segment = list_segments(journal_dir, "w").sealed[1]
    assert size_bytes(segment) == segment.path.stat().st_size
    segment.path.unlink()
    assert size_bytes(segment) == 0


def test_what_lies_in_the_journal_before_its_memory_is_in_doubt(journal_dir, tmp_path):
    journal = live(journal_dir)
    live(journal_dir, "empty")
    journal.close_call(call(1))
    journal.close_call(call(2))
    sealed(journal)
    state = State(tmp_path / "recorder.sqlite")
    follower(journal_dir, state).look()
    journal.close_call(call(3))
    sealed(journal)
    follower(journal_dir, state).look()
    state.close()
    assert doubts_on_disk(tmp_path / "recorder.sqlite") == {"w": 2}
    journal.close()


@pytest.mark.parametrize("between", ["the same segment", "another segment"])
def test_of_a_call_that_was_opened_again_the_last_line_counts(journal_dir, state, between):
    journal = live(journal_dir) if between == "another segment" else Journal(journal_dir, "w")
    journal.open_call(opened(1, draws=(Draw(counter="budget:b", unit="USD", held=5),)))
    if between == "another segment":
        sealed(journal)
        follower(journal_dir, state).look()
    journal.open_call(opened(1, draws=(Draw(counter="budget:b", unit="USD", held=9),)))
    journal.close()
    found = follower(journal_dir, state).look()

    (record,) = read_segment(list_segments(journal_dir, "w").sealed[found.read["w"]]).records
    assert (record.outcome, [draw.held for draw in record.draws]) == ("interrupted", [9])
    assert found.interrupted == 1
